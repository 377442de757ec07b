"""The embedded model as other tools load it, with the same layers frozen as in ours."""

from __future__ import annotations

from typing import Any

__all__ = ["freeze_parameter", "load_classifier"]


def freeze_parameter(freeze: str) -> str | int:
    """Return what a depth on the command line is as a parameter."""
    return freeze if freeze in ("none", "embeddings", "all") else int(freeze)


def load_classifier(folder: str, n_labels: int, freeze: str, seed: int) -> Any:
    """Load a classifier of transformers in float32, and freeze what ours would.

    Parameters
    ----------
    folder : str
        Of a saved encoder.
    n_labels : int
        Outputs of the head.
    freeze : str
        As on the command line.
    seed : int
        Of the head's weights.
    """
    import torch
    import transformers

    from sklearn_bert.encoder.depth import parameter_places
    from sklearn_bert.encoder.freezing import resolve_freeze

    transformers.logging.set_verbosity_error()
    torch.manual_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=n_labels, dtype=torch.float32
    )
    encoder = model.base_model
    freezing = resolve_freeze(
        freeze_parameter(freeze),
        None,
        encoder.config.num_hidden_layers,
        parameter_places(encoder),
    )
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in freezing.trainable)
    return model
