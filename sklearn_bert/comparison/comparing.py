"""`compare`: try candidates on the same folds, cheap ones first, within a budget."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv

from sklearn_bert.arrays import as_array
from sklearn_bert.comparison.candidates import default_candidates
from sklearn_bert.comparison.clock import Clock, OutOfTimeError, parse_budget
from sklearn_bert.comparison.duplicates import find_duplicates
from sklearn_bert.comparison.lengths import count_tokens
from sklearn_bert.comparison.live import Silence, watcher
from sklearn_bert.comparison.result import Comparison
from sklearn_bert.comparison.running import (
    METRICS,
    cross_validate_candidate,
    fit_on_all,
    refit_share,
)
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.errors import parameter_error
from sklearn_bert.labels import as_labels, learn_labels
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.tuning_parameters import seed_from
from sklearn_bert.validation import Text, check_choice, check_integer, check_texts, is_missing

__all__ = ["compare"]

_SHOWN = 5


def compare(
    X: Any,
    y: Any,
    *,
    cv: Any = 5,
    groups: Any = None,
    candidates: Mapping[str, Any] | None = None,
    scoring: str = "f1_macro",
    budget: float | str | None = None,
    refit: bool = True,
    model: str | os.PathLike[str] = EMBEDDED_MODEL,
    max_length: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    cache: str | os.PathLike[str] | None = "memory",
    random_state: int | np.random.RandomState | None = None,
    revision: str | None = None,
    verbose: int = 0,
) -> Comparison:
    """Cross-validate what could work on labelled texts, and say which does.

    TF-IDF, fixed features and fine-tuning are tried on the same folds, cheap ones first: what they
    compute of frozen layers is kept, and makes the next ones cheaper. Ctrl-C keeps what is done.

    Parameters
    ----------
    X : container of str of shape (n_samples,), or of text pairs of shape (n_samples, 2)
        The texts.
    y : array-like of shape (n_samples,)
        One label for each.
    cv : int, splitter or iterable of (train, test), default=5
        The folds. An integer means stratified and shuffled ones. Each text has to be tested once,
        by a fit that has not seen it.
    groups : array-like of shape (n_samples,), default=None
        Texts of a group stay in one fold, with an integer `cv` or a splitter that keeps groups
        together.
    candidates : dict of str to classifier, default=None
        What is tried, in this order. None is what
        :func:`~sklearn_bert.comparison.default_candidates` returns.
    scoring : {"f1_macro", "precision_macro", "recall_macro", "accuracy"}, default="f1_macro"
        What decides.
    budget : float, str or None, default=None
        Seconds for the candidates and the refit, or a duration such as "10m" or "1h30m". What
        comes before them is not counted: to load the model, to count tokens and to look for
        near-duplicates. A candidate is given up as soon as its pace shows that it, and the refit
        of the best, will not fit; it is then in `not_run` with the reason. The clock is read
        between folds, batches of a training, and batches that pass frozen layers (not those in
        threads or processes that a candidate starts), so one fit of a linear model, or one
        prediction, may overrun.
    refit : bool, default=True
        Whether to fit the best on all texts. If that fails, all else is returned, and says why.
    model, max_length, device, precision, cache, revision
        As in :class:`~sklearn_bert.BertFineTuneClassifier`, for the default candidates. Texts are
        counted in tokens of this model.
    random_state : int, RandomState instance or None, default=None
        Fixes folds and fine-tuning. None draws a seed, which `code` names.
    verbose : int, default=0
        1 shows a table that fills while candidates run, or lines where standard error is no
        terminal or rich is missing. ``print`` shows the final table.

    Returns
    -------
    Comparison
        With ``table``, ``best_estimator_``, ``recommendation``, ``code``, ``plot()``,
        ``to_html(path)`` and more.

    Raises
    ------
    ValueError, TypeError
        If a parameter or the data can't be used, if a class has fewer texts than there are folds,
        or if no candidate fits into the budget; the message says what is accepted.
    ModelNotFoundError, ModelLoadError
        If the model is in no place that could be reached, or can't be used.
    ImportError
        If pandas is missing.
    KeyboardInterrupt
        If Ctrl-C comes before any candidate is done.

    Notes
    -----
    Spread is over folds, whose training data overlap: it says less than that of independent
    samples.

    Examples
    --------
    >>> from sklearn_bert import compare
    >>> from sklearn_bert.comparison import default_candidates
    >>> from sklearn_bert.datasets import load_sample_reviews
    >>> X, y = load_sample_reviews(return_X_y=True)
    >>> candidates = default_candidates(X)
    >>> some = {name: candidates[name] for name in list(candidates)[:2]}
    >>> comparison = compare(X, y, candidates=some, cv=3, random_state=0)
    >>> print(comparison.best_name_)
    features: mean, last layer
    >>> print(comparison.best_estimator_.predict(["The room was cold and nobody cared."]))
    ['negative']
    """
    whole, seconds = Clock(math.inf), parse_budget(budget)
    check_choice("scoring", scoring, METRICS)
    check_choice("refit", refit, [True, False])
    texts = check_texts(X)
    labels = _check_labels(y, len(texts))
    seed = _seed(random_state)
    splits = _splits(cv, texts, labels, groups, seed)
    encoder = EncoderReference(model, revision, max_length, device, precision, cache).encoder()
    if candidates is None:
        candidates = default_candidates(
            texts,
            model=model,
            max_length=max_length,
            device=device,
            precision=precision,
            cache=cache,
            random_state=seed,
            revision=revision,
        )
    _check_candidates(candidates)
    fold_of = _fold_of(splits, len(texts))
    duplicates = find_duplicates(texts, labels, fold_of)
    lengths = count_tokens(encoder, texts)
    comparison = Comparison([], texts, labels, fold_of, scoring, duplicates, lengths)
    with watcher(verbose, scoring=scoring) as shown:
        shown.begin(list(candidates), len(splits))
        clock = Clock(seconds)
        _run_all(comparison, candidates, splits, clock, refit, shown)
        if refit and not comparison.interrupted:
            _refit_best(comparison, shown)
    comparison.seconds = whole.elapsed
    return comparison


def _run_all(
    comparison: Comparison,
    candidates: Mapping[str, Any],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    clock: Clock,
    refits: bool,
    shown: Silence,
) -> None:
    """Run candidates one after another, and put down what came of each."""
    names = list(candidates)
    for number, name in enumerate(names):
        try:
            result = cross_validate_candidate(
                name,
                candidates[name],
                comparison.texts,
                comparison.y,
                splits,
                clock=clock,
                refits=refits,
                reserve=_refit_time(comparison) if refits else 0.0,
                on_fold=functools.partial(shown.fold, name),
            )
        except KeyboardInterrupt:
            if not comparison.results:
                raise
            comparison.interrupted = True
            comparison.not_run |= dict.fromkeys(names[number:], "interrupted")
            shown.note("Interrupted; what is done is kept.")
            return
        except OutOfTimeError as error:
            comparison.not_run[name] = f"out of time: {error}"
        except Exception as error:
            # One candidate that fails, for want of memory say, must not take the others with it.
            comparison.not_run[name] = f"failed: {_named(error)}"
        else:
            comparison.results.append(result)
            shown.done(result)
            continue
        shown.not_run(name, comparison.not_run[name])
    if not comparison.results:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in comparison.not_run.items())
        raise ValueError(
            f"None of the {len(names)} candidates ran to its end ({reasons}). Raise budget, mend "
            f"what failed, or pass other candidates."
        )


def _refit_time(comparison: Comparison) -> float:
    """Return about what a refit of the best so far takes."""
    if not comparison.results:
        return 0.0
    best = comparison.recommended().best
    return best.fit_time * refit_share(len(best.folds))


def _refit_best(comparison: Comparison, shown: Silence) -> None:
    best = comparison.recommended().best
    shown.note(f"fitting “{best.name}” on all {len(comparison.y):,} texts")
    try:
        fitted = fit_on_all(best.estimator, comparison.texts, comparison.y)
    except KeyboardInterrupt:
        comparison.interrupted = True
    except Exception as error:
        # All texts may need memory that those of a fold did not, and all that is found is there.
        comparison.refit_failed = _named(error)
        shown.note(f"that failed: {comparison.refit_failed}")
    else:
        comparison.set_best_estimator(fitted)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _check_labels(y: Any, n_samples: int) -> np.ndarray:
    labels = as_labels("y", y, n_samples)
    if labels.ndim != 1:
        raise ValueError(
            f"y has {labels.shape[1]} columns. compare accepts one label for each text; compare "
            f"each column by itself."
        )
    learn_labels(labels)
    return labels


def _seed(random_state: Any) -> int:
    """Return a seed that can be written down."""
    drawn = seed_from(random_state)
    return int(random_state) if isinstance(random_state, Integral) else drawn


def _splits(
    cv: Any, texts: Sequence[Text], y: np.ndarray, groups: Any, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds that test each text once, unseen."""
    if groups is not None:
        groups = _check_groups(groups, len(texts))
    if isinstance(cv, Integral):
        check_integer("cv", cv, minimum=2, accepted="an integer of at least 2, or a splitter")
        _check_class_sizes(y, int(cv))
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        cv = kind(int(cv), shuffle=True, random_state=seed)
    splitter = check_cv(cv, y, classifier=True)
    splits = [
        (np.asarray(train), np.asarray(test))
        for train, test in splitter.split(np.zeros(len(y)), y, groups)
    ]
    tested = np.bincount(np.concatenate([test for _, test in splits]), minlength=len(y))
    if (tested != 1).any():
        raise parameter_error(
            "cv", cv, "folds that test each text exactly once, as KFold and its kin make them"
        )
    for number, (train, test) in enumerate(splits):
        if not (len(train) and len(test)):
            accepted = "folds that each have texts to train on and others to test"
            remedy = f"Fold {number} has {len(train):,} and {len(test):,}."
            if groups is not None:
                remedy += f" There are {len(np.unique(groups)):,} groups, and a fold needs one."
            raise parameter_error("cv", cv, accepted, remedy)
        _check_apart(cv, number, train, test)
    return splits


