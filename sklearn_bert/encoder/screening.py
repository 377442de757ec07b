"""A model's folder is looked through before any library opens it: it may come from anywhere.

No file is run, opened outside the folder, or believed about sizes that its weights do not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sklearn_bert.encoder.sources import INDEX_FILE
from sklearn_bert.errors import ModelLoadError

__all__ = ["read_json", "screen"]

_MEBIBYTE = 2**20
_MAX_JSON = 64 * _MEBIBYTE
# The tokenizer's vocabulary.
_MAX_TOKENIZER = 512 * _MEBIBYTE
_MAX_HEADER = 100 * _MEBIBYTE
# Sizes in a config beyond this would allocate what no encoder has.
_MAX_SIZE = 10**8
# So many layers may share their weights.
_MAX_SHARED_LAYERS = 1000
# What comes of reading a header that is none.
_NO_HEADER = (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError)
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers")


def screen(folder: Path, weights: Sequence[Path]) -> dict[str, Any]:
    """Return the config of the model in `folder`, or raise for what must not be loaded.

    Parameters
    ----------
    folder : Path
        A saved model.
    weights : sequence of Path
        Its weights.

    Raises
    ------
    ModelLoadError
        With the file, what is wrong with it, and what is accepted.
    """
    _check_no_adapter(folder)
    for path in sorted(folder.glob("*.json")):
        _check_size(path)
    config = read_json(folder / "config.json")
    _check_index(folder, {path.name for path in weights})
    n_tensors = sum(len(_header(path)) for path in weights)
    _check_config(folder / "config.json", config, n_tensors)
    return config


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    ModelLoadError
        If there is none, or more than anyone writes.
    """
    _check_size(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ModelLoadError(f"{path} is not valid JSON: {error}. Save the model again.") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} holds no JSON object. Save the model again.")
    return content


def _check_size(path: Path) -> None:
    most = _MAX_TOKENIZER if path.name == "tokenizer.json" else _MAX_JSON
    if path.is_file() and path.stat().st_size > most:
        raise ModelLoadError(
            f"{path} has {path.stat().st_size:,} bytes. Accepted: up to {most:,}. It is not read."
        )


def _check_no_adapter(folder: Path) -> None:
    if (folder / "adapter_config.json").exists():
        raise ModelLoadError(
            f"{folder} has an adapter_config.json: it is an adapter to another model, which would "
            f"be loaded in its place. Accepted: a whole model. Merge the adapter into its model "
            f"with merge_and_unload() of peft, and save that."
        )


def _check_index(folder: Path, names: set[str]) -> None:
    path = folder / INDEX_FILE
    if not path.is_file():
        return
    places = read_json(path).get("weight_map")
    listed = set(places.values()) if isinstance(places, dict) else {None}
    single = listed and names == {"model.safetensors"}
    if not single and listed != names:
        odd = sorted(map(str, listed ^ names))[0]
        raise ModelLoadError(
            f"{path} and the files beside it do not agree, first about {odd!r}. Accepted: an "
            f"index of the model-*-of-*.safetensors in the same folder. Save the model again."
        )


def _header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, which says where each tensor lies."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise ModelLoadError(
                f"{path} is no whole safetensors file: its header would have {length:,} bytes, "
                f"and the file has {size:,}. Copy or download it again."
            )
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = 8 + length + max(entry["data_offsets"][1] for entry in header.values())
        except _NO_HEADER as error:
            raise ModelLoadError(
                f"{path} is no safetensors file: its header can't be read ({error!r}). Copy or "
                f"download it again."
            ) from error
    if end != size:
        raise ModelLoadError(
            f"{path} has {size:,} bytes, and its header speaks of {end:,}. Copy or download it "
            f"again."
        )
    return dict(header)


def _check_config(path: Path, config: dict[str, Any], n_tensors: int) -> None:
    for name, value in _entries(config):
        if name.endswith("attn_implementation") and isinstance(value, str) and "/" in value:
            raise ModelLoadError(
                f"{path} asks for {name}={value!r}, which is code from elsewhere. It is never "
                f"loaded. Remove the entry."
            )
        most = max(n_tensors, _MAX_SHARED_LAYERS) if name in _LAYERS else _MAX_SIZE
        if isinstance(value, int) and value > most:
            raise ModelLoadError(
                f"{path} has {name}={value}, which the weights do not have. Accepted: up to "
                f"{most:,}. Save the model again."
            )


def _entries(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Go through all that a config holds, however deep."""
    waiting = [(name, config)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(name, item) for item in value]
        else:
            yield name, value
