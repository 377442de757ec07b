"""What the estimators that fine-tune share: parameters, fit, outputs.

A task says how targets are encoded, which net trains on them and what the outputs mean; all else
is here.
"""

from __future__ import annotations

import copy
import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_bert.arrays import check_sample_weight
from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.execution import with_gradients
from sklearn_bert.encoder.freezing import Freezing, resolve_freeze, unfreeze_gradually
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.encoder.pairs import PAIRS, check_pairs
from sklearn_bert.encoder.pooling import POOLINGS
from sklearn_bert.encoder.randomness import own_randomness
from sklearn_bert.encoder.sources import EMBEDDED_MODEL
from sklearn_bert.errors import parameter_error, warn_caller, warn_cut
from sklearn_bert.fitting import (
    attach_once,
    encoder_attributes,
    net_settings,
    ready_to_predict,
    resolved_head_lr,
    resolved_lr,
    run_training,
    training_callbacks,
)
from sklearn_bert.pair_names import ATTRIBUTE, check_pair_names, pair_names, set_pair_names
from sklearn_bert.persistence import EncoderReference
from sklearn_bert.pretrained import PretrainedMixin, Saved, SentenceModel
from sklearn_bert.samples import Samples, Targets
from sklearn_bert.training import net as nets
from sklearn_bert.training.batches import LabelledTexts
from sklearn_bert.training.callbacks import GradualUnfreezing, check_monitors
from sklearn_bert.training.inputs import Inputs, keep_frozen, make_inputs
from sklearn_bert.training.module import (
    FineTuneModule,
    build_head,
    head_settings,
    n_features,
    restore_head,
    set_dropout,
)
from sklearn_bert.tuning_parameters import check_tuning_parameters, head_sizes, seed_from
from sklearn_bert.validation import (
    Text,
    are_pairs,
    check_choice,
    check_texts,
    n_characters,
    one_or_list,
)

__all__ = ["BertFineTuneBase", "keep_frozen_for"]

# Texts that are predicted at once, so that memory does not grow with their number.
_PREDICTED_TOGETHER = 8192
# How many times fewer tokens a batch has then than one of a frozen pass: its states are wider, and
# if memory runs out there are no smaller ones.
_SMALLER_BATCHES = 4
# Fitted attributes of all tasks that the encoder does not tell.
_SAVED = ("lr_", "head_lr_", "max_length_", "history_")


