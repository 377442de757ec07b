"""A name or folder to weights, tokenizer and fingerprint: one shared copy per process and device.

The copy is locked: in evaluation mode, without gradients, and never handed out for training.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers import logging as transformers_logging

from sklearn_bert.encoder import work
from sklearn_bert.encoder.attention import use_exact_attention, use_fast_attention
from sklearn_bert.encoder.depth import LowerPart, cast_states, parameter_places
from sklearn_bert.encoder.dropout import use_cpu_dropout
from sklearn_bert.encoder.embedding import use_cpu_embeddings
from sklearn_bert.encoder.execution import (
    PRECISIONS,
    has_native_bfloat16,
    length_multiple,
    prepare_heap,
)
from sklearn_bert.encoder.linear import pack_linear, use_onednn
from sklearn_bert.encoder.screening import screen
from sklearn_bert.encoder.sources import find_model_folder, weight_files
from sklearn_bert.encoder.tokenization import TextTokenizer
from sklearn_bert.errors import ModelLoadError, parameter_error

__all__ = [
    "Checkpoint",
    "content_fingerprint",
    "load_checkpoint",
    "load_weights",
    "quiet_transformers",
    "set_weights",
]

# Where neither tokenizer nor positions bound the length.
_FALLBACK_LENGTH = 512
# Tokenizers without a limit say so with an absurdly large one.
_NO_LENGTH = 10**6
# Entries of a config that tell who wrote it, not what it computes.
_VOLATILE_CONFIG = {
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
# Without any of these, transformers makes up a tokenizer that knows no words, and says nothing.
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


class Checkpoint:
    """A pretrained encoder with its tokenizer, ready to run.

    Made by `load_checkpoint` only, which shares copies.

    Attributes
    ----------
    lower : LowerPart
        The model, to be run up to a depth.
    device : torch.device
        Where the weights are.
    precision : str
        The dtype of the weights, by name.
    fingerprint : str
        Digest of the content of weights and config.
    tokenizer_fingerprint : str
        Digest of the tokenizer.
    with_type_ids : bool
        Whether the model is told which half of a pair a token belongs to.
    parameter_places : dict of str to int or None
        Where a text meets each parameter; see `depth.parameter_places`.
    n_layers, hidden_size, max_length : int
        Layers, width of the states, and the most tokens a text may have.
    dtype : torch.dtype
        Of the states, as `precision` says.
    state_bytes : int
        Bytes of one token's state.
    exact_dtype : torch.dtype
        What is trained on top is in this: float32, or float64 if that is the precision.
    has_pooler : bool
        Whether the weights include a pooler.
    busy : lock
        Held by whoever encodes: a second thread waits, and then finds the results in the store.
    """

    def __init__(self, folder: Path, fingerprint: str, device: torch.device, precision: str):
        self.folder = folder
        self.fingerprint = fingerprint
        self.device = device
        self.precision = precision
        with quiet_transformers():
            self._tokenizer = _load_tokenizer(folder)
            model = _load_model(folder, PRECISIONS[precision])
        _check_vocabulary(folder, model, self._tokenizer)
        self.parameter_places = parameter_places(model)
        model.to(device)
        use_fast_attention(model, device)
        if device.type == "cpu":
            prepare_heap()
            native = precision == "bfloat16" and has_native_bfloat16(device)
            if precision == "float32" or native:
                pack_linear(model)
        model.eval().requires_grad_(False)
        self.lower = LowerPart(model)
        self._parts = {0: self.lower}
        self.n_layers = self.lower.n_layers
        self.hidden_size = int(model.config.hidden_size)
        self.dtype = PRECISIONS[precision]
        self.exact_dtype = torch.promote_types(self.dtype, torch.float32)
        self.state_bytes = self.hidden_size * self.dtype.itemsize
        self.has_pooler = getattr(model, "pooler", None) is not None
        self.max_length = _longest(model, self._tokenizer)
        self.with_type_ids = "token_type_ids" in self._tokenizer.model_input_names
        self._serialized = self._tokenizer.backend_tokenizer.to_str()
        side = self._tokenizer.truncation_side
        self.tokenizer_fingerprint = hashlib.sha256((side + self._serialized).encode()).hexdigest()
        self._text_tokenizers: dict[tuple[int, str], TextTokenizer] = {}
        self.renew_locks()

    def renew_locks(self) -> None:
        """Have locks that nobody holds."""
        self._lock = threading.Lock()
        self.busy = threading.RLock()

    def resolve_max_length(self, max_length: Any) -> int:
        """Return the limit in tokens that a `max_length` parameter means.

        Raises
        ------
        ValueError
            If it is beyond the model's limit, or leaves no room beside the special tokens.
        """
        if max_length is None:
            return self.max_length
        least = self._tokenizer.num_special_tokens_to_add(pair=True) + 2
        whole = isinstance(max_length, Integral) and not isinstance(max_length, bool)
        if not whole or not least <= max_length <= self.max_length:
            raise parameter_error(
                "max_length",
                max_length,
                f"{least} to {self.max_length} tokens, or None for the model's limit",
                f"The limit of the model is {self.max_length}; for longer texts see "
                f"long_text='chunk'.",
            )
        return int(max_length)

    def part(self, start: int) -> LowerPart:
        """Return the model without the layers below `start`, sharing its weights."""
        with self._lock:
            if start not in self._parts:
                self._parts[start] = LowerPart(self.lower.model, start)
            return self._parts[start]

    def trainable_copy(self) -> PreTrainedModel:
        """Return a new copy of the model on its device, to be trained.

        Its weights are float32, or float64 if that is the precision: what is lost in rounding
        small steps to bfloat16 weights would never add up.
        """
        with _loading, quiet_transformers():
            model = _load_model(self.folder, self.exact_dtype)
        return self.placed_for_training(model)

    def placed_for_training(self, model: PreTrainedModel) -> PreTrainedModel:
        """Put a model of this checkpoint on its device, with what trains it fast there."""
        model.to(self.device)
        use_fast_attention(model, self.device)
        if self.device.type == "cpu":
            if self.precision == "float32":
                use_onednn(model)
            use_cpu_dropout(model)
            use_cpu_embeddings(model)
            if self.dtype == torch.bfloat16:
                cast_states(model, self.dtype)
        if self.dtype == torch.bfloat16:
            use_exact_attention(model)
        return model

    def export(self, folder: Path, trained: Mapping[str, torch.Tensor]) -> None:
        """Write weights, config and tokenizer into a folder, as transformers reads them.

        Parameters
        ----------
        folder : Path
            Exists.
        trained : dict of str to Tensor
            Parameters that are no longer those of this checkpoint. Without any the files are
            copied, so that the fingerprint stays.
        """
        with quiet_transformers():
            self._tokenizer.save_pretrained(folder)
            if trained:
                model = _load_model(self.folder, self.exact_dtype)
                set_weights(model, trained)
                model.save_pretrained(folder)
                return
        for path in [self.folder / "config.json", *weight_files(self.folder)]:
            shutil.copy(path, folder)
        index = self.folder / "model.safetensors.index.json"
        if len(weight_files(self.folder)) > 1 and index.is_file():
            shutil.copy(index, folder)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer as transformers has it, not to be changed."""
        return self._tokenizer

    def text_tokenizer(self, max_length: int, long_text: str) -> TextTokenizer:
        """Return the tokenizer with a limit; one for each limit is kept."""
        key = (max_length, long_text)
        with self._lock:
            if key not in self._text_tokenizers:
                self._text_tokenizers[key] = TextTokenizer(
                    self._serialized,
                    max_length,
                    long_text,
                    pad_id=self._tokenizer.pad_token_id or 0,
                    with_type_ids=self.with_type_ids,
                    truncation_side=self._tokenizer.truncation_side,
                    multiple=length_multiple(self.device),
                )
            return self._text_tokenizers[key]


