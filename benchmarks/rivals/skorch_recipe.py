"""skorch's recipe for transformers: its tokenizer and its classifier in a Pipeline.

NeuralNetClassifier after HuggingfacePretrainedTokenizer, which pads every text to one length;
float32, AdamW with one learning rate for all that trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.rivals.models import load_classifier
from benchmarks.rivals.training import BATCH_SIZE, LEARNING_RATE, Trained, encode_labels, timed

__all__ = ["PADDED_LENGTH", "train"]

# What short texts are padded to; SST-2's longest has fewer tokens.
PADDED_LENGTH = 128


def train(
    texts: Sequence[str],
    labels: Any,
    *,
    folder: str,
    freeze: str,
    epochs: int,
    seed: int,
    max_length: int | None = None,
) -> Trained:
    """Train the pipeline; texts alone, no pairs."""
    import torch
    from sklearn.pipeline import Pipeline
    from skorch import NeuralNetClassifier
    from skorch.hf import HuggingfacePretrainedTokenizer
    from transformers import AutoTokenizer

    class BertModule(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(**inputs).logits
            return logits

    classes, targets = encode_labels(labels)
    net = NeuralNetClassifier(
        BertModule,
        module__model=load_classifier(folder, len(classes), freeze, seed),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=LEARNING_RATE,
        max_epochs=epochs,
        batch_size=BATCH_SIZE,
        iterator_train__shuffle=True,
        train_split=None,
        device="cpu",
        verbose=0,
    )
    tokenizer = HuggingfacePretrainedTokenizer(
        AutoTokenizer.from_pretrained(folder), max_length=max_length or PADDED_LENGTH
    )
    pipeline = Pipeline([("tokenizer", tokenizer), ("net", net)])

    def predict(some: Sequence[str]) -> np.ndarray:
        return classes[pipeline.predict(list(some))]

    return Trained(timed(lambda: pipeline.fit(list(texts), targets)), predict)
