"""What a fitted search says of its candidates: the value each had, and how it scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_bert.errors import parameter_error

__all__ = ["SearchResults"]


@dataclass(frozen=True)
class SearchResults:
    """What a search found, a row for each candidate.

    Attributes
    ----------
    own : mapping of str to object
        The parameters of the estimator that was searched over, as they were before.
    params : list of mapping of str to object
        What each candidate set.
    scores, deviations : float ndarray of shape (n_candidates,)
        Mean and standard deviation over the folds; NaN of a fit that failed.
    seconds : float ndarray of shape (n_candidates,)
        A mean fit's.
    rounds : int ndarray of shape (n_candidates,)
        The round of a search by halving, whose later rounds have more data; 0 in others.
    """

    own: Mapping[str, Any]
    params: list[Mapping[str, Any]]
    scores: np.ndarray
    deviations: np.ndarray
    seconds: np.ndarray
    rounds: np.ndarray

    @classmethod
    def of(cls, search: Any, metric: str) -> SearchResults:
        """Return the results of a fitted search, by one of its metrics.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If it has no such metric.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(search, "cv_results_")
        found = search.cv_results_
        if f"mean_test_{metric}" not in found:
            known = [name.removeprefix("mean_test_") for name in found if "mean_test_" in name]
            raise parameter_error("metric", metric, known)
        return cls(
            search.estimator.get_params(),
            found["params"],
            np.asarray(found[f"mean_test_{metric}"]),
            np.asarray(found[f"std_test_{metric}"]),
            np.asarray(found["mean_fit_time"]),
            np.asarray(found.get("iter", np.zeros(len(found["params"]), dtype=int))),
        )

    def names(self, *parameters: str) -> list[str]:
        """Return the names of parameters, with the prefix of their step.

        One has to have been varied; the others are beside it.

        Raises
        ------
        ValueError
            If none was varied, or one of more than one step.
        """
        tried = sorted({name for row in self.params for name in row})
        ending = {end: [n for n in tried if n.split("__")[-1] == end] for end in parameters}
        varied = {end: found for end, found in ending.items() if found}
        for end, found in (varied or ending).items():
            if len(found) != 1:
                raise ValueError(
                    f"The search varied {tried}, of which {len(found)} end with {end!r}. "
                    f"Accepted: a search that varied one such parameter."
                )
        one = next(iter(varied))
        step = varied[one][0].removesuffix(one)
        return [varied.get(end, [step + end])[0] for end in parameters]

    def values(self, name: str) -> list[Any]:
        """Return the value that each candidate has, None where there is none.

        Lists are tuples, and NumPy's numbers and strings are Python's: one of those compared with a
        tuple is an array.

        Raises
        ------
        ValueError
            If there is none at all.
        """
        found = [self._value(row, name) for row in self.params]
        if all(value is None for value in found):
            raise ValueError(f"No candidate of the search has {name!r}.")
        return [_plain(value) for value in found]

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        """Return a candidate's value: what was set, of the step that was set, or the own one."""
        if name in row:
            return row[name]
        parts = name.split("__")
        for end in range(len(parts) - 1, 0, -1):
            step = row.get("__".join(parts[:end]))
            if step is not None:
                params = step.get_params() if hasattr(step, "get_params") else {}
                return params.get("__".join(parts[end:]))
        return self.own.get(name)

    def best_by(self, keys: list[Any]) -> dict[Any, int]:
        """Return the row with the best score for each key but None; a fit that failed is worst.

        Of a search by halving it is one of the last round that the key was in.
        """
        scores = np.where(np.isnan(self.scores), -np.inf, self.scores)
        worth = list(zip(np.isfinite(scores), self.rounds, scores, strict=True))
        best: dict[Any, int] = {}
        for row, key in enumerate(keys):
            if key is not None and (key not in best or worth[row] > worth[best[key]]):
                best[key] = row
        return best


def _plain(value: Any) -> Any:
    """Return a value that can be a key, beside any other."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value
