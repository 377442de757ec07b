"""Callbacks of our own: the history that users read, the best weights, a progress bar."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, LRScheduler

from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.encoder.progress import ProgressBar
from sklearn_bert.errors import TrainingDivergedError, parameter_error
from sklearn_bert.training.batches import LabelledTexts, TrainingData
from sklearn_bert.training.inputs import Inputs
from sklearn_bert.training.net import interruptible
from sklearn_bert.training.schedule import leaves_rates

__all__ = [
    "BestWeights",
    "Deadline",
    "DeadlineError",
    "EpochHistory",
    "GradualUnfreezing",
    "OwnCallback",
    "Progress",
    "check_callbacks",
    "check_monitors",
    "check_one_schedule",
]

_MONITORS = (Checkpoint, EarlyStopping)


class OwnCallback(Callback):
    """A callback that lets go of things in the end."""

    def close(self) -> None:
        """Close what is open, whether training ended well or not."""

    def release(self) -> None:
        """Let go of what only training needs."""


class EpochHistory(OwnCallback):
    """Writes a row for each epoch, and row 0 for the model before its first step.

    Parameters
    ----------
    validation : TrainingData or None
        What the model is scored on before the first step.

    Attributes
    ----------
    rows : list of dict
        With ``epoch``, ``train_loss``, ``valid_loss``, ``valid_score``, ``lr``,
        ``n_trainable_parameters`` and ``seconds``, as far as there are such.
    """

    def __init__(self, validation: TrainingData | None) -> None:
        self.validation = validation
        self.rows: list[dict[str, float]] = []
        self._batch: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self.validation is not None:
            loss, score = net.evaluate(self.validation)
            self.rows.append({"epoch": 0, "valid_loss": loss, "valid_score": score})

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            self._batch = batch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self._check_last_step(net)
        found = net.history[-1]
        row = {"epoch": int(found["epoch"]), "train_loss": float(found["train_loss"])}
        if self.validation is not None:
            row["valid_loss"] = float(found["valid_loss"])
            row["valid_score"] = float(found[net.score_name])
        # The highest of all groups, which is the head's or the top layer's.
        row["lr"] = max(group["lr"] for group in net.optimizer_.param_groups)
        row["n_trainable_parameters"] = net.module_.n_trainable_parameters()
        self.rows.append({**row, "seconds": float(found["dur"])})

    def _check_last_step(self, net: Any) -> None:
        """Raise if it broke the weights: the loss of the next batch would tell, if there is one."""
        if not all(_is_finite(p.detach()) for p in net.module_.trained_parameters()):
            raise TrainingDivergedError("Some of the weights are infinite or no numbers.")
        has_loss = self.validation is not None
        loss = net.history[-1, "valid_loss"] if has_loss else net.loss_of(self._batch)
        if not math.isfinite(loss):
            raise TrainingDivergedError(f"After the last step of an epoch the loss is {loss}.")

    def release(self) -> None:
        """Let go of the data."""
        self.validation = self._batch = None


def _is_finite(weights: torch.Tensor) -> bool:
    """Say whether all are finite; a sum tells for a third of the time, unless it overflows."""
    return math.isfinite(weights.sum().item()) or bool(weights.isfinite().all())


class BestWeights(OwnCallback):
    """Remembers the weights of the best epoch, and stops when there was none for a while.

    Better means a higher validation score, or the same with a lower loss, which decides alone where
    the score is no number (as R² of one sample is); without validation data, later.

    Parameters
    ----------
    history : EpochHistory
        Where the scores are.
    patience : int or None
        Epochs without a better one before training stops. It then ends with the best weights,
        before callbacks of the user's see its end. None never stops, and keeps the last.
    """

    def __init__(self, history: EpochHistory, patience: int | None) -> None:
        self.history = history
        self.patience = patience
        self.epoch: int | None = None
        self._best: tuple[float, float] | None = None
        self._weights: list[torch.Tensor] = []

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self.history.rows:
            self._look(net, self.history.rows[-1])

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        row = self.history.rows[-1]
        self._look(net, row)
        if self.patience is not None and row["epoch"] - (self.epoch or 0) >= self.patience:
            net.stop()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        if self.patience is not None:
            self.restore(net)

    def restore(self, net: Any) -> None:
        """Give the net the weights that were remembered."""
        with torch.no_grad():
            for parameter, weights in zip(
                net.module_.trained_parameters(), self._weights, strict=True
            ):
                parameter.copy_(weights)

    def release(self) -> None:
        """Let go of the weights."""
        self._weights = []

    def _look(self, net: Any, row: dict[str, float]) -> None:
        score = row.get("valid_score", row["epoch"])
        value = (-math.inf if math.isnan(score) else score, -row.get("valid_loss", 0.0))
        if self._best is None or value > self._best:
            self._best, self.epoch = value, int(row["epoch"])
            self._weights = [
                parameter.detach().to("cpu", copy=True)
                for parameter in net.module_.trained_parameters()
            ]


class Progress(OwnCallback):
    """A bar for each epoch, with loss and validation score.

    Parameters
    ----------
    history : EpochHistory
        Where loss and score are.
    show : bool
        Whether to show anything.
    """

    def __init__(self, history: EpochHistory, show: bool) -> None:
        self.history = history
        self.show = show
        self._bar: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self.show and self.history.rows:
            print(f"Epoch 0: {_said(self.history.rows[-1])}", file=sys.stderr)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        number = len(net.history)
        self._bar = ProgressBar(
            total=net.n_batches_,
            desc=f"Epoch {number}/{net.max_epochs}",
            unit="batch",
            disable=not self.show,
        )

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if training and self.show:
            self._bar.update()
            self._bar.set_postfix(train_loss=f"{net.history[-1, 'batches', -1, 'train_loss']:.4f}")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self._bar.set_postfix_str(_said(self.history.rows[-1]))
        self.close()

    def close(self) -> None:
        """Close the bar, which an error may have left open."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class GradualUnfreezing(OwnCallback):
    """Begins the stages of gradual unfreezing, each with inputs of its own depth.

    A text passes the layers that are frozen in a stage before it, and in the stage the others
    alone.

    Parameters
    ----------
    stages : sequence of Freezing
        What trains in the first epochs; from `unfreeze_gradually`. The last holds in all that
        follow; one alone holds in all.
    inputs_at : callable
        From a depth to the inputs of all texts.

    Attributes
    ----------
    stage : Freezing
        What trains now, or trained last.
    """

    def __init__(self, stages: Sequence[Freezing], inputs_at: Callable[[int], Inputs]) -> None:
        self.stages = stages
        self.stage = stages[0]
        self.inputs_at: Callable[[int], Inputs] | None = inputs_at

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        net.module_.enter(self.stage)

    def on_epoch_begin(
        self,
        net: Any,
        dataset_train: LabelledTexts | None = None,
        dataset_valid: LabelledTexts | None = None,
        **kwargs: Any,
    ) -> None:
        number = len(net.history)
        if not 1 < number <= len(self.stages):
            return
        stage = self.stages[number - 1]
        if stage.depth != self.stage.depth:
            assert self.inputs_at is not None
            with interruptible():
                inputs = self.inputs_at(stage.depth)
            for dataset in (dataset_train, dataset_valid):
                if dataset is not None:
                    dataset.inputs = inputs
        net.module_.enter(stage)
        self.stage = stage

    def release(self) -> None:
        """Let go of the texts."""
        self.inputs_at = None


