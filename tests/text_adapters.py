"""Estimators of texts that take rows of numbers, so that scikit-learn's checks run on them.

An adapter is a subclass that turns each row into a text, one word for each column, and does what
scikit-learn demands of numeric input. All else is the estimator's own: parameters, targets,
weights, randomness, fitted state, what comes out.
"""

import functools
import inspect
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from tests.models import bert_that_knows, save

# The widest rows that scikit-learn's checks have.
_COLUMNS = 30
_LEVELS = 12

# Trains on all rows at once and in float64, so that weights of samples count exactly as
# repetitions do, which scikit-learn checks to seven digits.
_TRAINING = {
    "precision": "float64",
    "batch_size": 1000,
    "max_epochs": 20,
    "head_lr": 0.02,
    "lr": 0.01,
    "warmup": 0.0,
    "device": "cpu",
    "random_state": 0,
}

# A new estimator joins here: what has to be set for it to learn from a few rows.
SETTINGS: dict[type, dict[str, Any]] = {
    BertFeaturizer: {"precision": "float64", "device": "cpu"},
    BertFineTuneClassifier: _TRAINING | {"freeze": -1, "dropout": 0.0},
    BertFineTuneRegressor: _TRAINING | {"freeze": -1, "dropout": 0.0},
    BertMaskedLM: _TRAINING | {"chunk_length": 16, "max_epochs": 1},
}

# What two columns, or tuples of two, mean nothing to.
SINGLE_TEXTS = {BertMaskedLM}

_READ_X = ("fit", "transform", "predict", "predict_proba", "decision_function")
# Where there are predictions, scores are computed from them.
_READ_X_WITHOUT_PREDICTIONS = (*_READ_X, "score")


def as_texts(X: np.ndarray) -> list[str]:
    """Return a text for each row, with a word for each column that names its level."""
    levels = np.rint(4 * np.arcsinh(X.astype(np.float64))).clip(-_LEVELS, _LEVELS).astype(int)
    return [" ".join(map(_word, range(X.shape[1]), row)) for row in levels.tolist()]


def save_model(folder):
    """Save a tiny model that knows the words of rows, and return the folder.

    It has no dropout. Words of neighbouring levels are alike, as a pretrained model would have it.
    """
    levels = range(-_LEVELS, _LEVELS + 1)
    words = [[_word(column, level) for level in levels] for column in range(_COLUMNS)]
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    family = bert_that_knows([word for column in words for word in column])
    model, tokenizer = family.build(
        num_hidden_layers=2, hidden_size=64, initializer_range=0.02, **no_dropout
    )
    embeddings = model.get_input_embeddings().weight.data
    high, low = torch.randn(2, _COLUMNS, 64, generator=torch.Generator().manual_seed(0))
    for number, column in enumerate(words):
        share = torch.linspace(0, 1, len(levels))[:, None]
        ids = tokenizer.convert_tokens_to_ids(column)
        embeddings[ids] = share * high[number] + (1 - share) * low[number]
    return save(folder, model, tokenizer)


def _word(column: int, level: int) -> str:
    return f"c{column}l{level + _LEVELS}"


def _reading_rows(method: Any) -> Any:
    @functools.wraps(method)
    def on_rows(self, X, *args, **kwargs):
        X = validate_data(self, X, reset=method.__name__ == "fit")
        return method(self, as_texts(X), *args, **kwargs)

    return on_rows


def _tags_of_rows(self):
    tags = super(type(self), self).__sklearn_tags__()
    tags.input_tags.string = False
    tags.input_tags.one_d_array = False
    tags.input_tags.two_d_array = True
    return tags


def _adapter(estimator: type) -> type:
    """Return a subclass of an estimator that takes rows of numbers."""
    reading = _READ_X if hasattr(estimator, "predict") else _READ_X_WITHOUT_PREDICTIONS
    names = [name for name in reading if hasattr(estimator, name)]
    methods = {name: _reading_rows(inspect.getattr_static(estimator, name)) for name in names}
    own = {"__sklearn_tags__": _tags_of_rows, "__module__": __name__, "__doc__": estimator.__doc__}
    return type(f"{estimator.__name__}OfRows", (estimator,), methods | own)


ADAPTERS = {estimator: _adapter(estimator) for estimator in SETTINGS}
# Where pickle finds them.
globals().update({adapter.__name__: adapter for adapter in ADAPTERS.values()})
