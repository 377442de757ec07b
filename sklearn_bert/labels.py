"""Labels of every kind: one for each text, a set of them, or one for each of several tasks.

Each kind says how labels become targets, which net trains on them, and what its outputs mean.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Number, Real
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sklearn_bert.arrays import as_array
from sklearn_bert.errors import parameter_error, shown, warn_caller
from sklearn_bert.samples import Samples
from sklearn_bert.training.losses import (
    MISSING_TARGET,
    BinaryCrossEntropy,
    CrossEntropy,
    TaskCrossEntropy,
)
from sklearn_bert.training.net import ClassifierNet, FineTuning, LabelSetNet, TasksNet
from sklearn_bert.validation import as_float, check_no_missing, check_target_given, is_missing

__all__ = ["KINDS", "Labels", "are_there", "as_labels", "learn_labels"]

_ACCEPTED = (
    "one label for each text (strings, integers or booleans), or one row of labels; for numbers "
    "use BertFineTuneRegressor"
)
# The kinds of arrays of numbers and of truth values.
_NUMBERS = "biuf"
# From here on integers have more than 64 bits, unless all are positive.
_LARGE = 2**63


class Labels(ABC):
    """Labels of one kind, as learnt from y.

    Attributes
    ----------
    classes : ndarray or list of ndarray
        The labels, as `classes_` has them.
    n_outputs : int
        Outputs that the head needs.
    """

    classes: Any
    n_outputs: int

    @abstractmethod
    def encode(self, name: str, y: Any) -> np.ndarray:
        """Return the targets of `y`; the parameter is called `name` in errors."""

    @abstractmethod
    def net(self, module: Any, label_smoothing: float, **settings: Any) -> FineTuning:
        """Return a net that trains on such targets."""

    @abstractmethod
    def probabilities(self, outputs: np.ndarray) -> Any:
        """Return what `predict_proba` returns."""

    @abstractmethod
    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """Return labels, as y has them."""

    def decisions(self, outputs: np.ndarray) -> np.ndarray:
        """Return what `decision_function` returns."""
        return outputs

    def strata(self, targets: np.ndarray) -> np.ndarray | None:
        """Return what a hold-out keeps the proportions of."""
        return None

    def labelled(self, targets: np.ndarray) -> np.ndarray:
        """Return which samples have a label at all."""
        return np.ones(len(targets), dtype=bool)

    def weights(self, class_weight: Any, samples: Samples) -> np.ndarray | None:
        """Return the weight of each training sample that its class gives it."""
        if class_weight is not None:
            remedy = "With several labels for a text pass sample_weight to fit."
            raise parameter_error("class_weight", class_weight, "None", remedy)
        return None

    def check_contrast(self, contrastive_weight: float) -> None:
        """Refuse contrasts where a text has no class."""
        if contrastive_weight:
            remedy = "With several labels for a text there are no classes to hold apart."
            raise parameter_error("contrastive_weight", contrastive_weight, "0", remedy)


@dataclass(frozen=True)
class OneLabel(Labels):
    """One label for each text."""

    classes: np.ndarray

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """One for each class."""
        return len(self.classes)

    def encode(self, name: str, y: Any) -> np.ndarray:
        """Return class numbers."""
        _check_columns(name, y, 1)
        unseen = np.unique(y[~_are_known(y, self.classes)])
        if len(unseen):
            raise ValueError(
                f"{name} has classes that the model does not know: {unseen.tolist()}. Known are "
                f"{self.classes.tolist()}. Drop these rows, or add such to X and y (without "
                f"warm_start)."
            )
        return np.searchsorted(self.classes, y).astype(np.int64)

    def net(self, module: Any, label_smoothing: float, **settings: Any) -> FineTuning:
        """Return a net with one softmax."""
        return ClassifierNet(
            module,
            criterion=CrossEntropy,
            criterion__label_smoothing=label_smoothing,
            classes=np.arange(self.n_outputs),
            **settings,
        )

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return an array of shape (n_samples, n_classes)."""
        return softmax(outputs, axis=1)

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """Return the most probable class."""
        return self.classes[outputs.argmax(axis=1)]

    def decisions(self, outputs: np.ndarray) -> np.ndarray:
        """Return logits; with two classes the log-odds of the second."""
        return outputs[:, 1] - outputs[:, 0] if self.n_outputs == 2 else outputs

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return the classes themselves."""
        return targets

    def weights(self, class_weight: Any, samples: Samples) -> np.ndarray | None:
        """Return the weight of each sample by its class."""
        if class_weight is None:
            return None
        targets = samples.y
        of_class = np.zeros(self.n_outputs)
        if isinstance(class_weight, str) and class_weight == "balanced":
            present = np.unique(targets)
            # Scaled, as sums of the largest weights are too big for a float.
            weights = samples.weighted(None).weights
            of_class[present] = compute_class_weight(
                "balanced", classes=present, y=targets, sample_weight=weights
            )
            return of_class[targets]
        known = self.classes.tolist()
        # A fold may lack a class; where none is known, it is a mistake.
        if isinstance(class_weight, dict) and (not class_weight or set(class_weight) & set(known)):
            numbers = class_weight.values()
            if all(isinstance(w, Real) and 0 <= as_float(w) < math.inf for w in numbers):
                of_class[:] = [class_weight.get(label, 1.0) for label in known]
                return of_class[targets]
        raise parameter_error(
            "class_weight",
            class_weight,
            "None, 'balanced', or a dict from labels, some of them in y, to numbers of at least 0",
            f"The classes of y are {known}.",
        )

    def check_contrast(self, contrastive_weight: float) -> None:
        """Accept them."""


@dataclass(frozen=True)
class LabelSet(Labels):
    """Any number of labels for each text: y is an indicator matrix."""

    n_outputs: int

    @property
    def classes(self) -> np.ndarray:
        """The columns, as scikit-learn numbers them."""
        return np.arange(self.n_outputs)

    def encode(self, name: str, y: Any) -> np.ndarray:
        """Return the indicators as floats."""
        _check_columns(name, y, self.n_outputs)
        if not _are_indicators(y):
            raise ValueError(f"{name} has values other than 0 and 1. Accepted: 0 and 1, as y had.")
        return y.astype(np.float32)

    def net(self, module: Any, label_smoothing: float, **settings: Any) -> FineTuning:
        """Return a net with a sigmoid for each label."""
        return LabelSetNet(
            module,
            criterion=BinaryCrossEntropy,
            criterion__label_smoothing=label_smoothing,
            classes=self.classes,
            **settings,
        )

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return an array of shape (n_samples, n_labels)."""
        return expit(outputs)

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """Return an indicator matrix."""
        return (outputs > 0).astype(np.int64)


