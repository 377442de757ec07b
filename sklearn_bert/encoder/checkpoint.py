"""A pretrained encoder in memory: one shared copy per process and device.

The copy is locked: in evaluation mode, without gradients, and never handed out for training.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

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
from sklearn_bert.encoder.loading import (
    TOKENIZER_FILES,
    Stamp,
    check_vocabulary,
    content_fingerprint,
    let_go_of_files,
    load_encoder,
    load_tokenizer,
    one_at_a_time,
    set_weights,
    stamp,
    using_transformers,
)
from sklearn_bert.encoder.probe import check_parts, check_states
from sklearn_bert.encoder.sources import INDEX_FILE, find_model_folder, weight_files
from sklearn_bert.encoder.tokenization import TextTokenizer, serialized, types_single_texts
from sklearn_bert.errors import ModelLoadError, parameter_error

__all__ = ["Checkpoint", "load_checkpoint"]

# Where neither tokenizer nor positions bound the length.
_FALLBACK_LENGTH = 512
# Loads of a model whose files are replaced meanwhile.
_TRIES = 3
# Tokenizers of so many limits are kept: each has a vocabulary of its own, of megabytes.
_TEXT_TOKENIZERS = 4
# Tokenizers without a limit say so with an absurdly large one.
_NO_LENGTH = 10**6


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
        with using_transformers():
            self._tokenizer = load_tokenizer(folder)
            model = load_encoder(folder, PRECISIONS[precision])
        check_parts(model)
        check_vocabulary(folder, model, self._tokenizer)
        self.parameter_places = parameter_places(model)
        model.to(device)
        use_fast_attention(model, device)
        if device.type == "cpu":
            prepare_heap()
            native = precision == "bfloat16" and has_native_bfloat16(device)
            if precision == "float32" or native:
                pack_linear(model)
        let_go_of_files(model)
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
        self._pad_id = self._tokenizer.pad_token_id or 0
        check_states(self.lower, self._pad_id, self.max_length)
        # A model with one type may have the tokenizer of one with two.
        has_types = getattr(model.config, "type_vocab_size", None) != 1
        self.with_type_ids = has_types and "token_type_ids" in self._tokenizer.model_input_names
        backend = self._tokenizer.backend_tokenizer
        self.types_single_texts = self.with_type_ids and types_single_texts(backend)
        self._serialized = serialized(backend)
        # What the serialized tokenizer lacks.
        settings = self._tokenizer.truncation_side
        if self._tokenizer.split_special_tokens:
            settings += ", split special tokens"
        digest = hashlib.sha256((settings + self._serialized).encode())
        self.tokenizer_fingerprint = digest.hexdigest()
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
                f"The limit of the model is {self.max_length}; all of longer texts is read by "
                f"BertFeaturizer(long_text='chunk').",
            )
        return int(max_length)

    def part(self, start: int) -> LowerPart:
        """Return the model without the layers below `start`, sharing its weights."""
        with self._lock:
            if start not in self._parts:
                self._parts[start] = LowerPart(self.lower.model, start)
            return self._parts[start]

    def source(self) -> Path:
        """Return the folder to read more of the model from.

        Raises
        ------
        ModelLoadError
            If its weights or config are no longer those that were loaded.
        """
        try:
            found = content_fingerprint(self.folder)
        except FileNotFoundError:
            found = ""
        if found != self.fingerprint:
            now = f"fingerprint {found[:12]}, then {self.fingerprint[:12]}" if found else "missing"
            raise ModelLoadError(
                f"The weights in {self.folder} are not those that were loaded from there ({now}), "
                f"and they are needed once more. Put them back, or fit anew."
            )
        return self.folder

    def settle(self, model: nn.Module) -> None:
        """Have a model that was loaded from `source` no longer depend on the files there.

        Raises
        ------
        ModelLoadError
            If they were replaced meanwhile.
        """
        let_go_of_files(model)
        self.source()

    def trainable_copy(self) -> PreTrainedModel:
        """Return a new copy of the model on its device, to be trained once it is settled.

        Its weights are float32, or float64 if that is the precision: what is lost in rounding
        small steps to bfloat16 weights would never add up.
        """
        with using_transformers():
            model = load_encoder(self.source(), self.exact_dtype)
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

        Raises
        ------
        ModelLoadError
            If the rest is no longer where it was loaded from.
        """
        source = self.source()
        with using_transformers():
            self._tokenizer.save_pretrained(folder)
            if trained:
                model = load_encoder(source, self.exact_dtype)
                set_weights(model, trained)
                model.save_pretrained(folder)
        if not trained:
            for path in [source / "config.json", *weight_files(source)]:
                shutil.copy(path, folder)
            index = source / INDEX_FILE
            if len(weight_files(source)) > 1 and index.is_file():
                shutil.copy(index, folder)
        # What was read until now has to be what it was.
        self.source()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer as transformers has it, not to be changed."""
        return self._tokenizer

    def text_tokenizer(self, max_length: int, long_text: str) -> TextTokenizer:
        """Return the tokenizer with a limit; those of the latest few are kept."""
        key = (max_length, long_text)
        with self._lock:
            found = self._text_tokenizers.pop(key, None)
            if found is None:
                found = TextTokenizer(
                    self._serialized,
                    max_length,
                    long_text,
                    pad_id=self._pad_id,
                    with_type_ids=self.with_type_ids,
                    truncation_side=self._tokenizer.truncation_side,
                    multiple=length_multiple(self.device),
                    split_special_tokens=self._tokenizer.split_special_tokens,
                )
            self._text_tokenizers[key] = found
            if len(self._text_tokenizers) > _TEXT_TOKENIZERS:
                del self._text_tokenizers[next(iter(self._text_tokenizers))]
            return found


_loaded: weakref.WeakValueDictionary[tuple[str, str, Stamp, str, str], Checkpoint] = (
    weakref.WeakValueDictionary()
)
# Keeps the latest alive between calls of estimators that hold no fitted state.
_recent: deque[Checkpoint] = deque(maxlen=4)


def _renew_locks() -> None:
    """Have a forked child not wait for threads that it has not: one may be encoding for minutes."""
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
    with one_at_a_time():
        checkpoint = _load(_find_folder(model, revision), device, precision)
        if checkpoint not in _recent:
            _recent.append(checkpoint)
    return checkpoint


def _load(folder: Path, device: torch.device, precision: str) -> Checkpoint:
    """Return the shared copy of what a folder holds, loaded while that stayed the same."""
    for _ in range(_TRIES):
        files = _identity(folder)
        key = (*files, str(device), precision)
        checkpoint = _loaded.get(key)
        if checkpoint is not None:
            return checkpoint
        checkpoint = Checkpoint(folder, files[1], device, precision)
        if _identity(folder) == files:
            _loaded[key] = checkpoint
            work.count(models_loaded=1)
            return checkpoint
    raise ModelLoadError(
        f"The files in {folder} were replaced each of the {_TRIES} times that they were loaded. "
        f"Wait until they stay as they are."
    )


def _identity(folder: Path) -> tuple[str, str, Stamp]:
    """Return what tells the files in a folder, those of the weights by their fingerprint."""
    tokenizer = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}
    return str(folder), content_fingerprint(folder), stamp(tokenizer)


_folders: dict[tuple[bool, str, str], Path] = {}


def _find_folder(model: str | os.PathLike[str], revision: str | None) -> Path:
    """Find the folder once a process, as long as it is there.

    What is relative to the working directory, which may change, is looked for each time.
    """
    # Whatever they are: what they may be is checked where a folder is looked for.
    is_path = isinstance(model, os.PathLike)
    key = (is_path, repr(os.fspath(model) if is_path else model), repr(revision))
    folder = _folders.get(key)
    if folder is None or not weight_files(folder):
        folder = find_model_folder(model, revision)
        if folder.is_absolute():
            _folders[key] = folder
    return folder.absolute()


def _longest(model: PreTrainedModel, tokenizer: Any) -> int:
    """Return the most tokens that both the positions and the tokenizer allow."""
    limits = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < _NO_LENGTH else []
    # XLNet has -1: as many as there are tokens.
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and positions > 0:
        limits.append(int(positions) - _positions_before_first(model))
    return min(limits, default=_FALLBACK_LENGTH)


def _positions_before_first(model: PreTrainedModel) -> int:
    """Count the positions that RoBERTa's kin never use: they start after the padding index."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
