"""Cross-validation of one candidate: scores, times and work of each fold, within a budget."""

from __future__ import annotations

import io
import math
import pickle
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.pipeline import Pipeline

from sklearn_bert.comparison.clock import Clock, OutOfTimeError, duration
from sklearn_bert.encoder import work
from sklearn_bert.encoder.interruptions import check_before_batches
from sklearn_bert.errors import LongTextWarning
from sklearn_bert.featurizer import BertFeaturizer
from sklearn_bert.finetuning import BertFineTuneBase, keep_frozen_for
from sklearn_bert.store import set_stores_aside
from sklearn_bert.training.callbacks import Deadline, DeadlineError
from sklearn_bert.validation import Text

__all__ = [
    "METRICS",
    "CandidateResult",
    "cross_validate_candidate",
    "fit_on_all",
    "refit_share",
    "score_labels",
]

# As scikit-learn's scorers call them, in the order in which they are shown.
METRICS = ("precision_macro", "recall_macro", "f1_macro", "accuracy")
# Texts from whose encoding the time of all is told.
_ENCODED_TOGETHER = 256
# Before this many seconds an extrapolation means little.
_LEAST_SECONDS = 1.0
# New texts whose prediction is timed, and the number that the time is told for.
_TIMED = 128
_NEW_LETTERS = 8
_TOLD_FOR = 1000


@dataclass
class CandidateResult:
    """What came of one candidate.

    Attributes
    ----------
    name : str
        The candidate's.
    estimator : estimator
        As it was tried, unfitted.
    folds : list of dict
        ``fold``, the metrics, and ``fit_time`` in seconds.
    predictions : ndarray of shape (n_samples,)
        Each by the fit that did not see the sample.
    confidences : float ndarray of shape (n_samples,)
        The probability of what is predicted; NaN without probabilities.
    encode_time, predict_time : float
        Seconds to have of all texts what frozen layers make of them, as far as it was not kept
        yet, and to predict 1,000 new texts.
    pickle_bytes : float
        Size of a fitted estimator; NaN if it can't be pickled.
    texts_encoded : int
        Texts that passed frozen layers.
    seconds : float
        All that it took.
    warnings : list of str
        What was warned of, each once.
    """

    name: str
    estimator: Any
    folds: list[dict[str, float]] = field(default_factory=list)
    predictions: np.ndarray = field(default_factory=lambda: np.empty(0))
    confidences: np.ndarray = field(default_factory=lambda: np.empty(0))
    encode_time: float = 0.0
    predict_time: float = math.nan
    pickle_bytes: float = 0
    texts_encoded: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def values(self, name: str) -> np.ndarray:
        """Return what each fold has under a name."""
        return np.array([fold[name] for fold in self.folds])

    @property
    def fit_time(self) -> float:
        """Mean seconds of a fit."""
        return float(self.values("fit_time").mean())


def cross_validate_candidate(
    name: str,
    estimator: Any,
    texts: Sequence[Text],
    y: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    clock: Clock,
    refits: bool,
    reserve: float,
    on_fold: Callable[[int], None],
) -> CandidateResult:
    """Fit and score a candidate on each fold.

    Parameters
    ----------
    name : str
        The candidate's.
    estimator : estimator
        Stays unfitted.
    texts, y
        The data.
    splits : sequence of (train, test)
        Each text is tested once.
    clock : Clock
        What is left.
    refits : bool
        Whether the best is to be refit, for which there has to be time.
    reserve : float
        Seconds that the refit of the best so far takes.
    on_fold : callable
        Told how many folds are done, from 0.

    Raises
    ------
    OutOfTimeError
        As soon as it is clear that it does not fit.
    """
    found = CandidateResult(name, estimator)
    found.predictions = np.empty(len(y), dtype=y.dtype)
    found.confidences = np.full(len(y), np.nan)
    before, begin = work.counted().texts, clock.elapsed
    with _collected(found.warnings):
        on_fold(0)
        found.encode_time = _encode(estimator, texts, clock, reserve)
        for done, (train, test) in enumerate(splits):
            allowed = _allowed(clock, done, len(splits), refits, reserve)
            _check_pace(found, len(splits), allowed)
            fitted, seconds = _fit(estimator, [texts[i] for i in train], y[train], allowed, clock)
            held_out = [texts[i] for i in test]
            with _encoding_within(max(0.0, clock.left - reserve), clock):
                predicted = fitted.predict(held_out)
            found.predictions[test] = predicted
            if hasattr(fitted, "predict_proba"):
                found.confidences[test] = _confidences(fitted, held_out, predicted)
            scores = score_labels(y[test], predicted)
            found.folds.append({"fold": done, **scores, "fit_time": seconds})
            on_fold(done + 1)
        found.texts_encoded = work.counted().texts - before
        found.predict_time = _time_prediction(fitted, held_out, clock)
        found.pickle_bytes = pickled_size(fitted)
    found.seconds = clock.elapsed - begin
    return found