def check_callbacks(callbacks: Any) -> None:
    """Raise unless `callbacks` is None or a list of skorch callbacks that can do their work.

    Raises
    ------
    ValueError
        With what is accepted.
    """
    is_list = isinstance(callbacks, (list, tuple))
    if callbacks is not None and not (is_list and all(map(_is_callback, callbacks))):
        accepted = "None, or a list of skorch callbacks or of (name, callback) tuples"
        raise parameter_error("callbacks", callbacks, accepted)
    for callback in map(_instance, callbacks or ()):
        if getattr(callback, "f_pickle", None):
            remedy = "A net has no pickle while it trains. Pickle the estimator when it is fitted."
            raise _callback_error(callback, "f_pickle", "None", remedy)
        by_name = isinstance(callback, EpochScoring) and not callable(callback.scoring)
        if by_name and not callback.use_caching:
            remedy = "A score that is computed anew has to be a callable that reads the data set."
            raise _callback_error(callback, "use_caching", "True", remedy)


def check_monitors(callbacks: Sequence[Any] | None) -> None:
    """Raise for a callback that watches validation data, where there are none.

    Raises
    ------
    ValueError
        With the parameter, its value, and what is accepted.
    """
    for callback in map(_instance, callbacks or ()):
        monitor = callback.monitor if _watches(callback) else None
        if isinstance(monitor, str) and monitor.startswith("valid_"):
            accepted = "'train_loss_best'" if monitor.endswith("_best") else "'train_loss'"
            remedy = "There are no validation data: pass X_val to fit, or early_stopping=True."
            raise _callback_error(callback, "monitor", accepted, remedy)


