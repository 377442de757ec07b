"""Comparison: what `compare` found, for reading, plotting and going on with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sklearn_bert.comparison.duplicates import Duplicates
from sklearn_bert.comparison.lengths import Lengths
from sklearn_bert.comparison.recipe import code_of
from sklearn_bert.comparison.recommending import METRIC_NAMES, Recommendation, recommend
from sklearn_bert.comparison.running import METRICS, CandidateResult, score_labels
from sklearn_bert.files import replacement
from sklearn_bert.tables import column_of
from sklearn_bert.validation import Text, well_formed

try:
    import pandas as pd
except ImportError as error:
    raise ImportError(
        "compare needs pandas. Install it: pip install 'sklearn-bert[cli]'."
    ) from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison"]

_MISTAKES = 20


@dataclass(repr=False)
class Comparison:
    """What :func:`~sklearn_bert.compare` found; `print` shows it.

    Attributes
    ----------
    results : list of CandidateResult
        What came of each candidate that ran to its end.
    texts : list of str or (str, str)
        The texts.
    y : ndarray of shape (n_samples,)
        Their labels.
    fold_of : int ndarray of shape (n_samples,)
        The fold in which each is tested.
    scoring : str
        What decides: one of "f1_macro", "precision_macro", "recall_macro", "accuracy".
    duplicates : Duplicates
        Texts that occur in several folds.
    lengths : Lengths
        Tokens of each text.
    not_run : dict of str to str
        Candidates that did not run to their end, with the reason.
    interrupted : bool
        Whether Ctrl-C ended it.
    refit_failed : str
        Why the best could not be fitted on all texts; empty if nothing went wrong.
    seconds : float
        What it took, the refit included, and what comes before the candidates.
    """

    results: list[CandidateResult]
    texts: Sequence[Text]
    y: np.ndarray
    fold_of: np.ndarray
    scoring: str
    duplicates: Duplicates
    lengths: Lengths
    not_run: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    refit_failed: str = ""
    seconds: float = 0.0
    _best_estimator: Any = None

    def __repr__(self) -> str:
        """Name the best; all else would fill the screen."""
        return (
            f"<Comparison of {len(self.results)} candidates on {len(self.y):,} texts: best is "
            f"{self.best_name_!r} with a mean {self.scoring} of {self.best_score_:.3f}>"
        )

    def __str__(self) -> str:
        """Return the table, what did not run, the recommendation and the code."""
        from sklearn_bert.comparison.summary import summarize

        return well_formed(summarize(self))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each candidate, the best first.

        ``mean_test_`` and ``std_test_`` of each metric over folds; ``mean_fit_time`` and
        ``std_fit_time`` (seconds of a fold's fit, with what is kept of frozen layers at hand);
        ``encode_time`` (seconds to encode what was not kept yet, before the folds);
        ``predict_time`` (seconds for 1,000 new texts); ``pickle_bytes`` (of a fitted estimator;
        weights that are frozen are not in it; NaN if it can't be pickled); ``texts_encoded`` (texts
        that passed frozen layers).
        """
        rows = {result.name: _row(result) for result in self.results}
        frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("candidate")
        return frame.sort_values(f"mean_test_{self.scoring}", ascending=False, kind="stable")

    @cached_property
    def folds(self) -> pd.DataFrame:
        """A row for each candidate and fold: the metrics, and ``fit_time``."""
        rows = [{"candidate": r.name, **fold} for r in self.results for fold in r.folds]
        return pd.DataFrame(rows).astype({"fold": int})

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A column for each candidate: labels predicted by fits that did not see the text."""
        return pd.DataFrame({result.name: column_of(result.predictions) for result in self.results})

    @cached_property
    def confidences(self) -> pd.DataFrame:
        """A column for each candidate: the probability of the label that was predicted."""
        return pd.DataFrame({result.name: result.confidences for result in self.results})

    def recommended(self) -> Recommendation:
        """Return the best and the cheapest of the candidates so far."""
        return recommend(self.results, self.scoring)

    def set_best_estimator(self, estimator: Any) -> None:
        """Keep the best candidate, fitted on all texts."""
        self._best_estimator = estimator

    @property
    def best_name_(self) -> str:
        """The candidate with the highest mean score."""
        return self.recommended().best.name

    @property
    def best_score_(self) -> float:
        """Its mean score."""
        return float(self.recommended().best.values(self.scoring).mean())

    @property
    def best_estimator_(self) -> Any:
        """The best candidate, fitted on all texts.

        Raises
        ------
        AttributeError
            If it was not refit: that failed, Ctrl-C ended the comparison, or ``refit=False``.
        """
        if self._best_estimator is None:
            reason = (
                f"its fit on all texts failed ({self.refit_failed})"
                if self.refit_failed
                else "the comparison was interrupted, or refit=False was passed"
            )
            raise AttributeError(
                f"best_estimator_ is not there: {reason}. The lines in `code` make and fit it."
            )
        return self._best_estimator

    @property
    def cheapest_name_(self) -> str:
        """The fastest candidate within one standard error of the best; else the best itself."""
        return self.recommended().cheapest.name

    @property
    def code(self) -> str:
        """Lines of Python that make the best candidate and fit it on X and y."""
        return code_of(self.recommended().best.estimator)

    @property
    def recommendation(self) -> str:
        """Which candidate to take and why, and what to mind."""
        return " ".join([self.recommended().text, *self._caveats()])

    @cached_property
    def label_counts(self) -> pd.Series[int]:
        """How many texts each label has."""
        labels, counts = np.unique(self.y, return_counts=True)
        index = pd.Index(column_of(labels), name="label")
        return pd.Series(counts, index=index, name="texts")

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """Precision, recall, F1 and number of texts of each label, for the best candidate."""
        labels = self.label_counts.index.to_numpy()
        columns = precision_recall_fscore_support(
            self.y, self.recommended().best.predictions, labels=labels, zero_division=0
        )
        names = ("precision", "recall", "f1", "texts")
        by_name = dict(zip(names, columns, strict=True))
        return pd.DataFrame(by_name, index=self.label_counts.index)

    @cached_property
    def confusion_matrix(self) -> pd.DataFrame:
        """Texts by true label (rows) and predicted label (columns), for the best candidate."""
        labels = self.label_counts.index
        counts = confusion_matrix(
            self.y, self.recommended().best.predictions, labels=labels.to_numpy()
        )
        return pd.DataFrame(counts, index=labels.rename("true"), columns=labels.rename("predicted"))

    @cached_property
    def mistakes(self) -> pd.DataFrame:
        """What the best candidate gets wrong, the most confident first, up to 20."""
        best = self.recommended().best
        wrong = np.flatnonzero(best.predictions != self.y)
        order = wrong[np.argsort(-best.confidences[wrong], kind="stable")][:_MISTAKES]
        rows = pd.Index(order, name="row")
        return pd.DataFrame(
            {
                "text": pd.Series([self.texts[i] for i in order], rows, dtype=object),
                "true": column_of(self.y[order], rows),
                "predicted": column_of(best.predictions[order], rows),
                "confidence": best.confidences[order],
            },
            index=rows,
        )

    @cached_property
    def score_without_duplicates(self) -> float:
        """The best candidate's score on all texts that no other fold has, nearly or exactly.

        Of all folds together; NaN if there are no such texts.
        """
        alone = ~self.duplicates.any
        if not alone.any():
            return float("nan")
        best = self.recommended().best
        return score_labels(self.y[alone], best.predictions[alone])[self.scoring]

    def plot(self, *, ax: Axes | None = None) -> Any:
        """Draw scores against the time of a fit.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ComparisonDisplay
        """
        from sklearn_bert.comparison.display import ComparisonDisplay

        return ComparisonDisplay.from_comparison(self, ax=ax)

    def to_html(self, path: str | os.PathLike[str], *, title: str = "Comparison") -> None:
        """Write a report: one file that needs nothing else.

        Parameters
        ----------
        path : str or path
            The file; it is replaced if it is there.
        """
        from sklearn_bert.comparison.report import render

        with replacement(path) as new:
            new.write_text(well_formed(render(self, title)), encoding="utf-8")

    def _caveats(self) -> list[str]:
        found = []
        n_twins = int(self.duplicates.any.sum())
        if n_twins:
            without = (
                "no text is without such a twin"
                if n_twins == len(self.y)
                else f"without them the {METRIC_NAMES[self.scoring]} of the best is "
                f"{self.score_without_duplicates:.3f}"
            )
            found.append(
                f"Mind that {n_twins:,} of {len(self.y):,} texts occur, exactly or nearly, in "
                f"another fold too, which flatters scores: {without}."
            )
        if self.lengths.n_cut:
            found.append(
                f"{self.lengths.n_cut:,} texts are longer than the {self.lengths.max_length} "
                f"tokens that the encoder reads, and were cut there."
            )
        if self.refit_failed:
            found.append(f"The best could not be fitted on all texts ({self.refit_failed}).")
        return found


def _row(result: CandidateResult) -> dict[str, Any]:
    scores = {}
    for metric in METRICS:
        scores[f"mean_test_{metric}"] = result.values(metric).mean()
        scores[f"std_test_{metric}"] = result.values(metric).std()
    return {
        **scores,
        "mean_fit_time": result.fit_time,
        "std_fit_time": result.values("fit_time").std(),
        "encode_time": result.encode_time,
        "predict_time": result.predict_time,
        "pickle_bytes": result.pickle_bytes,
        "texts_encoded": result.texts_encoded,
    }
