"""The skorch nets that train: accumulation, schedule, weights of samples, and stopping.

Its traps are dealt with here: no data is held out unless asked, an exception in a callback that
means "stop" is told apart from Ctrl-C, and a loss that is no number ends the training.
"""

from __future__ import annotations

import contextlib
import dis
import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import Any

import numpy as np
import torch
from sklearn.metrics import r2_score
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EarlyStopping, EpochScoring, LRScheduler
from skorch.helper import predefined_split
from skorch.utils import TeeGenerator, to_numpy
from torch import nn, softmax
from torch.optim import Optimizer

from sklearn_bert.encoder.execution import to_device, without_autocast
from sklearn_bert.encoder.hooks import arguments_of
from sklearn_bert.errors import TrainingDivergedError
from sklearn_bert.training.batches import Batches, LabelledTexts, TrainingData
from sklearn_bert.training.losses import MISSING_TARGET, contrastive_loss
from sklearn_bert.training.module import FineTuneModule
from sklearn_bert.training.schedule import count_steps, scheduler

__all__ = [
    "ClassifierNet",
    "FineTuning",
    "LabelSetNet",
    "RegressorNet",
    "TasksNet",
    "interruptible",
]


class _Interrupted(BaseException):
    """Ctrl-C while a callback of ours is at work; never leaves this module."""


