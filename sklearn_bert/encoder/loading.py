"""What a model's folder holds, read in the safe way: fingerprint, tokenizer and weights.

No code of the folder runs, no pickle is opened, and nothing that is missing is made up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers import logging as transformers_logging

from sklearn_bert.encoder.randomness import shared_draws
from sklearn_bert.encoder.screening import screen
from sklearn_bert.encoder.sources import VOCABULARIES, has_vocabulary, weight_files
from sklearn_bert.errors import ModelLoadError

__all__ = [
    "TOKENIZER_FILES",
    "Stamp",
    "check_vocabulary",
    "content_fingerprint",
    "let_go_of_files",
    "load_encoder",
    "load_tokenizer",
    "load_weights",
    "one_at_a_time",
    "set_weights",
    "stamp",
    "using_transformers",
]

# Entries of a config that tell who wrote it, not what it computes.
_VOLATILE_CONFIG = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
# What transformers makes a tokenizer of.
TOKENIZER_FILES = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)

# What tells that files are the ones read before: name, size and times of each.
Stamp = tuple[tuple[str, int, int, int], ...]

_fingerprints: dict[Stamp, str] = {}


def content_fingerprint(folder: Path) -> str:
    """Return a digest of weights and config, once they are screened.

    Files that did not change are read once a process.

    Raises
    ------
    ModelLoadError
        If they must not be loaded.
    """
    config = folder / "config.json"
    files = [config, *weight_files(folder)]
    key = stamp(files)
    if key not in _fingerprints:
        settings = screen(folder, files[1:])
        kept = {name: value for name, value in settings.items() if name not in _VOLATILE_CONFIG}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
        for path in files[1:]:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        _fingerprints[key] = digest.hexdigest()
    return _fingerprints[key]


def stamp(files: Collection[Path]) -> Stamp:
    """Return what changes when one of the files does.

    It has the times of both content and inode: archives often set that of the content.
    """
    stats = [(path.absolute(), path.stat()) for path in sorted(files)]
    return tuple(
        (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats
    )


def load_tokenizer(folder: Path) -> Any:
    """Load the fast tokenizer.

    Raises
    ------
    ModelLoadError
        If there is none, or it can't be loaded.
    """
    if not has_vocabulary(folder):
        raise ModelLoadError(
            f"The tokenizer is missing in {folder}: there is none of "
            f"{', '.join(VOCABULARIES)}. Save it beside the weights with "
            f"tokenizer.save_pretrained(folder)."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise ModelLoadError(
            f"The tokenizer in {folder} can't be loaded ({type(error).__name__}: {error}). Save "
            f"it beside the weights with tokenizer.save_pretrained(folder)."
        ) from error
    if not tokenizer.is_fast:
        raise ModelLoadError(
            f"The tokenizer in {folder} has no fast version (tokenizer.json), which this package "
            f"needs. Convert it with transformers and save it beside the weights."
        )
    return tokenizer


def load_weights(
    auto_class: Any, folder: Path, dtype: torch.dtype
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load a model in the safe way, leaving the global random state as it was.

    Parameters
    ----------
    auto_class : type
        One of transformers' classes that choose the architecture by the config.
    folder : Path
        With safetensors.
    dtype : torch.dtype
        Of the weights.

    Returns
    -------
    model : PreTrainedModel
    report : dict
        What was missing and what was left over.
    """
    try:
        with shared_draws():
            model, report = auto_class.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:
        raise ModelLoadError(
            f"The model in {folder} can't be loaded ({type(error).__name__}: {error})."
        ) from error
    # The first DeBERTa has biases that stay in float32, and then multiplies with bfloat16.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model, report


def load_encoder(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load the encoder, without its pooler where the weights have none.

    Raises
    ------
    ModelLoadError
        If weights are missing that would then be random.
    """
    model, report = load_weights(AutoModel, folder, dtype)
    missing = set(report["missing_keys"])
    without_pooler = {name for name in missing if not name.startswith("pooler.")}
    if without_pooler or report["mismatched_keys"]:
        names = sorted(without_pooler or map(str, report["mismatched_keys"]))
        raise ModelLoadError(
            f"The weights in {folder} do not match its config: {len(names)} tensor(s) are missing "
            f"or have another shape, first {names[0]}. They would be random. Save the model "
            f"again with save_pretrained."
        )
    if missing:
        model.pooler = None
    return model


def let_go_of_files(model: nn.Module) -> None:
    """Copy weights on the CPU, which lie in the mapped file: writing over it would change them.

    Parameters
    ----------
    model : nn.Module
        As it stays: what it no longer has is not copied.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def set_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a model these weights, by the names of its parameters; the others stay."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


def check_vocabulary(folder: Path, model: PreTrainedModel, tokenizer: Any) -> None:
    """Raise ModelLoadError if the tokenizer has tokens that the model has no embeddings for."""
    n_known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > n_known:
        raise ModelLoadError(
            f"The tokenizer in {folder} has {len(tokenizer):,} tokens, and the model embeddings "
            f"for {n_known:,}. Save the tokenizer that belongs to the model, or call "
            f"model.resize_token_embeddings({len(tokenizer)}) and train it."
        )


# Loading and saving change settings of the process: default dtype, initializers, logging.
_alone = threading.RLock()


def _renew_lock() -> None:
    """Have a forked child not wait for a thread that it has not."""
    global _alone
    _alone = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one thread load or save, and the others wait for it."""
    with _alone:
        yield


@contextlib.contextmanager
def using_transformers() -> Iterator[None]:
    """Load or save with transformers, one thread at a time, its bars and reports off the terminal.

    Errors are raised anyway.
    """
    with one_at_a_time():
        level = transformers_logging.get_verbosity()
        bars = transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            yield
        finally:
            transformers_logging.set_verbosity(level)
            if bars:
                transformers_logging.enable_progress_bar()
