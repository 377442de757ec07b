"""What `test_leaks` does again and again, in processes of its own."""

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor
from sklearn_bert.errors import ModelNotFoundError, TrainingDivergedError
from tests.models import TEXTS

X = [f"{text} {number}" for number in range(2) for text in TEXTS]
Y = np.arange(len(X)) % 2
FREEZES = ["all", -1, 1, "embeddings", "none"]


def fit(model, cache, number):
    """Fit and use estimators, each time others and at another depth."""
    settings = {"freeze": FREEZES[number % len(FREEZES)], "max_epochs": 1, "cache": cache}
    BertFeaturizer(model, cache=cache).fit(X).transform(X)
    if number % 2:
        tuned = BertFineTuneClassifier(model, early_stopping=number % 3 == 0, **settings)
    else:
        tuned = BertFineTuneRegressor(model, gradual_unfreezing=number % 3 == 0, **settings)
    assert tuned.fit(X, Y).predict(X).shape == (len(X),)


class Fails(Callback):
    """Fails in the middle of training."""

    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, **ignored):
        raise self.error("a callback failed")


# Before the model is loaded, when it is, before training, and in it.
_FAILURES = [
    ({}, [*X[:-1], None], Y, ValueError),
    ({}, X, Y[:-1], ValueError),
    ({"pooling": "no such"}, X, Y, ValueError),
    ({"model": "/no/such/model"}, X, Y, ModelNotFoundError),
    ({"max_length": 10**6}, X, Y, ValueError),
    ({"freeze": 99}, X, Y, ValueError),
    ({"early_stopping": True, "validation_fraction": 0.999}, X, Y, ValueError),
    ({"lr": 1e30, "head_lr": 1e30, "max_epochs": 5}, X, Y, TrainingDivergedError),
    ({"callbacks": [Fails(OSError)]}, X, Y, OSError),
    ({"callbacks": [Fails(MemoryError)]}, X, Y, MemoryError),
]


def fail(model, cache, number):
    """Fail to fit what was fitted, each time in another way, at another depth."""
    round_, way = divmod(number, len(_FAILURES))
    changes, texts, labels, error = _FAILURES[way]
    estimator = (BertFineTuneClassifier, BertFineTuneRegressor)[(round_ + way) % 2]
    fitted = estimator(model, cache=cache, freeze="all", max_epochs=1, random_state=0).fit(X, Y)
    fitted.set_params(**({"freeze": FREEZES[(round_ + way) % len(FREEZES)]} | changes))
    with pytest.raises(error):
        fitted.fit(texts, labels)
    assert fitted.predict(X).shape == (len(X),)