# What tells that files are the ones read before: name, size and times of each.
_Stamp = tuple[tuple[str, int, int, int], ...]

_loaded: weakref.WeakValueDictionary[tuple[str, str, _Stamp, str, str], Checkpoint] = (
    weakref.WeakValueDictionary()
)
# Keeps the latest alive between calls of estimators that hold no fitted state.
_recent: deque[Checkpoint] = deque(maxlen=4)
# Loading changes settings of the process (default dtype, generators, transformers' logging).
_loading = threading.Lock()
_fingerprints: dict[_Stamp, str] = {}


def _renew_locks() -> None:
    """Have a forked child not wait for threads that it has not: one may be encoding for minutes."""
    global _loading
    _loading = threading.Lock()
    for checkpoint in _loaded.values():
        checkpoint.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def load_checkpoint(
    model: str | os.PathLike[str],
    revision: str | None,
    device: torch.device,
    precision: str,
) -> Checkpoint:
    """Return the shared copy of a model, loading it if this process has none yet.

    Parameters
    ----------
    model : str or path
        A folder, or a name on the Hugging Face Hub.
    revision : str or None
        Branch, tag or commit on the Hub.
    device : torch.device
        Where it runs.
    precision : str
        A key of `PRECISIONS`.

    Raises
    ------
    ModelNotFoundError
        If the model is in no place that could be reached.
    ModelLoadError
        If it is there and can't be used.
    """
    with _loading:
        folder = _find_folder(model, revision)
        fingerprint = content_fingerprint(folder)
        tokenizer_stamp = _stamp([path for path in folder.iterdir() if path.suffix == ".json"])
        key = (str(folder), fingerprint, tokenizer_stamp, str(device), precision)
        checkpoint = _loaded.get(key)
        if checkpoint is None:
            checkpoint = Checkpoint(folder, fingerprint, device, precision)
            _loaded[key] = checkpoint
            work.count(models_loaded=1)
        if checkpoint not in _recent:
            _recent.append(checkpoint)
    return checkpoint


