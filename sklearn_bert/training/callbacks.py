"""Callbacks of our own: the history that users read, the best weights, a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from skorch.callbacks import Callback
from tqdm.auto import tqdm

from sklearn_bert.training.batches import LabelledTexts

__all__ = [
    "BestWeights",
    "Deadline",
    "DeadlineError",
    "EpochHistory",
    "GradualUnfreezing",
    "Progress",
]


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
    validation : LabelledTexts or None
        What the model is scored on before the first step.

    Attributes
    ----------
    rows : list of dict
        With ``epoch``, ``train_loss``, ``valid_loss``, ``valid_score``, ``lr`` and ``seconds``, as
        far as there are such.
    """

    def __init__(self, validation: LabelledTexts | None) -> None:
        self.validation = validation
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self.validation is not None:
            loss, score = net.evaluate(self.validation)
            self.rows.append({"epoch": 0, "valid_loss": loss, "valid_score": score})

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        found = net.history[-1]
        row = {"epoch": int(found["epoch"]), "train_loss": float(found["train_loss"])}
        if self.validation is not None:
            row["valid_loss"] = float(found["valid_loss"])
            row["valid_score"] = float(found[net.score_name])
        # The highest of all groups, which is the head's or the top layer's.
        row["lr"] = max(group["lr"] for group in net.optimizer_.param_groups)
        self.rows.append({**row, "seconds": float(found["dur"])})

    def release(self) -> None:
        """Let go of the data."""
        self.validation = None


class BestWeights(OwnCallback):
    """Remembers the weights of the best epoch, and stops when there was none for a while.

    Better means a higher validation score, or the same with a lower loss; without validation data,
    later.

    Parameters
    ----------
    history : EpochHistory
        Where the scores are.
    patience : int or None
        Epochs without a better one before training stops; None never stops.
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
            raise KeyboardInterrupt

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
        value = (row.get("valid_score", row["epoch"]), -row.get("valid_loss", 0.0))
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
        self._bar = tqdm(
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
    """Trains the head alone in the first epoch, and one layer more in each (arXiv 1801.06146).

    Parameters
    ----------
    places : dict of str to int or None
        Where a text meets each parameter of the encoder; from `parameter_places`.
    n_layers : int
        Layers of the encoder.
    """

    def __init__(self, places: Mapping[str, int | None], n_layers: int) -> None:
        self.places = places
        self.n_layers = n_layers

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        lowest = self.n_layers + 1 - len(net.history)
        for name, parameter in net.module_.encoder_parameters.items():
            place = self.places[name]
            height = 0 if place is None else min(place, self.n_layers - 1)
            parameter.requires_grad_(height >= lowest)
        net.module_.set_modes()


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
        What the training may take.
    """

    # Steps whose mean tells how long all will take, the first few being slower than the rest.
    _WARM_STEPS = 8

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self._start = self._warm = time.monotonic()

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        now, done = time.monotonic(), net.batch_number_
        if not training:
            return
        if done == self._WARM_STEPS:
            self._warm = now
        n_steps = net.n_batches_ * net.max_epochs
        expected, said = now - self._start, "more than"
        if done >= 2 * self._WARM_STEPS:
            expected += (now - self._warm) / (done - self._WARM_STEPS) * (n_steps - done)
            said = "about"
        if expected > self.seconds:
            raise DeadlineError(f"training takes {said} {expected:.1f} s")