class _Stop(Exception):
    """A callback asked to stop; never leaves this module."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C in a callback's long work reach the user; else it would mean "stop"."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted from None


class FineTuning:
    """What nets of all tasks share; mixed into a net of skorch.

    Parameters
    ----------
    schedule, warmup : str, float
        See `schedule.factor`.
    gradient_accumulation : int
        Batches for one step of the optimizer.
    max_grad_norm : float or None
        What gradients are scaled down to.
    seed : int
        Fixes the order of the batches.
    make_optimizer : callable
        From the module to its optimizer.
    """

    schedule: str
    warmup: float
    gradient_accumulation: int
    max_grad_norm: float | None
    seed: int

    def __init__(
        self,
        *args: Any,
        schedule: str = "linear",
        warmup: float = 0.1,
        gradient_accumulation: int = 1,
        max_grad_norm: float | None = None,
        seed: int = 0,
        make_optimizer: Callable[[FineTuneModule], Optimizer] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.make_optimizer = make_optimizer
        self.schedule = schedule
        self.warmup = warmup
        self.gradient_accumulation = gradient_accumulation
        self.max_grad_norm = max_grad_norm
        self.seed = seed

    def train(self: Any, dataset: TrainingData, validation: TrainingData | None) -> None:
        """Train on `dataset`; unlike skorch's `fit`, Ctrl-C is not swallowed."""
        self.train_split = None if validation is None else predefined_split(validation)
        self.initialize()
        self.order_ = np.random.default_rng(self.seed)
        self.n_batches_ = -(-len(dataset) // self.batch_size)
        steps = count_steps(
            len(dataset), self.batch_size, self.gradient_accumulation, self.max_epochs
        )
        self.scheduler_ = scheduler(self.optimizer_, self.schedule, steps, self.warmup)
        self.batch_number_, self.stops_ = 0, False
        try:
            with contextlib.suppress(_Stop):
                self.notify("on_train_begin", X=dataset, y=None)
                self.fit_loop(dataset, None)
            with contextlib.suppress(_Stop):
                self.notify("on_train_end", X=dataset, y=None)
        except _Interrupted:
            raise KeyboardInterrupt from None
        finally:
            self._empty_callbacks()

    def _empty_callbacks(self: Any) -> None:
        """Take optimizer and weights from callbacks of skorch, a parameter of the estimator.

        An optimizer has all that was trained and twice as much of its own, on the device: each
        fitted estimator would keep that, and its pickle have tensors that know their device.
        """
        for _, callback in self.callbacks_:
            if isinstance(callback, LRScheduler):
                callback.lr_scheduler_ = None
            if isinstance(callback, EarlyStopping):
                callback.best_model_weights_ = None

    def release(self: Any) -> None:
        """Let go of what only training needs."""
        self.optimizer_ = self.scheduler_ = self.order_ = None
        self.train_split = self.make_optimizer = None
        self.module_.zero_grad(set_to_none=True)
        for callback in self.callbacks_ or ():
            getattr(callback[1], "release", lambda: None)()

    def initialize_optimizer(self: Any, triggered_directly: bool | None = None) -> Any:
        """Make the optimizer of the groups that learn at their own rates."""
        self.optimizer_ = self.make_optimizer(self.module_)
        return self

    def notify(self: Any, method_name: str, **cb_kwargs: Any) -> None:
        """Call callbacks, which stop the training with KeyboardInterrupt in skorch."""
        try:
            super().notify(method_name, **cb_kwargs)  # type: ignore[misc]
        except KeyboardInterrupt as error:
            raise (_Stop if _was_raised(error) else _Interrupted) from None
        if method_name == "on_epoch_end" and self.stops_:
            raise _Stop

    def stop(self: Any) -> None:
        """Have the training end with this epoch, once all callbacks have seen it."""
        self.stops_ = True

    def get_iterator(self: Any, dataset: Any, training: bool = False) -> Batches:
        """Iterate over batches of like length in training, and in order otherwise."""
        return Batches(dataset, self.batch_size, self.order_ if training else None)

    def train_step(self: Any, batch: Any, **fit_params: Any) -> Any:
        """Run a batch forward and backward, and the optimizer after each so many."""
        of_epoch = self.batch_number_ % self.n_batches_ + 1
        self.batch_number_ += 1
        if (of_epoch - 1) % self.gradient_accumulation == 0:
            self.optimizer_.zero_grad(set_to_none=True)
            self.n_first_, self.added_ = len(batch[1]), 0.0
        # What the loss is a mean of, texts or masked tokens, in batches as large as the first.
        self.share_ = len(batch[1]) / self.n_first_
        self.added_ += self.share_
        step = self.train_step_single(batch, **fit_params)
        if not math.isfinite(step["loss"].item()):
            raise TrainingDivergedError(f"The loss is {step['loss'].item()}.")
        if of_epoch % self.gradient_accumulation == 0 or of_epoch == self.n_batches_:
            parameters = self.module_.trained_parameters()
            _divide(parameters, self.added_)
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
            if self.max_grad_norm is not None:
                _clip(parameters, self.max_grad_norm)
            self.optimizer_.step()
            self.scheduler_.step()
        return step

    def train_step_single(self: Any, batch: Any, **fit_params: Any) -> dict[str, torch.Tensor]:
        """Run a batch forward and backward; those whose gradients are added up are as one."""
        inputs, targets = batch
        self.module_.train()
        with without_autocast(self._place):
            outputs, loss = self.training_loss(inputs, targets)
            (loss * self.share_).backward()
        return {"loss": loss, "y_pred": outputs}

    def training_loss(
        self: Any, inputs: dict[str, torch.Tensor], targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs for a batch, and the loss that training makes less."""
        outputs = self.infer(inputs)
        return outputs, self.get_loss(outputs, targets, X=inputs, training=True)

    def get_loss(
        self: Any, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        """Return the loss of a batch, with the weights of its samples."""
        return self.criterion_(y_pred, y_true.to(y_pred.device), _weights(X, y_pred))

    def infer(self: Any, x: dict[str, torch.Tensor], **fit_params: Any) -> torch.Tensor:
        """Run the module on what `Inputs` gave."""
        inputs = {name: tensor for name, tensor in x.items() if name != "sample_weight"}
        place = self._place
        with without_autocast(place):
            return self.module_(**to_device(inputs, place))

    @property
    def _place(self: Any) -> torch.device:
        device: torch.device = next(self.module_.head.parameters()).device
        return device

    def outputs(self: Any, dataset: LabelledTexts, batch_size: int) -> np.ndarray:
        """Return the module's outputs for each text, in the order of `dataset`."""
        by_length = np.argsort(-dataset.lengths, kind="stable")
        rows = dataset.rows[by_length]
        found = []
        for batch in Batches(LabelledTexts(dataset.inputs, rows), batch_size):
            found.append(to_numpy(self.evaluation_step(batch)))
        outputs = np.empty_like(np.concatenate(found))
        outputs[by_length] = np.concatenate(found)
        return outputs

    def __getstate__(self) -> dict[str, Any]:
        """Leave devices to the module; skorch's own way loads with torch, which refuses classes."""
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def loss_of(self: Any, batch: Any) -> float:
        """Return the loss of a batch, of the module as it is now, to a callback."""
        with interruptible():
            return float(self.validation_step(batch)["loss"].item())

    def evaluate(self: Any, dataset: TrainingData) -> tuple[float, float]:
        """Return loss and score of the module as it is now, to a callback."""
        with interruptible():
            return self.measure(dataset)

    def measure(self: Any, dataset: TrainingData) -> tuple[float, float]:
        """Return loss and score of the module as it is now."""
        losses, outputs, targets = [], [], []
        for batch in self.get_iterator(dataset):
            step = self.validation_step(batch)
            losses.append(step["loss"].item() * len(batch[1]))
            outputs.append(to_numpy(step["y_pred"]))
            targets.append(to_numpy(batch[1]))
        score = self.score_outputs(np.concatenate(outputs), np.concatenate(targets))
        return sum(losses) / len(dataset), score


def _was_raised(error: BaseException) -> bool:
    """Say whether a callback's `raise` is behind an exception; Ctrl-C comes anywhere else.

    A handler of the user's for a signal raises too, as one for SIGTERM may.
    """
    traceback, handlers = error.__traceback__, _handlers_of_signals()
    assert traceback is not None
    while traceback.tb_next is not None and traceback.tb_frame.f_code not in handlers:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    raised = code.co_code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and code not in handlers


def _handlers_of_signals() -> set[CodeType]:
    """Return the code of what the process has set to be called when a signal comes."""
    handlers: Iterable[Any] = map(signal.getsignal, signal.valid_signals())
    # asyncio's is bound to the task.
    called = [getattr(handler, "func", handler) for handler in handlers]
    functions: list[Any] = [
        one if hasattr(one, "__code__") else type(one).__call__ for one in called if callable(one)
    ]
    return {function.__code__ for function in functions if hasattr(function, "__code__")}


def _divide(parameters: Sequence[nn.Parameter], by: float) -> None:
    """Make the sum of gradients of several batches their mean; that of one is it already."""
    if by != 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(by)


def _clip(parameters: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scale gradients down to a norm; on a CPU only where they exceed it.

    PyTorch's function multiplies by 1 otherwise, so that a GPU is not waited for.
    """
    if parameters[0].device.type != "cpu":
        nn.utils.clip_grad_norm_(parameters, max_norm)
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).norm()
    if norm > float(max_norm):
        for gradient in gradients:
            gradient.mul_(float(max_norm) / norm)


def _weights(inputs: dict[str, torch.Tensor] | None, like: torch.Tensor) -> torch.Tensor | None:
    """Return the weights of a batch's samples, None where all count the same."""
    weights = None if inputs is None else inputs.get("sample_weight")
    return None if weights is None else weights.to(like.device, like.dtype)


class ClassifierNet(FineTuning, NeuralNetClassifier):
    """Trains on class numbers; predicts class numbers, which the estimator turns into labels.

    Parameters
    ----------
    contrastive_weight : float, default=0.0
        What `contrastive_loss` counts beside the criterion, wherever layers train.
    """

    score_name = "valid_acc"

    def __init__(self, *args: Any, contrastive_weight: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.contrastive_weight = contrastive_weight

    def training_loss(
        self: Any, inputs: dict[str, torch.Tensor], targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the outputs for a batch, and the loss with its contrasts."""
        if not self.contrastive_weight or self.module_.encoder is None:
            return super().training_loss(inputs, targets)
        with arguments_of(self.module_.head) as seen:
            outputs, loss = super().training_loss(inputs, targets)
        vectors = seen[0]
        contrast = contrastive_loss(vectors, targets.to(vectors.device), _weights(inputs, vectors))
        return outputs, loss + self.contrastive_weight * contrast

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, for scores that skorch's callbacks compute."""
        return softmax(self.forward(X).float(), dim=-1).numpy()

    def classes_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predicted targets."""
        return outputs.argmax(axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted targets, for scores that skorch's callbacks compute."""
        return self.classes_of(to_numpy(self.forward(X)))

    def score_outputs(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the accuracy, as after each epoch: a sample counts if all of it is right."""
        right = self.classes_of(outputs) == targets
        return float(right.reshape(len(targets), -1).all(axis=1).mean())


class LabelSetNet(ClassifierNet):
    """Trains on indicators, one output a label."""

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each label."""
        return self.forward(X).float().sigmoid().numpy()

    def classes_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return indicators."""
        return (outputs > 0).astype(np.int64)


class TasksNet(ClassifierNet):
    """Trains on class numbers of several tasks, whose outputs lie side by side.

    Parameters
    ----------
    sizes : sequence of int
        Classes of each task.
    """

    def __init__(self, *args: Any, sizes: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sizes = sizes

    def classes_of(self, outputs: np.ndarray) -> np.ndarray:
        """Return a class number for each task."""
        tasks = np.split(outputs, np.cumsum(self.sizes)[:-1], axis=1)
        return np.column_stack([of_task.argmax(axis=1) for of_task in tasks])

    def score_outputs(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the share of labels that are right, of those that are there."""
        there = targets != MISSING_TARGET
        return float((self.classes_of(outputs) == targets)[there].mean())

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        others = [named for named in super()._default_callbacks if named[0] != self.score_name]
        scoring = EpochScoring(_score_of_tasks, name=self.score_name, lower_is_better=False)
        return [*others, (self.score_name, scoring)]


def _score_of_tasks(net: TasksNet, X: Any, y: Any) -> float:
    return net.score_outputs(to_numpy(net.forward(X)), to_numpy(y))


class RegressorNet(FineTuning, NeuralNetRegressor):
    """Trains on scaled targets, one column an output."""

    score_name = "valid_r2"

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        r2 = EpochScoring("r2", name=self.score_name, lower_is_better=False)
        return [*super()._default_callbacks, (self.score_name, r2)]

    def score_outputs(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Return the coefficient of determination, as skorch does after each epoch."""
        return float(r2_score(targets, outputs))
