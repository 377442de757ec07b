"""What every estimator that trains a net shares: rates, settings, and the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.errors import TrainingDivergedError
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.training.callbacks import (
    BestWeights,
    EpochHistory,
    OwnCallback,
    Progress,
)
from sklearn_bert.training.optimizer import MakeOptimizer
from sklearn_bert.training.schedule import count_steps
from sklearn_bert.validation import is_word

__all__ = [
    "NEW_HEAD_LR",
    "attach_once",
    "encoder_attributes",
    "net_settings",
    "ready_to_predict",
    "resolved_head_lr",
    "resolved_lr",
    "run_training",
    "training_callbacks",
]

# What lr="auto" means for an encoder so wide; rates fall with the square of the width.
_LR, _LR_HIDDEN_SIZE = 2e-4, 384
_LR_LEAST, _LR_MOST = 1e-5, 5e-4
# What head_lr="auto" means for a head that starts from nothing, and the layers below it train.
NEW_HEAD_LR = 1e-3
# Where they do not: as far as AdamW is to take a weight in all steps, and what fewer count as.
_HEAD_REACH, _HEAD_STEPS_LEAST = 0.3, 30
_HEAD_STEPS_MOST = round(_HEAD_REACH / NEW_HEAD_LR)


def resolved_lr(lr: float | str, hidden_size: int) -> float:
    """Return the learning rate; see docs/decisions/0007-defaults.md for that of "auto"."""
    if not is_word(lr, "auto"):
        return float(lr)
    rate = _LR * (_LR_HIDDEN_SIZE / hidden_size) ** 2
    return min(max(rate, _LR_LEAST), _LR_MOST)


def resolved_head_lr(estimator: Any, trains_layers: bool, n_features: int, n_samples: int) -> float:
    """Return the learning rate of a head that reads so many features of so many samples.

    See docs/decisions/0007-defaults.md for that of "auto".
    """
    if not is_word(estimator.head_lr, "auto"):
        return float(estimator.head_lr)
    if trains_layers:
        return NEW_HEAD_LR
    n_steps = count_steps(
        n_samples, estimator.batch_size, estimator.gradient_accumulation, estimator.max_epochs
    )
    # Outputs add up what each feature is weighted with.
    narrower = min(1.0, _LR_HIDDEN_SIZE / n_features)
    counted = min(max(n_steps, _HEAD_STEPS_LEAST), _HEAD_STEPS_MOST)
    return max(_HEAD_REACH / counted * narrower, NEW_HEAD_LR)


def encoder_attributes(reference: EncoderReference, freezing: Freezing) -> dict[str, Any]:
    """Return the fitted attributes that the encoder and what is frozen of it tell."""
    checkpoint = reference.encoder().checkpoint
    return {
        "reference_": reference,
        "freezing_": freezing,
        "depth_": freezing.depth,
        "device_": str(checkpoint.device),
        "precision_": checkpoint.precision,
    }


def attach_once(
    module: Any, is_attached: Callable[[], bool], checkpoint: Checkpoint, freezing: Freezing
) -> None:
    """Load what a pickle leaves out of a module; one thread does, the others wait for it."""
    if is_attached():
        return
    with checkpoint.busy:
        if not is_attached():
            module.attach(checkpoint, freezing)


def net_settings(
    estimator: Any,
    checkpoint: Checkpoint,
    callbacks: Sequence[OwnCallback],
    lr: float,
    head_lr: float,
    seed: int,
) -> dict[str, Any]:
    """Return what nets take from the parameters that all estimators which train have."""
    return {
        "max_epochs": estimator.max_epochs,
        "batch_size": estimator.batch_size,
        "schedule": estimator.lr_schedule,
        "warmup": estimator.warmup,
        "gradient_accumulation": estimator.gradient_accumulation,
        "max_grad_norm": estimator.max_grad_norm,
        "seed": seed,
        "make_optimizer": MakeOptimizer(
            checkpoint.parameter_places,
            checkpoint.n_layers,
            lr,
            float(head_lr),
            float(estimator.layer_lr_decay),
            float(estimator.weight_decay),
        ),
        "device": str(checkpoint.device),
        "callbacks": [*callbacks, *(estimator.callbacks or ())],
        "callbacks__print_log": None,
        "verbose": int(estimator.verbose),
    }


def training_callbacks(estimator: Any, validation: Any) -> list[OwnCallback]:
    """Return what writes the history, keeps the best weights, and shows how far it is."""
    history = EpochHistory(validation)
    best = BestWeights(history, estimator.n_iter_no_change if estimator.early_stopping else None)
    return [history, best, Progress(history, show=bool(estimator.verbose))]


def ready_to_predict(net: Any) -> Any:
    """Return a net whose module was trained before, as it is after a training."""
    net.initialize()
    net.module_.eval()
    net.release()
    return net


def run_training(
    net: Any,
    train: Any,
    validation: Any,
    callbacks: Sequence[OwnCallback],
    keep: Callable[[list[dict[str, float]]], None],
) -> None:
    """Train a net and keep it; if its loss diverges, with the best weights so far.

    Parameters
    ----------
    net : FineTuning
        Not trained yet.
    train, validation : data set, and data set or None
        What the net takes.
    callbacks : sequence of OwnCallback
        With those of `training_callbacks` among them.
    keep : callable
        Makes the net what the estimator is fitted with; it is given the rows of the history.

    Raises
    ------
    TrainingDivergedError
        If the loss is no finite number.
    """
    history = next(callback for callback in callbacks if isinstance(callback, EpochHistory))
    best = next(callback for callback in callbacks if isinstance(callback, BestWeights))

    def finish() -> None:
        net.module_.eval()
        net.release()
        keep(history.rows)

    try:
        net.train(train, validation)
    except TrainingDivergedError as error:
        rates = net.make_optimizer
        trained = bool(history.rows) and history.rows[-1]["epoch"] > 0
        if trained:
            best.restore(net)
            finish()
        epoch = best.epoch if trained else None
        raise _diverged(error, epoch, rates.lr, rates.head_lr) from error
    finally:
        for callback in callbacks:
            callback.close()
    finish()


def _diverged(
    error: TrainingDivergedError, epoch: int | None, lr: float, head_lr: float
) -> TrainingDivergedError:
    kept = (
        f"The estimator is fitted with the weights of epoch {epoch}, the best so far."
        if epoch is not None
        else "That was in the first epoch, so there are no weights worth keeping."
    )
    return TrainingDivergedError(
        f"{error} {kept} Try a lower lr (now {lr!r}) or head_lr (now {head_lr!r}), more warmup, a "
        f"lower max_grad_norm, or precision='float32'."
    )