def score_labels(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return each metric of `METRICS`; what is never predicted has a precision of 0."""
    means = precision_recall_fscore_support(y, predicted, average="macro", zero_division=0)[:3]
    values = [*means, accuracy_score(y, predicted)]
    return {name: float(value) for name, value in zip(METRICS, values, strict=True)}


def fit_on_all(estimator: Any, texts: Sequence[Text], y: np.ndarray) -> Any:
    """Return the estimator fitted on all."""
    with _collected([]):
        return clone(estimator).fit(list(texts), y)


def refit_share(n_folds: int) -> float:
    """Return how much longer than a fold's fit one on all texts takes."""
    return n_folds / max(1, n_folds - 1)


def pickled_size(estimator: Any) -> float:
    """Return the bytes of an estimator's pickle, without holding them; NaN if it has none."""
    counter = _Counter()
    try:
        pickle.dump(estimator, counter)
    except Exception:
        # A function made on the spot, say, or whatever an object raises that refuses.
        return math.nan
    return counter.size


class _Counter(io.RawIOBase):
    """A file that keeps nothing but its size."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def write(self, data: Any) -> int:
        """Count."""
        n_bytes = memoryview(data).nbytes
        self.size += n_bytes
        return n_bytes


class _TimeIsUp(BaseException):
    """Ends a pass. A search must not take it for a fit that failed, so it is no `Exception`."""


@contextmanager
def _encoding_within(seconds: float, clock: Clock) -> Iterator[None]:
    """Have passes through frozen layers end by an error as soon as so many seconds are over."""
    end = clock.elapsed + seconds

    def check() -> None:
        if clock.elapsed > end:
            raise _TimeIsUp

    try:
        with check_before_batches(check):
            yield
    except _TimeIsUp:
        raise OutOfTimeError(
            f"encoding takes more than the {duration(seconds)} that were left for it"
        ) from None


def _encode(estimator: Any, texts: Sequence[Text], clock: Clock, reserve: float) -> float:
    """Have what frozen layers make of texts in the cache, and return the seconds it took."""
    begin, done = clock.elapsed, 0
    room = max(0.0, clock.left - reserve)
    with _encoding_within(room, clock):
        for n_texts in _kept(estimator, texts):
            if not done:
                # The first one had the model loaded, which tells nothing of the pace.
                loaded = clock.elapsed
            done += n_texts
            spent = clock.elapsed - loaded
            expected = loaded - begin + spent / done * len(texts)
            if done < len(texts) and spent > _LEAST_SECONDS and expected > room:
                raise OutOfTimeError(
                    f"encoding all {len(texts):,} texts takes {duration(expected)} more or less, "
                    f"and {duration(room)} were left for it"
                )
    return clock.elapsed - begin


def _kept(estimator: Any, texts: Sequence[Text]) -> Iterator[int]:
    """Keep what frozen layers make of texts, a portion at a time, and yield how many that were.

    The first is one text. Those of the others are from everywhere, so that each tells of all.
    """
    n_portions = -(-len(texts) // _ENCODED_TOGETHER)
    first = estimator.steps[0][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(first, BertFeaturizer) and first.cache is not None:
        for portion in (texts[:1], *(texts[start::n_portions] for start in range(n_portions))):
            first.transform(portion)
            yield len(portion)
    elif isinstance(first, BertFineTuneBase) and first.cache is not None:
        # States take room, and what of them is kept is decided for all texts of a call.
        for portion in (texts[:1], *[texts[::n_portions], texts][:n_portions]):
            keep_frozen_for(clone(first), portion)
            yield len(portion)


def _allowed(clock: Clock, done: int, n_folds: int, refits: bool, reserve: float) -> float:
    """Return what a fold may take, so that time for the rest and for a refit is left."""
    if math.isinf(clock.budget):
        return math.inf
    n_left = n_folds - done
    own_refit = refit_share(n_folds) if refits else 0.0
    return min(clock.left / (n_left + own_refit), max(0.0, clock.left - reserve) / n_left)


def _check_pace(found: CandidateResult, n_folds: int, allowed: float) -> None:
    pace = float(found.values("fit_time").mean()) if found.folds else 0.0
    if pace > allowed or allowed <= 0:
        done = f"{len(found.folds)} of {n_folds} folds were done"
        spent = f", {duration(pace)} each" if found.folds else ""
        raise OutOfTimeError(f"{done}{spent}; {duration(allowed)} a fold would have fitted")


def _fit(
    estimator: Any, texts: Sequence[Text], y: np.ndarray, allowed: float, clock: Clock
) -> tuple[Any, float]:
    fitted = clone(estimator)
    limited = isinstance(fitted, BertFineTuneBase) and math.isfinite(allowed)
    if limited:
        deadline = Deadline(allowed, time.monotonic())
        fitted.set_params(callbacks=[*(fitted.callbacks or ()), deadline])
    begin = clock.elapsed
    try:
        with _encoding_within(allowed, clock):
            fitted.fit(texts, y)
    except DeadlineError as error:
        raise OutOfTimeError(f"{error}; {duration(allowed)} a fold would have fitted") from error
    seconds = clock.elapsed - begin
    if limited:
        fitted.set_params(callbacks=estimator.callbacks)
    return fitted, seconds


def _confidences(fitted: Any, texts: Sequence[Text], predicted: np.ndarray) -> np.ndarray:
    """Return the probability of each predicted label, which a threshold may have chosen."""
    probabilities = fitted.predict_proba(texts)
    if not hasattr(fitted, "classes_"):
        return probabilities.max(axis=1)
    chosen = np.asarray(predicted)[:, None] == np.asarray(fitted.classes_)
    return np.where(chosen, probabilities, 0.0).sum(axis=1)


def _time_prediction(fitted: Any, texts: Sequence[Text], clock: Clock) -> float:
    """Return the seconds that 1,000 texts take that no cache has, and none is given."""
    letters = random.Random()
    new = [_another(text, letters) for text in texts[:_TIMED]]
    begin = clock.elapsed
    with set_stores_aside():
        fitted.predict(new)
    return (clock.elapsed - begin) / len(new) * _TOLD_FOR


def _another(text: Text, letters: random.Random) -> Text:
    """Return a text of nearly as many tokens that was never seen: its end is other letters."""
    if isinstance(text, tuple):
        return str(_another(text[0], letters)), str(_another(text[1], letters))
    return text[:-_NEW_LETTERS] + "".join(letters.choices(ascii_lowercase, k=_NEW_LETTERS))


@contextmanager
def _collected(messages: list[str]) -> Iterator[None]:
    """Collect warnings, but for those of long texts, which are counted once for all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", LongTextWarning)
        try:
            yield
        finally:
            of_all = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
            messages.extend(dict.fromkeys(of_all))