def _check_apart(cv: Any, number: int, train: np.ndarray, test: np.ndarray) -> None:
    """Raise for a fold that tests what it trains on."""
    seen = np.intersect1d(train, test)
    if len(seen):
        accepted = "folds whose training part has none of the texts that they test"
        remedy = (
            f"Fold {number} has {len(seen):,}, the first at position {seen[0]}. Take them out of "
            f"its training part."
        )
        raise parameter_error("cv", cv, accepted, remedy)


def _check_groups(groups: Any, n_samples: int) -> np.ndarray:
    """Return groups as an array, or raise for what is none, or missing.

    scikit-learn can't sort what is missing among strings, and makes one group of all NaN.
    """
    accepted = "one group for each text, strings or integers"
    array = as_array("groups", groups, n_samples, "groups", accepted)
    if array.ndim != 1:
        raise ValueError(f"groups has shape {array.shape}. Accepted: {accepted}.")
    missing = [place for place, group in enumerate(array.tolist()) if is_missing(group)]
    if missing:
        raise ValueError(
            f"groups has {len(missing)} missing value(s), the first at position {missing[0]}. "
            f"Accepted: {accepted}. Drop these rows, or give each of them a group of its own."
        )
    # Of several types they can't be sorted, either.
    return array.astype(str) if len(set(map(type, array.tolist()))) > 1 else array