@dataclass(frozen=True)
class Tasks(Labels):
    """One label for each of several tasks; labels that are missing are left out of the loss."""

    classes: list[np.ndarray]

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """All classes of all tasks."""
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Classes of each task."""
        return [len(classes) for classes in self.classes]

    def encode(self, name: str, y: Any) -> np.ndarray:
        """Return class numbers, and a number of its own for what is missing."""
        _check_columns(name, y, len(self.classes))
        targets = np.full(y.shape, MISSING_TARGET, dtype=np.int64)
        for task, classes in enumerate(self.classes):
            present, of_task = _of_task(name, y, task)
            targets[present, task] = OneLabel(classes).encode(f"{name}[:, {task}]", of_task)
        if not self.labelled(targets).any():
            raise ValueError(f"{name} has no labels. Accepted: at least one.")
        return targets

    def labelled(self, targets: np.ndarray) -> np.ndarray:
        """Return which samples have a label of any task."""
        return (targets != MISSING_TARGET).any(axis=1)

    def net(self, module: Any, label_smoothing: float, **settings: Any) -> FineTuning:
        """Return a net with a softmax for each task."""
        return TasksNet(
            module,
            criterion=TaskCrossEntropy,
            criterion__sizes=self.sizes,
            criterion__label_smoothing=label_smoothing,
            sizes=self.sizes,
            classes=np.arange(max(self.sizes)),
            **settings,
        )

    def probabilities(self, outputs: np.ndarray) -> list[np.ndarray]:
        """Return an array of shape (n_samples, n_classes) for each task, in a list."""
        return [softmax(of_task, axis=1) for of_task in self._split(outputs)]

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """Return an array of shape (n_samples, n_tasks)."""
        columns = [
            classes[of_task.argmax(axis=1)]
            for classes, of_task in zip(self.classes, self._split(outputs), strict=True)
        ]
        kinds = {column.dtype.kind for column in columns}
        dtype = columns[0].dtype if len(kinds) == 1 and kinds != {"U"} else object
        return np.column_stack([column.astype(dtype) for column in columns])

    def decisions(self, outputs: np.ndarray) -> Any:
        """Return the logits of each task, in a list."""
        return self._split(outputs)

    def _split(self, outputs: np.ndarray) -> list[np.ndarray]:
        return np.split(outputs, np.cumsum(self.sizes)[:-1], axis=1)


KINDS = (OneLabel, LabelSet, Tasks)


def learn_labels(y: Any) -> Labels:
    """Return the labels that an array from `as_labels` has.

    Raises
    ------
    ValueError
        If there is only one class where there have to be two.
    """
    if y.ndim == 1:
        return OneLabel(_classes("y", y))
    if _are_indicators(y):
        return LabelSet(y.shape[1])
    tasks = range(y.shape[1])
    return Tasks([_classes(f"y[:, {task}]", _of_task("y", y, task)[1]) for task in tasks])


def as_labels(name: str, y: Any, n_samples: int) -> np.ndarray:
    """Return labels as an array of one or two dimensions, or raise for what is none."""
    check_target_given(name, y)
    array = as_array(name, y, n_samples, "labels", _ACCEPTED)
    if array.dtype.kind == "c":
        raise ValueError(f"{name} has complex numbers. Accepted: {_ACCEPTED}.")
    if array.ndim == 2 and array.shape[1] == 1:
        warn_caller(
            f"A column-vector {name} was passed when a 1d array was expected. Change its shape to "
            f"(n_samples,), for example by {name}.ravel().",
            DataConversionWarning,
        )
        array = array.ravel()
    if array.dtype.kind == "V":
        raise TypeError(f"{name} is an array of records. Accepted: {_ACCEPTED}.")
    if array.dtype.kind in "mM":
        raise TypeError(
            f"{name} is an array of {array.dtype}. Accepted: {_ACCEPTED}. Pass {name}.astype(str)."
        )
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}. Accepted: {_ACCEPTED}.")
    if array.ndim == 1:
        check_no_missing(name, array)
        if array.dtype.kind == "f" and np.isinf(array).any():
            raise ValueError(f"{name} has infinite values. Accepted: labels. Drop these rows.")
        return _checked_classes(name, array)
    return _narrowed(array)


def are_there(y: np.ndarray) -> np.ndarray:
    """Return which labels of an array from `as_labels` are not missing."""
    there = [not is_missing(label) for label in y.ravel().tolist()]
    return np.array(there, dtype=bool).reshape(y.shape)


def _checked_classes(name: str, y: np.ndarray) -> np.ndarray:
    """Return labels none of which is missing, or raise for what can't be classes."""
    if y.dtype.kind == "O" and not all(isinstance(label, str) for label in y):
        scalars = all(isinstance(label, (Number, np.generic)) for label in y)
        narrow = np.array(y.tolist()) if scalars else y
        if narrow.dtype.kind not in _NUMBERS:
            _check_size(name, narrow)
            kinds = ", ".join(sorted({type(label).__name__ for label in y}))
            raise TypeError(
                f"{name} has labels of these types: {kinds}. Accepted: {_ACCEPTED}. Pass "
                f"[str(label) for label in {name}]."
            )
        y = narrow
    if y.dtype.kind == "f":
        _check_size(name, y)
    try:
        type_of_target(y, input_name=name)
        check_classification_targets(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} can't be used: {error} Accepted: {_ACCEPTED}.") from error
    return y


