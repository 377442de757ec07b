"""SetFit: the encoder trained on pairs of texts, of one class or of two; then LogisticRegression.

Its defaults, in float32: one epoch over as many pairs of one class as of two ("oversampling"), 16
pairs a batch. Pairs grow with the square of the rows, so its documentation says to bound them by
`max_steps` where there are many rows. Here the bound is what 64 rows a class of two classes make
by default, 520 steps, or two pairs a row if that is more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.rivals.training import Trained, encode_labels, timed

__all__ = ["MOST_STEPS", "default_pairs", "steps", "train"]

MOST_STEPS = 520
_BATCH_SIZE = 16
_PAIRS_A_ROW = 2
# What SetFit's argument for "no bound" is.
_UNBOUNDED = -1


def train(
    texts: Sequence[Any],
    labels: Any,
    *,
    folder: str,
    freeze: str = "none",
    epochs: int = 1,
    seed: int,
    max_length: int | None = None,
    device: str = "cpu",
) -> Trained:
    """Train the whole encoder on pairs, for `epochs` over them.

    Samples that are pairs themselves are joined by the tokenizer's separator: SetFit takes single
    texts.

    Raises
    ------
    ValueError
        If `freeze` is another than "none": SetFit freezes the encoder as a whole, or not.
    """
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    if freeze != "none":
        raise ValueError(f"freeze={freeze!r} is not what SetFit does. Accepted: 'none'.")
    classes, targets = encode_labels(labels)
    model = SetFitModel.from_pretrained(folder, device=device)
    if max_length is not None:
        model.model_body.max_seq_length = max_length
    separator = model.model_body.tokenizer.sep_token

    def joined(some: Sequence[Any]) -> list[str]:
        return [text if isinstance(text, str) else f" {separator} ".join(text) for text in some]

    def fit() -> None:
        arguments = TrainingArguments(
            output_dir=output,
            num_epochs=epochs,
            max_steps=steps(targets),
            seed=seed,
            show_progress_bar=False,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
        )
        rows = Dataset.from_dict({"text": joined(texts), "label": targets.tolist()})
        Trainer(model, arguments, train_dataset=rows).train()

    def predict(some: Sequence[Any]) -> np.ndarray:
        return classes[model.predict(joined(some), as_numpy=True, show_progress_bar=False)]

    with tempfile.TemporaryDirectory() as output:
        run = timed(fit)
    return Trained(run, predict)


def steps(targets: np.ndarray) -> int:
    """Return `max_steps` for these labels: the bound, or -1 where the defaults draw no more."""
    bound = max(MOST_STEPS * _BATCH_SIZE, _PAIRS_A_ROW * len(targets))
    return bound // _BATCH_SIZE if default_pairs(targets) > bound else _UNBOUNDED


def default_pairs(targets: np.ndarray) -> int:
    """Return how many pairs "oversampling" draws: as many of one class as of two.

    SetFit pairs a text with itself, too.
    """
    _, counts = np.unique(targets, return_counts=True)
    n = len(targets)
    same = int((counts * (counts + 1) // 2).sum())
    return 2 * max(same, n * (n + 1) // 2 - same)
