"""What is said when something can't be done: the package's errors and warnings.

Every message names the parameter, the value, what is accepted and the remedy.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

__all__ = [
    "TESTED",
    "CacheWarning",
    "LongTextWarning",
    "ModelLoadError",
    "ModelNotFoundError",
    "TableError",
    "TrainingDivergedError",
    "architecture_error",
    "parameter_error",
    "shortened",
    "shown",
    "warn_caller",
    "warn_cut",
]

# Architectures that the suite runs, as people know them.
TESTED = (
    "BERT",
    "DistilBERT",
    "RoBERTa",
    "XLM-R",
    "ELECTRA",
    "ALBERT",
    "MPNet",
    "DeBERTa",
    "ModernBERT",
)
_SHOWN = 200
# Packages whose lines are not those of the user; scikit-learn's searches call by joblib.
_INSIDE = (__name__.partition(".")[0], "sklearn", "joblib")


class ModelNotFoundError(OSError):
    """No place that was looked in has the model that was asked for."""


class ModelLoadError(ValueError):
    """The model was found, but it can't be used, or must not be."""


class TableError(ValueError):
    """A file of rows can't be read or written, or has no such column."""


class LongTextWarning(UserWarning):
    """Texts were longer than ``max_length`` and lost their ends.

    Attributes
    ----------
    found : str
        What was found, without what to do about it.
    """

    def __init__(self, found: str, remedy: str = "") -> None:
        super().__init__(f"{found} {remedy}".rstrip())
        self.found = found


class TrainingDivergedError(ArithmeticError):
    """The loss of a training became infinite or no number."""


class CacheWarning(UserWarning):
    """The store on disk can't be read or written; results are computed instead."""


def architecture_error(model: Any, what: str) -> ModelLoadError:
    """Build the error for a model that is whole, but not made as this package needs it.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    what : str
        What is wrong with it, as a clause.

    Returns
    -------
    ModelLoadError
        To be raised by the caller.
    """
    return ModelLoadError(
        f"{type(model).__name__} (model type {model.config.model_type!r}) is an architecture that "
        f"can't be used: {what}. Take an encoder of texts instead; tested are {', '.join(TESTED)}."
    )


def parameter_error(
    name: str, value: Any, accepted: str | Iterable[Any], remedy: str = ""
) -> ValueError:
    """Build the error for a parameter whose value can't be used.

    Parameters
    ----------
    name : str
        The parameter.
    value : object
        What was passed.
    accepted : str or iterable
        What would have been accepted: a phrase, or the list of choices.
    remedy : str, default=""
        What to do now, as a sentence.

    Returns
    -------
    ValueError
        To be raised by the caller.
    """
    if not isinstance(accepted, str):
        accepted = ", ".join(repr(choice) for choice in accepted)
    message = f"{name}={shown(value)} can't be used. Accepted: {accepted}."
    return ValueError(f"{message} {remedy}".rstrip())


def shown(value: Any, width: int = _SHOWN) -> str:
    """Return the repr of any value, of which a long one loses its end."""
    try:
        text = repr(value)
    except Exception:  # whatever a repr of somebody else's raises
        return f"<{type(value).__name__}>"
    return shortened(text, width)


def shortened(text: str, width: int = _SHOWN) -> str:
    """Return a text, of which a long one loses its end."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def warn_caller(message: str | Warning, category: type[Warning]) -> None:
    """Warn at the line, outside this package, scikit-learn and joblib, that called into them."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def warn_cut(n_cut: int, n_texts: int, max_length: int, limit: int, otherwise: str) -> None:
    """Warn that texts were cut, if some were.

    Parameters
    ----------
    n_cut, n_texts : int
        How many were cut, and how many there were.
    max_length, limit : int
        Tokens that were read, and those that the model could read.
    otherwise : str
        What else helps, as the end of a sentence.
    """
    if not n_cut:
        return
    read, remedy = f"{max_length} tokens", f"Raise max_length (the model's limit is {limit})"
    if max_length == limit:
        read, remedy = f"{read}, the model's limit,", "Take a model with a longer limit"
    found = f"{n_cut:,} of {n_texts:,} texts are longer than {read} and were cut there."
    warn_caller(LongTextWarning(found, f"{remedy}, or {otherwise}."), LongTextWarning)
