"""Which values the parameters of estimators that fine-tune can have.

What depends on the model (`freeze`, `unfreeze`, `max_length`) or on the labels (`class_weight`) is
checked where these are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sklearn_bert.encoder.pairs import PAIRS
from sklearn_bert.encoder.pooling import POOLINGS
from sklearn_bert.errors import parameter_error
from sklearn_bert.training.callbacks import check_callbacks, check_one_schedule
from sklearn_bert.training.module import ACTIVATIONS
from sklearn_bert.training.schedule import SCHEDULES
from sklearn_bert.validation import (
    check_choice,
    check_integer,
    check_number,
    check_verbose,
    is_word,
    one_or_list,
)

__all__ = ["check_tuning_parameters", "head_sizes", "seed_from"]

_CHOICES: dict[str, Iterable[Any]] = {
    "precision": ("auto", "float32", "bfloat16", "float64"),
    "pairs": PAIRS,
    "activation": ACTIVATIONS,
    "lr_schedule": SCHEDULES,
    "gradual_unfreezing": (True, False),
    "gradient_checkpointing": (True, False),
    "early_stopping": (True, False),
    "warm_start": (True, False),
    "whole_word_masking": (True, False),
}
_COUNTS = ("max_epochs", "batch_size", "gradient_accumulation", "n_iter_no_change")
# What random_state draws seeds from.
_SEEDS = 2**31 - 1
# The least number above 0.
_POSITIVE = math.ulp(0.0)
# Lowest value, what it stays below, and how that is said.
_RANGES = {
    "dropout": (0.0, 1.0, "a number of at least 0 and below 1"),
    "label_smoothing": (0.0, 1.0, "a number of at least 0 and below 1"),
    "contrastive_weight": (0.0, math.inf, "a number of at least 0"),
    "mlm_probability": (_POSITIVE, 1.0, "a number above 0 and below 1"),
    "lr": (_POSITIVE, math.inf, "a number above 0"),
    "head_lr": (_POSITIVE, math.inf, "a number above 0"),
    "layer_lr_decay": (_POSITIVE, math.inf, "a number above 0"),
    "weight_decay": (0.0, math.inf, "a number of at least 0"),
    "max_grad_norm": (_POSITIVE, math.inf, "a number above 0, or None for no clipping"),
    "validation_fraction": (_POSITIVE, 1.0, "a number above 0 and below 1"),
}
# What may be "auto" wherever it is a parameter.
_AUTO = ("lr", "head_lr")


def check_tuning_parameters(estimator: Any, least_epochs: int = 1) -> None:
    """Raise for the first parameter that can't be used.

    Parameters
    ----------
    estimator : BertFineTuneBase or BertMaskedLM
        Has the parameters as attributes; those of other tasks may be missing.
    least_epochs : int, default=1
        What `max_epochs` may not be below.

    Raises
    ------
    ValueError
        With the parameter, its value, and what is accepted.
    """
    parameters = estimator.get_params(deep=False)
    for pooling in one_or_list("pooling", parameters.get("pooling", "mean")):
        check_choice("pooling", pooling, POOLINGS)
    if is_word(parameters["precision"], "float16"):
        remedy = "Gradients are too small for float16."
        raise parameter_error("precision", "float16", _CHOICES["precision"], remedy)
    for name, choices in _CHOICES.items():
        if name in parameters:
            check_choice(name, parameters[name], choices)
    for name in _COUNTS:
        least = least_epochs if name == "max_epochs" else 1
        accepted = f"an integer of at least {least}"
        check_integer(name, parameters[name], minimum=least, accepted=accepted)
    for name, (minimum, below, accepted) in _RANGES.items():
        value = parameters.get(name, minimum)
        if name in _AUTO:
            if is_word(value, "auto"):
                continue
            accepted = f"'auto', or {accepted}"
        if not (name == "max_grad_norm" and value is None):
            check_number(name, value, minimum=minimum, below=below, accepted=accepted)
    _check_warmup(parameters["warmup"])
    head_sizes(parameters.get("hidden_layer_sizes", ()))
    check_verbose(parameters["verbose"])
    check_callbacks(parameters["callbacks"])
    check_one_schedule(parameters["callbacks"], parameters["lr_schedule"], parameters["warmup"])


def head_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the sizes of a head's hidden layers, of which one alone may be a number."""
    is_list = isinstance(sizes, Sequence) or (isinstance(sizes, np.ndarray) and sizes.ndim == 1)
    listed = tuple(sizes) if is_list and not isinstance(sizes, (str, bytes)) else (sizes,)
    if all(_is_count(size) for size in listed):
        return tuple(int(size) for size in listed)
    raise parameter_error(
        "hidden_layer_sizes",
        sizes,
        "a tuple of integers of at least 1, such as (128, 64), or () for a linear head",
    )


def seed_from(random_state: Any) -> int:
    """Return a seed, drawn from what `random_state` is."""
    try:
        return int(check_random_state(random_state).randint(_SEEDS))
    except (TypeError, ValueError) as error:
        # scikit-learn 1.8 stumbles over a tuple when it says that it takes none.
        accepted = "None, an integer of 0 to 4294967295, or a numpy.random.RandomState"
        raise parameter_error("random_state", random_state, accepted) from error


def _is_count(size: Any) -> bool:
    return not isinstance(size, bool) and isinstance(size, Integral) and int(size) >= 1


def _check_warmup(warmup: Any) -> None:
    accepted = "a share of at least 0 and below 1, or a number of steps"
    below = math.inf if isinstance(warmup, Integral) else 1.0
    check_number("warmup", warmup, minimum=0, below=below, accepted=accepted)
