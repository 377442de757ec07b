"""The loops that tutorials print: all texts padded to 512, or each tokenized when it is asked for.

Both have AdamW with one learning rate for all, a linear schedule, gradients cut at a norm of 1, in
float32, as is usual there. The first makes tensors of all texts before, padded to the model's
limit. The second has a Dataset that tokenizes one text at a time, in each epoch anew, and pads it
to a length that fits short texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.rivals.models import load_classifier
from benchmarks.rivals.training import (
    BATCH_SIZE,
    LEARNING_RATE,
    Trained,
    encode_labels,
    timed,
    tokenize,
)

__all__ = ["train_item_by_item", "train_padded"]

_LIMIT = 512
_ITEM_LENGTH = 128

# From texts and targets to a data set whose items are dicts of tensors.
_MakeDataset = Callable[[Any, Sequence[Any], np.ndarray, int], Any]


def _padded_at_once(tokenizer: Any, texts: Sequence[Any], targets: np.ndarray, length: int) -> Any:
    import torch

    encoded = tokenize(
        tokenizer,
        texts,
        padding="max_length",
        truncation=True,
        max_length=length,
        return_tensors="pt",
    )
    columns = {**encoded, "labels": torch.from_numpy(targets)}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(texts))]


def _one_at_a_time(tokenizer: Any, texts: Sequence[Any], targets: np.ndarray, length: int) -> Any:
    import torch

    class Texts(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(texts)

        def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
            encoded = tokenize(
                tokenizer,
                [texts[i]],
                padding="max_length",
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )
            item = {name: values.flatten() for name, values in encoded.items()}
            return {**item, "labels": torch.tensor(targets[i])}

    return Texts()


def _train(
    texts: Sequence[Any],
    labels: Any,
    *,
    folder: str,
    freeze: str,
    epochs: int,
    seed: int,
    max_length: int | None = None,
    make_dataset: _MakeDataset,
    default_length: int,
) -> Trained:
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoTokenizer, get_linear_schedule_with_warmup

    length = max_length or default_length
    classes, targets = encode_labels(labels)
    model = load_classifier(folder, len(classes), freeze, seed)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def fit() -> None:
        rows = make_dataset(tokenizer, texts, targets, length)
        loader = DataLoader(rows, batch_size=BATCH_SIZE, shuffle=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        schedule = get_linear_schedule_with_warmup(optimizer, 0, epochs * len(loader))
        model.train()
        for _ in range(epochs):
            for batch in loader:
                optimizer.zero_grad()
                model(**batch).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()

    def predict(some: Sequence[Any]) -> np.ndarray:
        # Not what is measured, and padding would change nothing.
        settings = {"padding": True, "truncation": True, "max_length": length}
        outputs = []
        model.eval()
        with torch.no_grad():
            for start in range(0, len(some), BATCH_SIZE):
                batch = some[start : start + BATCH_SIZE]
                encoded = tokenize(tokenizer, batch, return_tensors="pt", **settings)
                outputs.append(model(**encoded).logits)
        return classes[torch.cat(outputs).argmax(dim=1).numpy()]

    return Trained(timed(fit), predict)


train_padded = partial(_train, make_dataset=_padded_at_once, default_length=_LIMIT)
train_item_by_item = partial(_train, make_dataset=_one_at_a_time, default_length=_ITEM_LENGTH)
