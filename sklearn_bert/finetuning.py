"""What the estimators that fine-tune share: parameters, fit, outputs.

A task says how targets are encoded, which net trains on them and what the outputs mean; all else
is here.
"""

from __future__ import annotations

import copy
import os
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_bert.encoder.freezing import Freezing, resolve_freeze
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.encoder.pooling import POOLINGS
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.errors import parameter_error
from sklearn_bert.fitting import (
    SEEDS,
    net_settings,
    own_randomness,
    resolved_lr,
    run_training,
    warn_cut,
)
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.training import net as nets
from sklearn_bert.training.batches import LabelledTexts
from sklearn_bert.training.callbacks import BestWeights, EpochHistory, GradualUnfreezing, Progress
from sklearn_bert.training.inputs import make_inputs
from sklearn_bert.training.module import FineTuneModule, build_head
from sklearn_bert.tuning_parameters import check_tuning_parameters, head_sizes
from sklearn_bert.validation import Text, check_sample_weight, check_texts, one_or_list

__all__ = ["BertFineTuneBase", "Samples", "Targets"]

# Texts that are predicted at once, so that memory does not grow with their number.
_PREDICTED_TOGETHER = 8192


@dataclass(frozen=True)
class Targets:
    """Encoded targets of a task, and what the head needs to know of them.

    Attributes
    ----------
    y : ndarray of shape (n_samples, ...)
        What the loss takes.
    n_outputs : int
        Outputs of the head.
    fitted : dict of str to object
        Attributes that the estimator gets.
    strata : ndarray of shape (n_samples,) or None
        What a hold-out keeps the proportions of.
    """

    y: np.ndarray
    n_outputs: int
    fitted: dict[str, Any]
    strata: np.ndarray | None = None


@dataclass(frozen=True)
class Samples:
    """Texts with encoded targets and weights: a training set or validation data."""

    texts: list[Text]
    y: np.ndarray
    weights: np.ndarray | None

    def take(self, rows: np.ndarray) -> Samples:
        """Return some of the samples."""
        weights = None if self.weights is None else self.weights[rows]
        return Samples([self.texts[row] for row in rows], self.y[rows], weights)

    def weighted(self, more: np.ndarray | None) -> Samples:
        """Return the samples with more weights, all of them scaled to a mean of 1."""
        given = [weights for weights in (self.weights, more) if weights is not None]
        if not given:
            return self
        weights = np.prod(given, axis=0)
        return replace(self, weights=weights / weights.mean())


