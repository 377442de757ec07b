"""What tests go through for each estimator: all parameters, and what else a table lists."""

from collections.abc import Iterable

import pytest

from sklearn_bert import BertFineTuneRegressor


def parameters_of(estimators: Iterable[type]) -> list[tuple[type, str]]:
    """Return each parameter's name with the estimator that has it."""
    return [(estimator, name) for estimator in estimators for name in estimator().get_params()]


def regressors_are_slow(pairs: Iterable[tuple[type, str]]) -> list[object]:
    """Return pairs of an estimator and a name for pytest, those of regressors for the slow tests.

    What a regressor does with parameters and failures is done by the base that it shares with the
    classifier.
    """
    return [
        pytest.param(*pair, marks=[pytest.mark.slow] if pair[0] is BertFineTuneRegressor else [])
        for pair in pairs
    ]
