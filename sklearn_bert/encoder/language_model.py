"""An encoder with the head that predicts masked tokens: loading it, and saving it after training.

The head is the one in the folder, or a new one whose last map is tied to the input embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel

from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.loading import load_weights, set_weights, using_transformers

__all__ = ["load_language_model", "save_language_model", "trainable_language_model"]


def load_language_model(checkpoint: Checkpoint) -> tuple[PreTrainedModel, bool]:
    """Return a new copy of the model with a head that predicts tokens, on the CPU.

    Parameters
    ----------
    checkpoint : Checkpoint
        Names the folder.

    Returns
    -------
    model : PreTrainedModel
        In the exact dtype of the checkpoint.
    has_head : bool
        Whether the folder had the head. If not, it is random but for the tied map.

    Raises
    ------
    ModelLoadError
        If there is no such head for the architecture, or if the folder no longer has the weights
        of the checkpoint.
    """
    with using_transformers():
        model, report = load_weights(
            AutoModelForMaskedLM, checkpoint.source(), checkpoint.exact_dtype
        )
        has_head = not any(name.endswith("weight") for name in report["missing_keys"])
        if not has_head and not model.config.tie_word_embeddings:
            model.config.tie_word_embeddings = True
            model.tie_weights()
    return model, has_head


def trainable_language_model(checkpoint: Checkpoint) -> tuple[PreTrainedModel, bool]:
    """Return what `load_language_model` returns, on the checkpoint's device and fast there."""
    model, has_head = load_language_model(checkpoint)
    model = checkpoint.placed_for_training(model)
    checkpoint.settle(model)
    return model, has_head


def save_language_model(
    checkpoint: Checkpoint, trained: Mapping[str, torch.Tensor], folder: Path
) -> None:
    """Save the model with what was trained of it, and the tokenizer, as safetensors and JSON.

    Parameters
    ----------
    checkpoint : Checkpoint
        Has the rest.
    trained : mapping of str to Tensor
        By their names in the model with its head.
    folder : Path
        Made if need be; what it has under the same names is replaced.
    """
    model, _ = load_language_model(checkpoint)
    set_weights(model, trained)
    with using_transformers():
        model.save_pretrained(folder)
        checkpoint.tokenizer.save_pretrained(folder)
    # What was read until now has to be what it was.
    checkpoint.source()