class BertFineTuneBase(BaseEstimator):
    """Parameters and fitting; not to be used by itself."""

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        *,
        freeze: str | int = "none",
        unfreeze: Sequence[str] | None = None,
        pooling: str | list[str] = "mean",
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "relu",
        dropout: float = 0.1,
        max_epochs: int = 3,
        batch_size: int = 32,
        lr: float | str = "auto",
        head_lr: float = 1e-3,
        layer_lr_decay: float = 1.0,
        weight_decay: float = 0.01,
        lr_schedule: str = "linear",
        warmup: float = 0.1,
        gradual_unfreezing: bool = False,
        max_grad_norm: float | None = 1.0,
        gradient_accumulation: int = 1,
        gradient_checkpointing: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        max_length: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        cache: str | os.PathLike[str] | None = "memory",
        callbacks: list[Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        revision: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.freeze = freeze
        self.unfreeze = unfreeze
        self.pooling = pooling
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.head_lr = head_lr
        self.layer_lr_decay = layer_lr_decay
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.warmup = warmup
        self.gradual_unfreezing = gradual_unfreezing
        self.max_grad_norm = max_grad_norm
        self.gradient_accumulation = gradient_accumulation
        self.gradient_checkpointing = gradient_checkpointing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.max_length = max_length
        self.device = device
        self.precision = precision
        self.cache = cache
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.revision = revision
        self.verbose = verbose

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
    ) -> None:
        """Train, and set all fitted attributes; if it fails, those of an earlier fit stay."""
        texts = check_texts(X)
        targets = self._encode_targets(y, len(texts))
        weights = check_sample_weight("sample_weight", sample_weight, len(texts))
        samples = Samples(texts, targets.y, weights)
        validation = self._validation(X_val, y_val, sample_weight_val, targets)
        check_tuning_parameters(self)
        reference = EncoderReference(
            self.model, self.revision, self.max_length, self.device, self.precision, self.cache
        )
        encoder = reference.encoder(int(self.verbose))
        freezing = self._freezing(encoder)
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        if validation is None and self.early_stopping:
            samples, validation = self._hold_out(samples, targets, seed)
        samples, validation, learnt = self._prepare(samples, validation, targets)
        fitted = {
            **targets.fitted,
            **learnt,
            "reference_": reference.known(),
            "freezing_": freezing,
            "lr_": resolved_lr(self.lr, encoder.checkpoint.hidden_size),
            "depth_": freezing.depth,
            "device_": str(encoder.checkpoint.device),
            "precision_": encoder.checkpoint.precision,
            "max_length_": encoder.max_length,
        }
        with own_randomness(seed, encoder.checkpoint.device):
            module = self._module(encoder, freezing, targets)
            fitted["n_trainable_parameters_"] = sum(
                p.numel() for p in module.parameters() if p.requires_grad
            )
            self._train(module, encoder, freezing, samples, validation, targets, seed, fitted)

    @abstractmethod
    def _encode_targets(self, y: Any, n_samples: int) -> Targets:
        """Check and encode `y`; in a warm start, as before."""

    @abstractmethod
    def _encode_validation_targets(self, y: Any, n_samples: int, targets: Targets) -> np.ndarray:
        """Check and encode the targets of validation data."""

    def _prepare(
        self, samples: Samples, validation: Samples | None, targets: Targets
    ) -> tuple[Samples, Samples | None, dict[str, Any]]:
        """Return the data with what is learnt from the training samples alone, and that itself."""
        return samples.weighted(None), validation, {}

    @abstractmethod
    def _net(self, module: FineTuneModule, targets: Targets, **settings: Any) -> nets.FineTuning:
        """Return the net of the task."""

    def _freezing(self, encoder: FrozenEncoder) -> Freezing:
        checkpoint = encoder.checkpoint
        poolings = one_or_list("pooling", self.pooling)
        if "pooler" in poolings and not checkpoint.has_pooler:
            accepted = [pooling for pooling in POOLINGS if pooling != "pooler"]
            remedy = f"The weights of model={self.model!r} have no pooler."
            raise parameter_error("pooling", self.pooling, accepted, remedy)
        places = {
            name: place
            for name, place in checkpoint.parameter_places.items()
            if "pooler" in poolings or not name.startswith("pooler.")
        }
        freezing = resolve_freeze(
            self.freeze,
            self.unfreeze,
            checkpoint.n_layers,
            places,
            checkpoint.lower.shares_layers,
        )
        if not freezing.trainable and self.layer_lr_decay != 1:
            warnings.warn(
                f"layer_lr_decay={self.layer_lr_decay!r} does nothing with freeze={self.freeze!r}: "
                f"no layer of the encoder is trained.",
                UserWarning,
                stacklevel=4,
            )
        return freezing

    def _validation(
        self, X_val: Any, y_val: Any, sample_weight_val: Any, targets: Targets
    ) -> Samples | None:
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was passed without {missing}. Pass both, or neither.")
        if X_val is None:
            return None
        texts = check_texts(X_val)
        y = self._encode_validation_targets(y_val, len(texts), targets)
        weights = check_sample_weight("sample_weight_val", sample_weight_val, len(texts))
        return Samples(texts, y, weights)

    def _hold_out(self, samples: Samples, targets: Targets, seed: int) -> tuple[Samples, Samples]:
        """Split validation data off, in the proportions of the classes."""
        rows = np.arange(len(samples.texts))
        try:
            train, held_out = train_test_split(
                rows,
                test_size=self.validation_fraction,
                stratify=targets.strata,
                random_state=seed,
            )
        except ValueError as error:
            raise parameter_error(
                "validation_fraction",
                self.validation_fraction,
                "a share that leaves each class in both parts",
                f"{error} Pass X_val and y_val to fit, or early_stopping=False.",
            ) from error
        return samples.take(train), samples.take(held_out)

    def _module(
        self, encoder: FrozenEncoder, freezing: Freezing, targets: Targets
    ) -> FineTuneModule:
        """Return the module to train: a new one, or in a warm start a copy of the trained one."""
        poolings = one_or_list("pooling", self.pooling)
        if self.warm_start and hasattr(self, "net_"):
            module = copy.deepcopy(self.net_.module_)
            self._check_warm_start(module, freezing, poolings)
        else:
            head = build_head(
                len(poolings) * encoder.checkpoint.hidden_size,
                head_sizes(self.hidden_layer_sizes),
                targets.n_outputs,
                self.activation,
                self.dropout,
            )
            module = FineTuneModule(head, poolings)
        module.attach(encoder.checkpoint, freezing, self.gradient_checkpointing)
        return module

    def _check_warm_start(
        self, module: FineTuneModule, freezing: Freezing, poolings: list[str]
    ) -> None:
        lost = set(module.trained()) - freezing.trainable
        if lost or self.reference_.model != self.model or list(module.poolings) != poolings:
            raise ValueError(
                "warm_start=True can't go on from what was fitted: model and pooling have to be "
                "the same, and what was trained may not be frozen. Pass warm_start=False to start "
                "anew."
            )

    def _train(
        self,
        module: FineTuneModule,
        encoder: FrozenEncoder,
        freezing: Freezing,
        samples: Samples,
        validation: Samples | None,
        targets: Targets,
        seed: int,
        fitted: dict[str, Any],
    ) -> None:
        texts = samples.texts + ([] if validation is None else validation.texts)
        inputs = make_inputs(
            encoder, texts, module.poolings, freezing.depth, bool(freezing.trainable)
        )
        if inputs.n_cut:
            warn_cut(inputs.n_cut, len(texts), encoder.max_length)
        rows = np.arange(len(texts))
        train = LabelledTexts(inputs, rows[: len(samples.texts)], samples.y, samples.weights)
        held_out = None
        if validation is not None:
            by_length = np.argsort(-inputs.lengths[len(samples.texts) :], kind="stable")
            sorted_ = validation.take(by_length)
            held_out = LabelledTexts(
                inputs, len(samples.texts) + by_length, sorted_.y, sorted_.weights
            )
        history = EpochHistory(held_out)
        best = BestWeights(history, self.n_iter_no_change if self.early_stopping else None)
        callbacks = [history, best, Progress(history, show=bool(self.verbose))]
        if self.gradual_unfreezing:
            checkpoint = encoder.checkpoint
            callbacks.append(GradualUnfreezing(checkpoint.parameter_places, checkpoint.n_layers))
        settings = net_settings(
            self, encoder.checkpoint, callbacks, fitted["lr_"], self.head_lr, seed
        )
        net = self._net(module, targets, **settings)
        run_training(
            net,
            train,
            held_out,
            callbacks,
            restores=self.early_stopping,
            keep=lambda: self._set_fitted(net, history, fitted),
        )

    def _set_fitted(self, net: Any, history: Any, fitted: dict[str, Any]) -> None:
        for name, value in fitted.items():
            setattr(self, name, value)
        self.history_ = history.rows
        self.net_ = net

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the head's outputs for each text, of shape (n_samples, n_outputs)."""
        check_is_fitted(self, "net_")
        texts = check_texts(X)
        encoder = self.reference_.encoder(int(self.verbose))
        module = self.net_.module_
        trains = bool(self.freezing_.trainable)
        if trains and module.encoder is None:
            module.attach(encoder.checkpoint, self.freezing_)
        outputs, n_cut = [], 0
        for start in range(0, len(texts), _PREDICTED_TOGETHER):
            part = texts[start : start + _PREDICTED_TOGETHER]
            inputs = make_inputs(encoder, part, module.poolings, self.depth_, trains)
            n_cut += inputs.n_cut
            dataset = LabelledTexts(inputs, np.arange(len(part)))
            outputs.append(self.net_.outputs(dataset, self.net_.batch_size))
        if n_cut:
            warn_cut(n_cut, len(texts), encoder.max_length)
        return np.concatenate(outputs)

    def __sklearn_tags__(self) -> Any:
        """Describe the input: one column of strings, or two."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        tags.non_deterministic = True
        return tags