_folders: dict[tuple[str, str], Path] = {}


def _find_folder(model: str | os.PathLike[str], revision: str | None) -> Path:
    """Find the folder once a process, as long as it is there."""
    # Whatever they are: what they may be is checked where a folder is looked for.
    key = (repr(model), repr(revision))
    folder = _folders.get(key)
    if folder is None or not weight_files(folder):
        folder = _folders[key] = find_model_folder(model, revision)
    return folder


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
    key = _stamp(files)
    if key not in _fingerprints:
        settings = screen(folder, files[1:])
        kept = {name: value for name, value in settings.items() if name not in _VOLATILE_CONFIG}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
        for path in files[1:]:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        _fingerprints[key] = digest.hexdigest()
    return _fingerprints[key]


def _stamp(files: list[Path]) -> _Stamp:
    """Tell by the times of both content and inode: archives often set that of the content."""
    stats = [(path.absolute(), path.stat()) for path in sorted(files)]
    return tuple(
        (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats
    )


def _load_tokenizer(folder: Path) -> Any:
    if not any(path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)):
        raise ModelLoadError(
            f"The tokenizer is missing in {folder}: there is none of "
            f"{', '.join(_TOKENIZER_FILES)}. Save it beside the weights with "
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


def set_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a model these weights, by the names of its parameters; the others stay."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])


def _check_vocabulary(folder: Path, model: PreTrainedModel, tokenizer: Any) -> None:
    n_known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > n_known:
        raise ModelLoadError(
            f"The tokenizer in {folder} has {len(tokenizer):,} tokens, and the model embeddings "
            f"for {n_known:,}. Save the tokenizer that belongs to the model, or call "
            f"model.resize_token_embeddings({len(tokenizer)}) and train it."
        )


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
        with torch.random.fork_rng(devices=[]):
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


def _load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load the encoder."""
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


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the loader's bars and reports off the user's terminal; errors are raised anyway."""
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


def _longest(model: PreTrainedModel, tokenizer: Any) -> int:
    """Return the most tokens that both the positions and the tokenizer allow."""
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < _NO_LENGTH else []
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions:
        limits.append(int(positions) - _positions_before_first(model))
    return min(limits, default=_FALLBACK_LENGTH)


def _positions_before_first(model: PreTrainedModel) -> int:
    """Count the positions that RoBERTa's kin never use: they start after the padding index."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