def _check_class_sizes(y: np.ndarray, n_folds: int) -> None:
    classes, counts = np.unique(y, return_counts=True)
    few = [
        (label, n)
        for label, n in zip(classes.tolist(), counts.tolist(), strict=True)
        if n < n_folds
    ]
    if not few:
        return
    shown = ", ".join(f"{label!r} ({n})" for label, n in few[:_SHOWN])
    more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
    raise ValueError(
        f"{len(few)} of {len(classes)} classes have fewer than {n_folds} texts, one for each of "
        f"cv={n_folds} folds: {shown}{more}. Collect more, drop or merge these classes, or lower "
        f"cv. If y holds numbers to be predicted rather than classes, compare is not for it: see "
        f"BertFineTuneRegressor."
    )


def _check_candidates(candidates: Any) -> None:
    if not isinstance(candidates, Mapping) or not candidates:
        raise parameter_error("candidates", candidates, "None, or a dict of names to classifiers")
    for name, estimator in candidates.items():
        if not isinstance(name, str) or not hasattr(estimator, "fit"):
            raise parameter_error(
                "candidates", {name: estimator}, "names as strings, with unfitted classifiers"
            )


def _fold_of(splits: Sequence[tuple[np.ndarray, np.ndarray]], n_samples: int) -> np.ndarray:
    folds = np.empty(n_samples, dtype=np.int64)
    for number, (_, test) in enumerate(splits):
        folds[test] = number
    return folds
