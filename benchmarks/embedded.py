"""The model that all benchmarks share: where it lies, how wide it is, what a text costs in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = [
    "MAX_LENGTH",
    "auto_precision",
    "matrix_flop",
    "model_config",
    "model_folder",
    "native_precisions",
]

# Where sentence-transformers cuts texts for this model; all others are told to do so too.
MAX_LENGTH = 256


def model_folder() -> str:
    """Return the folder of the embedded model."""
    from sklearn_bert.encoder.sources import EMBEDDED_MODEL, find_model_folder

    return str(find_model_folder(EMBEDDED_MODEL))


def model_config(folder: str | None = None) -> dict[str, Any]:
    """Return what its config.json says, or that of another folder."""
    path = Path(folder or model_folder()) / "config.json"
    config: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return config


def auto_precision(device: str = "cpu") -> str:
    """Return what precision="auto" means on this processor, or on its GPU."""
    from sklearn_bert.encoder.execution import resolve_device, resolve_precision

    return resolve_precision("auto", resolve_device(device))


def native_precisions() -> list[str]:
    """Return those that this processor computes in: float32, and what "auto" means if another."""
    return list(dict.fromkeys(["float32", auto_precision()]))


def matrix_flop(lengths: Iterable[int], config: dict[str, Any]) -> tuple[int, int]:
    """Count the operations of the matrix products that texts cannot do without.

    Padding is not counted, nor is what is not a matrix product.

    Parameters
    ----------
    lengths : iterable of int
        Tokens of each text.
    config : dict
        Of a BERT model.

    Returns
    -------
    linear : int
        Of the linear maps: two for each weight and token.
    attention : int
        Of queries with keys and of weights with values, which grow with the square of a length.
    """
    hidden, intermediate = config["hidden_size"], config["intermediate_size"]
    n_layers = config["num_hidden_layers"]
    lengths = list(lengths)
    weights = 4 * hidden * hidden + 2 * hidden * intermediate
    linear = 2 * n_layers * weights * sum(lengths)
    attention = 4 * n_layers * hidden * sum(length * length for length in lengths)
    return linear, attention