def _check_size(name: str, y: np.ndarray) -> None:
    """Refuse numbers beyond 64 bits, of which NumPy makes objects, or floats that are alike."""
    numbers: list[Any] = [label for label in y.tolist() if isinstance(label, (Integral, float))]
    large = [number for number in numbers if _LARGE <= abs(number) < math.inf]
    if large:
        raise ValueError(
            f"{name} has labels as large as {shown(large[0])}. Accepted: {_ACCEPTED}, and numbers "
            f"below 2**63. Pass [str(label) for label in {name}]."
        )


def _narrowed(y: np.ndarray) -> np.ndarray:
    """Return zeros and ones as integers, which tables with columns of several types have not."""
    if y.dtype.kind != "O":
        return y
    items = y.ravel().tolist()
    indicators = all(isinstance(item, (Real, np.bool_)) and item in (0, 1) for item in items)
    return y.astype(np.int64) if indicators else y


def _are_known(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return which labels are among the classes; NumPy takes "1" for 1 where there are many."""
    if (y.dtype.kind in _NUMBERS) != (classes.dtype.kind in _NUMBERS):
        return np.zeros(len(y), dtype=bool)
    return np.isin(y, classes)


def _are_indicators(y: np.ndarray) -> bool:
    return y.dtype.kind in _NUMBERS and set(np.unique(y).tolist()) <= {0, 1}


def _check_columns(name: str, y: np.ndarray, expected: int) -> None:
    found = 1 if y.ndim == 1 else y.shape[1]
    if found != expected:
        raise ValueError(f"{name} has {found} column(s). Accepted: {expected}, as the model knows.")


def _of_task(name: str, y: np.ndarray, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which labels of a task are there, and these."""
    present = are_there(y[:, task])
    labels = y[present, task]
    if len(labels):
        labels = _checked_classes(f"{name}[:, {task}]", labels)
    return present, np.array(labels.tolist())


def _classes(name: str, y: np.ndarray) -> np.ndarray:
    classes = np.unique(y)
    if len(classes) < 2:
        found = f"one class, {classes.tolist()[0]!r}" if len(classes) else "no labels"
        raise ValueError(f"{name} has {found}. Accepted: labels of at least 2 classes.")
    return classes
