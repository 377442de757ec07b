"""Which candidate to take, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sklearn_bert.comparison.clock import duration
from sklearn_bert.comparison.running import CandidateResult

__all__ = ["METRIC_NAMES", "Recommendation", "recommend"]

METRIC_NAMES = {
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "f1_macro": "macro F1",
    "accuracy": "accuracy",
}
# Of the best one's time, what a cheaper one may take at most.
_CLEARLY = 0.8


@dataclass(frozen=True)
class Recommendation:
    """The best candidate, the cheapest that is as good, and why.

    Attributes
    ----------
    best : CandidateResult
        With the highest mean score.
    cheapest : CandidateResult
        That takes the least time of those within one standard error of the best; the best itself
        if none is clearly faster.
    standard_error : float
        Of the best one's mean score.
    text : str
        The reason.
    """

    best: CandidateResult
    cheapest: CandidateResult
    standard_error: float
    text: str


def recommend(results: Sequence[CandidateResult], metric: str) -> Recommendation:
    """Choose by the one-standard-error rule.

    Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984), 3.4.3: of all
    within one standard error of the best, the simplest; here that which fits and predicts fastest,
    if it takes less than 0.8 times as long as the best: smaller differences are noise of the clock.

    Parameters
    ----------
    results : sequence of CandidateResult
        At least one.
    metric : str
        One of `METRICS`.
    """
    means = [_mean(result, metric) for result in results]
    best = results[int(np.argmax(means))]
    scores = best.values(metric)
    error = float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0
    near = [r for r, mean in zip(results, means, strict=True) if mean >= max(means) - error]
    fastest = min(near, key=_cost)
    cheapest = fastest if _cost(fastest) < _CLEARLY * _cost(best) else best
    return Recommendation(best, cheapest, error, _words(results, best, cheapest, error, metric))


def _mean(result: CandidateResult, metric: str) -> float:
    return float(result.values(metric).mean())


def _cost(result: CandidateResult) -> float:
    """Return the seconds of a fit and of 1,000 predictions."""
    return result.fit_time + result.predict_time


def _words(
    results: Sequence[CandidateResult],
    best: CandidateResult,
    cheapest: CandidateResult,
    error: float,
    metric: str,
) -> str:
    name = METRIC_NAMES[metric]
    scores = best.values(metric)
    spread = f"{scores.mean():.3f} ± {scores.std():.3f}"
    tried = "the only one that ran" if len(results) == 1 else f"the highest of {len(results)}"
    first = f"Best is “{best.name}”: its {name}, {spread} over {len(scores)} folds, is {tried}."
    if len(results) == 1:
        return first
    if cheapest is best:
        return (
            f"{first} Take it: nothing clearly faster comes within one standard error "
            f"({error:.3f})."
        )
    return (
        f"{first} Cheapest within one standard error ({error:.3f}) of it is “{cheapest.name}”, "
        f"with {_mean(cheapest, metric):.3f}: a fit and 1,000 predictions take "
        f"{duration(_cost(cheapest))} instead of {duration(_cost(best))}. Take “{best.name}” if "
        f"every point counts, and “{cheapest.name}” if time does."
    )
