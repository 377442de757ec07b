"""transformers' Trainer: with its defaults, and tuned as an expert would for a processor.

The defaults are those of TrainingArguments but for what all competitors share: batch size, epochs,
seed, and neither logs nor checkpoints. So float32, one learning rate for all that trains, falling
in a line, and batches in random order, padded to their longest.

The expert has bfloat16 autocast where the device computes it natively; batches of like length; a
learning rate for a model so narrow, and a higher one where only the head trains; a short warmup;
frozen layers that run without gradients and dropout; and large batches where it predicts. Not more
workers than the main process: texts are tokenized before, so that padding a batch is all they could
do, on cores that the products need. Its rates are those of ours, and no search was made for others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.embedded import auto_precision
from benchmarks.rivals.models import load_classifier
from benchmarks.rivals.training import (
    BATCH_SIZE,
    LEARNING_RATE,
    Trained,
    encode_labels,
    timed,
    tokenize,
)

__all__ = ["run_frozen_without_gradients", "train_defaults", "train_expert"]

_DEFAULTS: dict[str, Any] = {"learning_rate": LEARNING_RATE}
# transformers before 5 calls the third one group_by_length=True.
_EXPERT: dict[str, Any] = {
    "warmup_steps": 0.1,
    "train_sampling_strategy": "group_by_length",
    "dataloader_num_workers": 0,
    "per_device_eval_batch_size": 128,
    "learning_rate": 2e-4,
}
_EXPERT_HEAD_RATE = 1e-3


def run_frozen_without_gradients(model: Any) -> None:
    """Have what is frozen below all that trains run under no_grad, and without dropout.

    Parameters
    ----------
    model : PreTrainedModel
        Of BERT's build: embeddings, then layers. It is changed in place.
    """
    import torch

    encoder = model.base_model
    for module in (encoder.embeddings, *encoder.encoder.layer):
        if any(parameter.requires_grad for parameter in module.parameters()):
            return
        module.eval()
        module.forward = torch.no_grad()(module.forward)
        # The Trainer puts the whole model into training mode before each batch.
        module.train = lambda mode=True, module=module: module


def _train(
    texts: Sequence[Any],
    labels: Any,
    *,
    folder: str,
    freeze: str,
    epochs: int,
    seed: int,
    max_length: int | None = None,
    device: str = "cpu",
    as_expert: bool,
) -> Trained:
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    classes, targets = encode_labels(labels)
    model = load_classifier(folder, len(classes), freeze, seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    precision = auto_precision(device) if as_expert else "float32"
    settings = {**(_EXPERT if as_expert else _DEFAULTS), "num_train_epochs": epochs, "seed": seed}
    if as_expert:
        run_frozen_without_gradients(model)
        settings["bf16"] = precision == "bfloat16"
        if freeze == "all":
            settings["learning_rate"] = _EXPERT_HEAD_RATE
    trainers = []

    def tokenized(some: Sequence[Any]) -> list[dict[str, Any]]:
        encoded = tokenize(tokenizer, some, truncation=True, max_length=max_length)
        return [{name: encoded[name][i] for name in encoded} for i in range(len(some))]

    def fit() -> None:
        arguments = TrainingArguments(
            output_dir=output,
            per_device_train_batch_size=BATCH_SIZE,
            use_cpu=device == "cpu",
            dataloader_pin_memory=device != "cpu",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            eval_strategy="no",
            disable_tqdm=True,
            **settings,
        )
        rows = [
            {**row, "labels": int(target)}
            for row, target in zip(tokenized(texts), targets, strict=True)
        ]
        collator = DataCollatorWithPadding(tokenizer)
        trainers.append(Trainer(model, arguments, train_dataset=rows, data_collator=collator))
        trainers[0].train()

    def predict(some: Sequence[Any]) -> np.ndarray:
        # Grouping by length would shuffle what is predicted, and return it in that order.
        trainers[0].args.train_sampling_strategy = "sequential"
        outputs = trainers[0].predict(tokenized(some)).predictions
        return classes[outputs.argmax(axis=1)]

    with tempfile.TemporaryDirectory() as output:
        run = timed(fit)
    return Trained(run, predict, precision)


train_defaults = partial(_train, as_expert=False)
train_expert = partial(_train, as_expert=True)
