"""A picture of a comparison: scores against the time of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_bert.comparison.recommending import METRIC_NAMES
from sklearn_bert.plotting import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ComparisonDisplay"]


class ComparisonDisplay(Display):
    """Scores of candidates over the time of a fit.

    Parameters
    ----------
    names : list of str
        The candidates.
    scores, deviations : array-like of shape (n_candidates,)
        Mean score of each, and its standard deviation over folds.
    seconds : array-like of shape (n_candidates,)
        Mean time of a fit.
    score_name : str, default="score"
        What the score is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn_bert.comparison import ComparisonDisplay
    >>> display = ComparisonDisplay(
    ...     names=["TF-IDF", "BERT"], scores=[0.8, 0.9], deviations=[0.01, 0.01], seconds=[0.1, 30]
    ... )
    >>> display.plot().ax_.get_xlabel()
    'Seconds of a fit'
    """

    def __init__(
        self, *, names: Any, scores: Any, deviations: Any, seconds: Any, score_name: str = "score"
    ) -> None:
        self.names = names
        self.scores = scores
        self.deviations = deviations
        self.seconds = seconds
        self.score_name = score_name

    @classmethod
    def from_comparison(cls, comparison: Any, *, ax: Axes | None = None) -> ComparisonDisplay:
        """Draw what `compare` found.

        Parameters
        ----------
        comparison : Comparison
            From :func:`~sklearn_bert.compare`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        """
        table, scoring = comparison.table, comparison.scoring
        return cls(
            names=list(table.index),
            scores=table[f"mean_test_{scoring}"].to_numpy(),
            deviations=table[f"std_test_{scoring}"].to_numpy(),
            seconds=table["mean_fit_time"].to_numpy(),
            score_name=METRIC_NAMES[scoring],
        ).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> ComparisonDisplay:
        """Draw, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        """
        ax = self._axes(ax)
        points = zip(self.names, self.seconds, self.scores, self.deviations, strict=True)
        for number, (name, seconds, score, deviation) in enumerate(points):
            ax.errorbar(
                seconds, score, deviation, fmt="o", capsize=3, color=f"C{number % 10}", label=name
            )
        # The axis has no place for 0.
        least = min((s for s in self.seconds if s > 0), default=1.0)
        ax.set_xscale("log")
        ax.set_xlim(left=least / 2, right=2 * float(np.max(self.seconds, initial=least)))
        ax.set(xlabel="Seconds of a fit", ylabel=self.score_name[:1].upper() + self.score_name[1:])
        ax.legend(loc="best", fontsize="small")
        return self