class BertFineTuneBase(PretrainedMixin, BaseEstimator):
    """Parameters and fitting; not to be used by itself."""

    # What a task saves of its targets.
    _saved_attributes: tuple[str, ...] = ()
    # Parameters that do nothing where no layer trains, and what they are when they do nothing.
    _for_layers: ClassVar[dict[str, float]] = {"layer_lr_decay": 1}

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED_MODEL,
        *,
        freeze: str | int = "none",
        unfreeze: Sequence[str] | None = None,
        pooling: str | list[str] = "mean",
        pairs: str = "joint",
        hidden_layer_sizes: Sequence[int] = (),
        activation: str = "relu",
        dropout: float = 0.1,
        max_epochs: int = 3,
        batch_size: int = 32,
        lr: float | str = "auto",
        head_lr: float | str = "auto",
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
        self.pairs = pairs
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
        check_tuning_parameters(self)
        texts = check_texts(X)
        check_pairs(self.pairs, texts)
        targets = self._encode_targets(y, len(texts))
        weights = check_sample_weight("sample_weight", sample_weight, len(texts))
        samples = self._labelled(Samples(texts, targets.y, weights), targets)
        _check_left("X", "sample_weight", samples)
        of_pairs, names = are_pairs(texts), pair_names(X, texts)
        validation = self._validation(X_val, y_val, sample_weight_val, targets, of_pairs, names)
        if validation is None and not self.early_stopping:
            check_monitors(self.callbacks)
        reference = self._reference(self.max_length)
        encoder = reference.encoder(int(self.verbose))
        stages = self._stages(self._freezing(encoder), encoder.checkpoint)
        seed = seed_from(self.random_state)
        if validation is None and self.early_stopping:
            samples, validation = self._hold_out(samples, targets, seed)
        validation = validation and validation.weighted(None)
        samples, validation, learnt = self._prepare(samples, validation, targets)
        trains_layers, width = bool(stages[-1].trainable), self._n_features(encoder)
        fitted = {
            **targets.fitted,
            **learnt,
            "reference_": reference.known(),
            "takes_pairs_": of_pairs,
            ATTRIBUTE: names,
            "max_length_": encoder.max_length,
            "lr_": resolved_lr(self.lr, encoder.checkpoint.hidden_size),
            "head_lr_": resolved_head_lr(self, trains_layers, width, len(samples.texts)),
        }
        with own_randomness(seed, encoder.checkpoint.device), with_gradients():
            module = self._module(encoder, stages, targets)
            self._train(module, encoder, stages, samples, validation, targets, seed, fitted)

    @property
    def _goes_on(self) -> bool:
        """Whether a fit begins with what an earlier one trained."""
        return bool(self.warm_start) and hasattr(self, "net_")

    def _reference(self, max_length: int | None) -> EncoderReference:
        return EncoderReference(
            self.model, self.revision, max_length, self.device, self.precision, self.cache
        )

    @abstractmethod
    def _encode_targets(self, y: Any, n_samples: int) -> Targets:
        """Check and encode `y`; in a warm start, as before."""

    @abstractmethod
    def _encode_validation_targets(self, y: Any, n_samples: int, targets: Targets) -> np.ndarray:
        """Check and encode the targets of validation data."""

    def _labelled(self, samples: Samples, targets: Targets) -> Samples:
        """Leave out what teaches nothing, and measures nothing: what has a weight of 0."""
        weights = samples.weights
        return samples if weights is None else samples.take(np.flatnonzero(weights))

    def _strata(self, samples: Samples, targets: Targets) -> np.ndarray | None:
        """Return what a hold-out keeps the proportions of."""
        return None

    @abstractmethod
    def _saved_targets(self, fitted: dict[str, Any], n_outputs: int) -> Targets:
        """Return targets without any rows from the fitted attributes that were saved."""

    @abstractmethod
    def _prepare(
        self, samples: Samples, validation: Samples | None, targets: Targets
    ) -> tuple[Samples, Samples | None, dict[str, Any]]:
        """Return the data with what is learnt from the training samples alone, and that itself."""

    @abstractmethod
    def _net(self, module: FineTuneModule, targets: Targets, **settings: Any) -> nets.FineTuning:
        """Return the net of the task."""

    def _freezing(self, encoder: FrozenEncoder) -> Freezing:
        checkpoint = encoder.checkpoint
        poolings = one_or_list("pooling", self.pooling)
        self._check_poolings(poolings, checkpoint)
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
        for name, nothing in self._for_layers.items():
            value = getattr(self, name)
            if not freezing.trainable and value != nothing:
                warn_caller(
                    f"{name}={value!r} does nothing with freeze={self.freeze!r}: no layer of the "
                    f"encoder is trained.",
                    UserWarning,
                )
        return freezing

    def _check_poolings(self, poolings: list[str], checkpoint: Checkpoint) -> None:
        remedy = (
            "" if checkpoint.has_pooler else f"The weights of model={self.model!r} have no pooler."
        )
        accepted = [p for p in POOLINGS if checkpoint.has_pooler or p != "pooler"]
        if not set(poolings) <= set(accepted):
            raise parameter_error("pooling", poolings, accepted, remedy)

    def _stages(self, freezing: Freezing, checkpoint: Checkpoint) -> list[Freezing]:
        """Return what trains in the first epochs; the last holds from then on."""
        if not self.gradual_unfreezing:
            return [freezing]
        return unfreeze_gradually(
            freezing,
            self.max_epochs,
            checkpoint.n_layers,
            checkpoint.parameter_places,
            checkpoint.lower.shares_layers,
            self.freezing_.trainable if self._goes_on else (),
        )

    def _validation(
        self,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
        targets: Targets,
        of_pairs: bool,
        names: np.ndarray | None,
    ) -> Samples | None:
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was passed without {missing}. Pass both, or neither.")
        if X_val is None:
            if sample_weight_val is not None:
                raise ValueError(
                    "sample_weight_val was passed without X_val and y_val. Pass all of them; what "
                    "early_stopping holds out has the weights of sample_weight."
                )
            return None
        texts = check_texts(X_val, "X_val")
        _check_kind("X_val", texts, of_pairs)
        check_pair_names(names, X_val, texts, "X_val")
        y = self._encode_validation_targets(y_val, len(texts), targets)
        weights = check_sample_weight("sample_weight_val", sample_weight_val, len(texts))
        samples = self._labelled(Samples(texts, y, weights), targets)
        _check_left("X_val", "sample_weight_val", samples)
        return samples

    def _hold_out(self, samples: Samples, targets: Targets, seed: int) -> tuple[Samples, Samples]:
        """Split validation data off, in the proportions of the classes."""
        rows, strata = np.arange(len(samples.texts)), self._strata(samples, targets)
        try:
            train, held_out = train_test_split(
                rows,
                test_size=self.validation_fraction,
                stratify=strata,
                random_state=seed,
            )
        except ValueError as error:
            what = "samples" if strata is None else "each class"
            raise parameter_error(
                "validation_fraction",
                self.validation_fraction,
                f"a share that leaves {what} in both parts",
                f"{error} Pass X_val and y_val to fit, or early_stopping=False.",
            ) from error
        return samples.take(train), samples.take(held_out)

    def _module(
        self, encoder: FrozenEncoder, stages: list[Freezing], targets: Targets
    ) -> FineTuneModule:
        """Return the module to train: a new one, or in a warm start a copy of the trained one."""
        poolings = one_or_list("pooling", self.pooling)
        if self._goes_on:
            module = copy.deepcopy(self.net_.module_)
            self._check_warm_start(module, encoder.checkpoint, stages[-1], poolings)
            set_dropout(module.head, float(self.dropout))
        else:
            module = FineTuneModule(self._head(encoder, targets), poolings, self.pairs)
        depths = [stage.depth for stage in stages]
        module.attach(encoder.checkpoint, stages[-1], self.gradient_checkpointing, depths)
        return module

    def _n_features(self, encoder: FrozenEncoder) -> int:
        poolings = one_or_list("pooling", self.pooling)
        return n_features(encoder.checkpoint.hidden_size, poolings, self.pairs)

    def _head(self, encoder: FrozenEncoder, targets: Targets) -> nn.Sequential:
        try:
            return build_head(
                self._n_features(encoder),
                head_sizes(self.hidden_layer_sizes),
                targets.n_outputs,
                self.activation,
                float(self.dropout),
            )
        except (RuntimeError, TypeError, MemoryError) as error:
            accepted = "sizes of layers that fit into memory"
            raise parameter_error(
                "hidden_layer_sizes", self.hidden_layer_sizes, accepted
            ) from error

    def _check_warm_start(
        self,
        module: FineTuneModule,
        checkpoint: Checkpoint,
        freezing: Freezing,
        poolings: list[str],
    ) -> None:
        lost = self.freezing_.trainable - freezing.trainable
        head = head_settings(module.head)
        sizes = head["hidden_layer_sizes"]
        fitted = [list(module.poolings), module.pairs, sizes]
        now = [poolings, self.pairs, list(head_sizes(self.hidden_layer_sizes))]
        others = fitted != now or (sizes and head["activation"] != self.activation)
        if lost or others or not self.reference_.is_of(checkpoint):
            raise ValueError(
                "warm_start=True can't go on from what was fitted: the weights and tokenizer of "
                "model, pooling, pairs, hidden_layer_sizes and activation have to be the same, "
                "and what was trained may not be frozen. Pass warm_start=False to start anew."
            )

    def _train(
        self,
        module: FineTuneModule,
        encoder: FrozenEncoder,
        stages: list[Freezing],
        samples: Samples,
        validation: Samples | None,
        targets: Targets,
        seed: int,
        fitted: dict[str, Any],
    ) -> None:
        texts = samples.texts + ([] if validation is None else validation.texts)
        inputs_at = partial(_inputs_at, encoder, texts, module)
        # No name for the inputs themselves: those of a stage have to go with it.
        train, held_out = _datasets(inputs_at(stages[0].depth), samples, validation)
        ids = train.inputs.ids()
        if ids is not None:
            module.narrow(ids)
        _warn_cut(train.inputs.n_cut, train.inputs.n_texts, encoder)
        unfreezing = GradualUnfreezing(stages, inputs_at)
        callbacks = [unfreezing, *training_callbacks(self, held_out)]
        settings = net_settings(
            self, encoder.checkpoint, callbacks, fitted["lr_"], fitted["head_lr_"], seed
        )
        net = self._net(module, targets, **settings)
        run_training(
            net,
            train,
            held_out,
            callbacks,
            keep=lambda rows: self._set_fitted(net, rows, unfreezing.stage, fitted),
        )

    def _set_fitted(
        self, net: Any, history: list[dict[str, float]], freezing: Freezing, fitted: dict[str, Any]
    ) -> None:
        net.module_.widen()
        net.module_.settle(freezing)
        fitted = {**fitted, **encoder_attributes(fitted["reference_"], freezing)}
        set_pair_names(self, fitted.pop(ATTRIBUTE))
        for name, value in fitted.items():
            setattr(self, name, value)
        self.n_trainable_parameters_ = net.module_.n_trainable_parameters()
        self.history_ = history
        self.net_ = net

    def _saved_checkpoint(self) -> Checkpoint:
        check_is_fitted(self, "net_")
        # They may have been set since, and are checked when the folder is read.
        check_tuning_parameters(self)
        return self.reference_.encoder().checkpoint

    def _sentence_model(self, checkpoint: Checkpoint) -> SentenceModel:
        poolings = list(self.net_.module_.poolings)
        return SentenceModel(poolings, False, self.max_length_, checkpoint.hidden_size)

    def _to_saved(self) -> Saved:
        module = self.net_.module_
        names = (*_SAVED, "takes_pairs_", *self._saved_attributes)
        fitted = {name: getattr(self, name) for name in names}
        fitted[ATTRIBUTE] = getattr(self, ATTRIBUTE, None)
        fitted |= {
            "trainable": sorted(self.freezing_.trainable),
            "poolings": list(module.poolings),
            "pairs": module.pairs,
            "head": head_settings(module.head),
        }
        head = {name: weights.cpu() for name, weights in module.head.state_dict().items()}
        return Saved(fitted, head, module.trained())

    def _from_saved(self, saved: Saved) -> None:
        # Folders that were saved before there were these have none.
        older = {"pairs": "joint", "head_lr_": self.head_lr, ATTRIBUTE: None}
        fitted = older | saved.fitted
        poolings, pairs = fitted["poolings"], fitted["pairs"]
        fitted.setdefault("takes_pairs_", True if pairs == "separate" else None)
        check_choice("pairs", pairs, PAIRS)
        check_tuning_parameters(self)
        reference = self._reference(fitted["max_length_"]).known()
        encoder = reference.encoder()
        checkpoint = encoder.checkpoint
        self._check_poolings(poolings, checkpoint)
        width = n_features(checkpoint.hidden_size, poolings, pairs)
        head = restore_head(fitted["head"] | {"n_features": width}, saved.head)
        targets = self._saved_targets(fitted, head_settings(head)["n_outputs"])
        freezing = Freezing.of(
            fitted["trainable"],
            checkpoint.parameter_places,
            checkpoint.n_layers,
            checkpoint.lower.shares_layers,
        )
        module = FineTuneModule(head, poolings, pairs)
        module.attach(encoder.checkpoint, freezing)
        settings = net_settings(self, checkpoint, [], fitted["lr_"], fitted["head_lr_"], seed=0)
        net = ready_to_predict(self._net(module, targets, **settings))
        kept = {name: fitted[name] for name in (*_SAVED, "takes_pairs_", ATTRIBUTE)}
        kept |= {**targets.fitted, "reference_": reference, "max_length_": encoder.max_length}
        self._set_fitted(net, kept.pop("history_"), freezing, kept)

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the head's outputs for each text, of shape (n_samples, n_outputs)."""
        check_is_fitted(self, "net_")
        texts = check_texts(X)
        if self.takes_pairs_ is not None:
            _check_kind("X", texts, self.takes_pairs_)
        check_pair_names(getattr(self, ATTRIBUTE, None), X, texts)
        module = self.net_.module_
        encoder = self.reference_.encoder(int(self.verbose))
        if self.freezing_.trainable:
            attach_once(
                module, lambda: module.encoder is not None, encoder.checkpoint, self.freezing_
            )
        outputs, n_cut, n_texts = [], 0, 0
        for start in range(0, len(texts), _PREDICTED_TOGETHER):
            part = texts[start : start + _PREDICTED_TOGETHER]
            inputs = _inputs_at(encoder, part, module, self.depth_)
            n_cut, n_texts = n_cut + inputs.n_cut, n_texts + inputs.n_texts
            dataset = LabelledTexts(inputs, np.arange(len(part)))
            fit = encoder.batch_tokens // _SMALLER_BATCHES // int(inputs.lengths.max())
            outputs.append(self.net_.outputs(dataset, max(self.net_.batch_size, fit)))
        _warn_cut(n_cut, n_texts, encoder)
        return np.concatenate(outputs)

    def __sklearn_tags__(self) -> Any:
        """Describe the input: one column of strings, or two."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags


def keep_frozen_for(estimator: BertFineTuneBase, texts: Sequence[Text]) -> None:
    """Have in the cache what a fit on these texts begins with: what frozen layers make of them.

    What later stages of gradual unfreezing read is kept with it where there is room.

    Parameters
    ----------
    estimator : BertFineTuneBase
        Need not be fitted, and does not become so.
    texts : sequence of str or (str, str)
        Checked already.
    """
    check_tuning_parameters(estimator)
    check_pairs(estimator.pairs, texts)
    encoder = estimator._reference(estimator.max_length).encoder(int(estimator.verbose))
    depth = estimator._stages(estimator._freezing(encoder), encoder.checkpoint)[0].depth
    poolings = one_or_list("pooling", estimator.pooling)
    trains = depth < encoder.checkpoint.n_layers
    keep_frozen(encoder, texts, poolings, depth, trains, estimator.pairs)


def _check_kind(name: str, texts: Sequence[Text], of_pairs: bool) -> None:
    """Refuse single texts beside pairs, and pairs beside single texts."""
    if are_pairs(texts) != of_pairs:
        kinds = ["single texts, in one column", "text pairs, in two columns"]
        found, accepted = kinds if of_pairs else kinds[::-1]
        raise ValueError(
            f"{name} has {found}. Accepted: {accepted}, as the X that was passed to fit."
        )


def _check_left(name: str, weight_name: str, samples: Samples) -> None:
    if not samples.texts:
        raise ValueError(
            f"{name} has no sample that counts: all lack a label, or have a {weight_name} of 0. "
            f"Accepted: at least one with a label and a weight above 0."
        )


def _warn_cut(n_cut: int, n_texts: int, encoder: FrozenEncoder) -> None:
    remedy = "split texts into rows of their own, or use BertFeaturizer(long_text='chunk')"
    warn_cut(n_cut, n_texts, encoder.max_length, encoder.checkpoint.max_length, remedy)


def _inputs_at(
    encoder: FrozenEncoder, texts: Sequence[Text], module: FineTuneModule, depth: int
) -> Inputs:
    trains = depth < encoder.checkpoint.n_layers
    return make_inputs(encoder, texts, module.poolings, depth, trains, module.pairs)


def _datasets(
    inputs: Inputs, samples: Samples, validation: Samples | None
) -> tuple[LabelledTexts, LabelledTexts | None]:
    """Return rows to train on and, the longest texts first, those to validate on."""
    n = len(samples.texts)
    train = LabelledTexts(inputs, np.arange(n), samples.y, samples.weights)
    if validation is None:
        return train, None
    by_length = np.argsort([-n_characters(text) for text in validation.texts], kind="stable")
    held_out = validation.take(by_length)
    return train, LabelledTexts(inputs, n + by_length, held_out.y, held_out.weights)
