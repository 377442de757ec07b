"""Small things to train, made of tiny models: encoders, modules, data sets, nets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sklearn_bert.encoder.checkpoint import Checkpoint, load_checkpoint
from sklearn_bert.encoder.freezing import resolve_freeze
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.store import MemoryStore
from sklearn_bert.training.batches import LabelledTexts
from sklearn_bert.training.inputs import make_inputs
from sklearn_bert.training.losses import CrossEntropy
from sklearn_bert.training.module import FineTuneModule, build_head, n_features
from sklearn_bert.training.net import ClassifierNet
from sklearn_bert.training.optimizer import MakeOptimizer
from tests.models import HIDDEN

TRAIN = [
    f"{text} {n}" for n in range(3) for text in ("the film is good", "a bad story", "dull", "")
]


@pytest.fixture
def checkpoint_of(saved_model) -> Callable[..., Checkpoint]:
    """Return a function from a family's name to its checkpoint."""

    def checkpoint(family: str = "bert", precision: str = "float32") -> Checkpoint:
        return load_checkpoint(saved_model(family), None, torch.device("cpu"), precision)

    return checkpoint


@pytest.fixture
def encoder_of(checkpoint_of) -> Callable[..., FrozenEncoder]:
    """Return a function from a family's name to a frozen encoder with a store of its own."""

    def encoder(
        family: str = "bert",
        precision: str = "float32",
        limit: int | None = 10**8,
        max_length: int | None = None,
    ) -> FrozenEncoder:
        checkpoint = checkpoint_of(family, precision)
        store = None if limit is None else MemoryStore(limit)
        length = checkpoint.resolve_max_length(max_length)
        return FrozenEncoder(checkpoint, store, length, "truncate", 256, 0, for_tuning=True)

    return encoder


@pytest.fixture
def module_of(checkpoint_of) -> Callable[..., FineTuneModule]:
    """Return a function that makes a module, attached to a checkpoint."""

    def module(
        freeze: Any = "none",
        *,
        unfreeze: list[str] | None = None,
        family: str = "bert",
        precision: str = "float32",
        poolings: tuple[str, ...] = ("mean",),
        pairs: str = "joint",
        sizes: tuple[int, ...] = (),
        dropout: float = 0.0,
        encoder_dropout: bool = False,
        gradient_checkpointing: bool = False,
    ) -> FineTuneModule:
        checkpoint = checkpoint_of(family, precision)
        places = checkpoint.parameter_places
        shares = checkpoint.lower.shares_layers
        freezing = resolve_freeze(freeze, unfreeze, checkpoint.n_layers, places, shares)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            width = n_features(HIDDEN, poolings, pairs)
            head = build_head(width, sizes, 2, "relu", dropout)
        made = FineTuneModule(head, poolings, pairs)
        made.attach(checkpoint, freezing, gradient_checkpointing)
        if made.encoder is not None and not encoder_dropout:
            for part in made.encoder.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = 0.0
        return made

    return module


@pytest.fixture
def net_of(module_of, encoder_of) -> Callable[..., tuple[ClassifierNet, LabelledTexts]]:
    """Return a function that makes a net, and data to train it on."""

    def net(
        freeze: Any = -1,
        texts: list[str] = TRAIN,
        optimizer: dict[str, float] | None = None,
        label_smoothing: float = 0.0,
        **settings: Any,
    ) -> tuple[ClassifierNet, LabelledTexts]:
        module = module_of(freeze)
        encoder = encoder_of()
        depth = {"none": 0, "embeddings": 0, "all": 4}.get(freeze, freeze if freeze != -1 else 3)
        inputs = make_inputs(encoder, texts, ["mean"], depth, freeze != "all")
        dataset = LabelledTexts(inputs, np.arange(len(texts)), np.arange(len(texts)) % 2)
        rates = {"lr": 1e-3, "head_lr": 1e-2, "layer_lr_decay": 1.0, "weight_decay": 0.0}
        places = encoder.checkpoint.parameter_places
        made = ClassifierNet(
            module,
            criterion=CrossEntropy,
            criterion__label_smoothing=label_smoothing,
            classes=np.arange(2),
            make_optimizer=MakeOptimizer(places, 4, **(rates | (optimizer or {}))),
            **(
                {
                    "max_epochs": 2,
                    "batch_size": 4,
                    "schedule": "constant",
                    "warmup": 0,
                    "device": "cpu",
                    "callbacks__print_log": None,
                    "verbose": 0,
                }
                | settings
            ),
        )
        return made, dataset

    return net