def check_one_schedule(callbacks: Sequence[Any] | None, schedule: str, warmup: float) -> None:
    """Raise for a callback that sets learning rates, where a schedule sets them at each step.

    Raises
    ------
    ValueError
        With the parameter, its value, and what is accepted.
    """
    if leaves_rates(schedule, warmup):
        return
    for callback in map(_instance, callbacks or ()):
        if isinstance(callback, LRScheduler):
            raise parameter_error(
                "callbacks",
                callback,
                "an LRScheduler with lr_schedule='constant' and warmup=0 alone",
                f"lr_schedule={schedule!r} and warmup={warmup!r} set the rates at each step, and "
                f"what it sets would be lost.",
            )


def _watches(callback: Any) -> bool:
    if isinstance(callback, LRScheduler):
        # Its other policies go by time.
        return getattr(callback.policy, "__name__", callback.policy) == "ReduceLROnPlateau"
    return isinstance(callback, _MONITORS)


def _instance(item: Any) -> Any:
    callback = item[1] if isinstance(item, tuple) else item
    # skorch makes callbacks of their classes too.
    made = isinstance(callback, type) and issubclass(callback, (*_MONITORS, LRScheduler))
    return callback() if made else callback


def _callback_error(callback: Any, name: str, accepted: str, remedy: str) -> ValueError:
    whole = f"callbacks: {type(callback).__name__}.{name}"
    return parameter_error(whole, getattr(callback, name), accepted, remedy)


def _is_callback(item: Any) -> bool:
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        item = item[1]
    return isinstance(item, Callback) or (isinstance(item, type) and issubclass(item, Callback))


def _said(row: dict[str, float]) -> str:
    names = ("train_loss", "valid_loss", "valid_score")
    return ", ".join(f"{name}={row[name]:.4f}" for name in names if name in row)


class DeadlineError(Exception):
    """A training would take longer than it may."""


class Deadline(Callback):
    """Ends a training by an error as soon as it is clear that it can't end in time.

    Parameters
    ----------
    seconds : float
        What the training may take, and what comes before it.
    begin : float or None, default=None
        What `time.monotonic` gave where that began. None counts the training alone.
    """

    # The first steps are slow: each new length has to be prepared for. So an estimate has to wait
    # for so many of them and for this share of the time, and is made from the newer half of steps.
    _LEAST_STEPS = 16
    _LEAST_SHARE = 0.1

    def __init__(self, seconds: float, begin: float | None = None) -> None:
        self.seconds = seconds
        self.begin = begin

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self._ends = [time.monotonic()]
        self._before = 0.0 if self.begin is None else self._ends[0] - self.begin

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        ends = self._ends
        ends.append(time.monotonic())
        done, elapsed = len(ends) - 1, ends[-1] - ends[0]
        expected, said = elapsed, "more than"
        if done >= self._LEAST_STEPS and elapsed >= self._LEAST_SHARE * self.seconds:
            newer = done - done // 2
            pace = (ends[-1] - ends[-1 - newer]) / newer
            expected += pace * (net.n_batches_ * net.max_epochs - done)
            said = "about"
        if self._before + expected > self.seconds:
            much = self._before >= self._LEAST_SHARE * self.seconds
            after = f", after {self._before:.1f} s of preparation" if much else ""
            raise DeadlineError(f"training takes {said} {expected:.1f} s{after}")
