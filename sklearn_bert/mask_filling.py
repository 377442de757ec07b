"""What stands behind the masks in texts, by a net that predicts masked tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.errors import warn_cut
from sklearn_bert.training.masked_net import MaskedLMNet

__all__ = ["fill_masks"]


def fill_masks(
    texts: Sequence[str], top_k: int, net: MaskedLMNet, checkpoint: Checkpoint
) -> list[Any]:
    """Return the most probable tokens for each mask.

    Parameters
    ----------
    texts : sequence of str
        Each with one mask or several.
    top_k : int
        How many tokens to return for a mask.
    net : MaskedLMNet
        Trained, and attached to the checkpoint.
    checkpoint : Checkpoint
        Has the tokenizer.

    Returns
    -------
    list
        For each text a list of (token, probability); with several masks a list of such lists.

    Raises
    ------
    ValueError
        If a text has no mask.
    """
    tokenizer = checkpoint.text_tokenizer(checkpoint.max_length, "truncate")
    windows = tokenizer.all_windows(texts)
    mask_id = checkpoint.tokenizer.mask_token_id
    counts = [int((ids == mask_id).sum()) for ids in windows.ids]
    if 0 in counts:
        raise _no_mask(texts, counts.index(0), checkpoint.tokenizer.mask_token, windows.cut)
    limit = checkpoint.max_length
    warn_cut(int(windows.cut.sum()), len(texts), limit, limit, "shorten the texts")
    found: list[list[Any]] = []
    for start in range(0, len(texts), net.batch_size):
        rows = np.arange(start, min(len(texts), start + net.batch_size))
        inputs = tokenizer.batch(windows, rows, coarse=True).inputs
        probabilities = net.probabilities(inputs, inputs["input_ids"] == mask_id)
        found += _tokens(checkpoint, probabilities, top_k)
    return _by_text(found, counts)


def _no_mask(texts: Sequence[str], row: int, mask_token: str, cut: np.ndarray) -> ValueError:
    lost = " before the model's limit, where the text was cut" if cut[row] else ""
    shown = texts[row] if len(texts[row]) <= 60 else f"{texts[row][:57]}..."
    return ValueError(
        f"X[{row}]={shown!r} has no mask{lost}. Accepted: texts with {mask_token!r}, the mask of "
        f"this model, for each token to fill in."
    )


def _tokens(
    checkpoint: Checkpoint, probabilities: torch.Tensor, top_k: int
) -> list[list[tuple[str, float]]]:
    """Return the most probable tokens of each mask."""
    best = probabilities.topk(min(top_k, probabilities.shape[1]), dim=1)
    return [
        [(checkpoint.tokenizer.decode([token]), value) for token, value in zip(*row, strict=True)]
        for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _by_text(found: list[Any], counts: list[int]) -> list[Any]:
    """Put the masks of each text together; one alone stands for itself."""
    ends = np.cumsum(counts).tolist()
    return [
        found[end - 1] if count == 1 else found[end - count : end]
        for end, count in zip(ends, counts, strict=True)
    ]
