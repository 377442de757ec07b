"""Texts to pooled vectors, each text once.

The one place where store, tokenizer, model and pooling meet: what the store has is read, the
rest is encoded in one pass, and that pass keeps what it passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from tqdm.auto import tqdm

from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import Checkpoint
from sklearn_bert.encoder.execution import Budget, ahead
from sklearn_bert.encoder.pooling import KEPT_POOLINGS, join_windows, pool
from sklearn_bert.encoder.tokenization import Batch, TextTokenizer, Windows, portions
from sklearn_bert.store import Keys, Store
from sklearn_bert.validation import Text

__all__ = ["FrozenEncoder", "Kind"]

# Bumped when the same inputs would give other vectors, so that older disks are not read.
_FORMAT = "pooled vectors and a flag, 1"
_TEXTS_PER_LOOKUP = 4096
_SECONDS_BEFORE_BAR = 2
# The last byte of a kept vector tells whether the text lost its end.
_CUT = 1


@dataclass(frozen=True, order=True)
class Kind:
    """One vector that a text can have: a layer's states, pooled."""

    layer: int
    pooling: str

    @property
    def key(self) -> bytes:
        """The kind's part of the key of a kept vector."""
        return f"{self.pooling}@{self.layer}".encode("ascii")


@dataclass(frozen=True)
class FrozenEncoder:
    """A checkpoint with the settings that its vectors depend on, and a store.

    Parameters
    ----------
    checkpoint : Checkpoint
        The shared copy of the model.
    store : Store or None
        Where vectors are kept.
    max_length : int
        Tokens of a text, or of a window of it.
    long_text : {"truncate", "chunk"}
        What happens to longer texts.
    batch_tokens : int
        Padded tokens of a forward pass.
    verbose : int
        Whether to show a progress bar, once work takes seconds.
    """

    checkpoint: Checkpoint
    store: Store | None
    max_length: int
    long_text: str
    batch_tokens: int
    verbose: int = 0

    def pooled(self, texts: Sequence[Text], wanted: Sequence[Kind]) -> tuple[np.ndarray, int]:
        """Return the wanted vectors of each text, encoding only what was never encoded.

        Parameters
        ----------
        texts : sequence of str or (str, str)
            Duplicates cost nothing.
        wanted : sequence of Kind
            Layers and poolings.

        Returns
        -------
        vectors : float32 ndarray of shape (n_texts, n_wanted, hidden_size)
        n_cut : int
            How many of the texts lost their ends.
        """
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        run = _Run(self, list(numbers), list(wanted))
        with self.checkpoint.busy:
            run.read_kept()
            run.encode_missing()
        if len(numbers) == len(texts):
            return run.vectors, int(run.cut.sum())
        positions = np.fromiter((numbers[text] for text in texts), dtype=np.int64, count=len(texts))
        return run.vectors[positions], int(run.cut[positions].sum())

    def keys(self) -> Keys:
        """Return the maker of keys for everything but text, layer and pooling."""
        return Keys(
            [
                _FORMAT,
                self.checkpoint.fingerprint,
                self.checkpoint.tokenizer_fingerprint,
                self.checkpoint.precision,
                str(self.max_length),
                self.long_text,
            ]
        )


class _Run:
    """One call: distinct texts in, their vectors out."""

    def __init__(self, encoder: FrozenEncoder, texts: list[Text], wanted: list[Kind]) -> None:
        self.encoder = encoder
        self.checkpoint = encoder.checkpoint
        self.store = encoder.store
        self.texts = texts
        self.wanted = wanted
        shape = (len(texts), len(wanted), self.checkpoint.hidden_size)
        self.vectors = np.empty(shape, dtype=np.float32)
        self.missing = np.ones(len(texts), dtype=bool)
        self.cut = np.zeros(len(texts), dtype=bool)
        self.text_keys: list[bytes] = []
        self.allowance = 0

    def read_kept(self) -> None:
        """Fill in the vectors of all texts whose wanted vectors are all in the store."""
        if self.store is None:
            return
        self.text_keys = self.encoder.keys().of_texts(self.texts)
        suffixes = [kind.key for kind in self.wanted]
        k = len(suffixes)
        width = 4 * self.checkpoint.hidden_size
        for start in range(0, len(self.texts), _TEXTS_PER_LOOKUP):
            text_keys = self.text_keys[start : start + _TEXTS_PER_LOOKUP]
            values = self.store.get_many([key + suffix for key in text_keys for suffix in suffixes])
            has_value = np.array([value is not None for value in values])
            found = np.flatnonzero(has_value.reshape(-1, k).all(axis=1))
            if len(found) < len(text_keys):
                values = [value for i in found for value in values[i * k : (i + 1) * k]]
            raw = b"".join(values)  # type: ignore[arg-type]
            kept = np.frombuffer(raw, np.uint8).reshape(len(found), k, width + 1)
            numbers = start + found
            self.vectors[numbers] = np.ascontiguousarray(kept[..., :-1]).view(np.float32)
            self.cut[numbers] = kept[:, 0, -1] == _CUT
            self.missing[numbers] = False

    def encode_missing(self) -> None:
        """Encode the texts that are not in the store, in one pass that keeps what it passed."""
        order = np.flatnonzero(self.missing)
        if len(order) == 0:
            return
        sizes = np.array(
            [len(text) if isinstance(text, str) else sum(map(len, text)) for text in self.texts]
        )
        # Longest first: memory that is going to run out does so at once.
        order = order[np.argsort(-sizes[order], kind="stable")]
        kinds = self._kinds_to_compute(len(order))
        columns = [kinds.index(kind) for kind in self.wanted]
        budget = Budget(self.encoder.batch_tokens, self.checkpoint.device)
        tokenizer = self.checkpoint.text_tokenizer(self.encoder.max_length, self.encoder.long_text)
        bar = tqdm(
            total=len(order),
            desc="Encoding",
            unit="text",
            delay=_SECONDS_BEFORE_BAR,
            disable=not self.encoder.verbose,
        )
        with bar, torch.inference_mode():
            for part, windows in self._tokenized(portions(order, sizes), tokenizer):
                by_window = self._encode(windows, tokenizer, kinds, budget, bar)
                by_text = _join(by_window, windows, kinds)
                self.vectors[part] = by_text[:, columns]
                self.cut[part] = windows.cut
                self._keep(part, by_text, kinds)
        work.count(texts=len(order))

    def _kinds_to_compute(self, n_texts: int) -> list[Kind]:
        """Return what the pass pools: all layers and poolings if they can be kept, else `wanted`.

        So a grid over layers and poolings costs one pass. Without room to keep them, or without
        a store, layers above the highest wanted one are not run.
        """
        if self.store is None:
            return sorted(set(self.wanted))
        n_found = len(self.texts) - n_texts
        self.allowance = self.store.limit - n_found * self._kept_bytes(len(self.wanted))
        layers = range(self.checkpoint.n_layers + 1)
        passed = {Kind(layer, pooling) for layer in layers for pooling in KEPT_POOLINGS}
        everything = passed.union(self.wanted)
        if n_texts * self._kept_bytes(len(everything)) <= self.allowance:
            return sorted(everything)
        if self.encoder.verbose and n_texts * self._kept_bytes(len(self.wanted)) > self.allowance:
            print(
                f"[sklearn-bert] The cache's limit of {self.store.limit:,} bytes does not hold "
                f"the vectors of {n_texts:,} texts; what does not fit is computed again when it "
                f"is next needed. See sklearn_bert.cache.set_limit."
            )
        return sorted(set(self.wanted))

    def _kept_bytes(self, n_kinds: int) -> int:
        """Bytes that one text takes in the store."""
        assert self.store is not None
        key = len(self.text_keys[0]) + max(len(kind.key) for kind in self.wanted)
        return n_kinds * (key + self.checkpoint.hidden_size * 4 + 1 + self.store.overhead)

    def _tokenized(
        self, parts: Iterable[np.ndarray], tokenizer: TextTokenizer
    ) -> Iterable[tuple[np.ndarray, Windows]]:
        """Yield portions of texts with their windows; on a GPU, one portion ahead."""

        def tokenize() -> Iterator[tuple[np.ndarray, Windows]]:
            for part in parts:
                yield part, tokenizer.windows([self.texts[i] for i in part])

        return tokenize() if self.checkpoint.device.type == "cpu" else ahead(tokenize())

    def _encode(
        self,
        windows: Windows,
        tokenizer: TextTokenizer,
        kinds: list[Kind],
        budget: Budget,
        bar: tqdm,
    ) -> np.ndarray:
        """Return the vectors of each window, of shape (n_windows, n_kinds, hidden_size)."""
        lengths = windows.lengths
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        shape = (len(order), len(kinds), self.checkpoint.hidden_size)
        vectors = torch.empty(shape, dtype=torch.float32, device=self.checkpoint.device)
        texts_per_window = len(windows.cut) / len(order)
        start = 0
        while start < len(order):
            stop = tokenizer.batch_end(lengths, start, budget.tokens)
            batch = tokenizer.batch(windows, order[start:stop])
            if budget.run(_pass(self.checkpoint, batch, kinds, vectors[start:stop])) is None:
                continue
            bar.update((stop - start) * texts_per_window)
            start = stop
        unsorted = np.empty(shape, dtype=np.float32)
        unsorted[order] = vectors.cpu().numpy()
        return unsorted

    def _keep(self, part: np.ndarray, vectors: np.ndarray, kinds: list[Kind]) -> None:
        """Put the vectors of some texts into the store while this run's allowance lasts.

        A run never pushes out what it found or kept itself, so that a scan over more texts than
        the store holds finds the first of them each time.
        """
        if self.store is None:
            return
        per_text = self._kept_bytes(len(kinds))
        n_fit = min(len(part), max(0, self.allowance) // per_text)
        self.allowance -= n_fit * per_text
        part, raw = part[:n_fit], vectors[:n_fit].view(np.uint8)
        values = np.empty((*raw.shape[:2], raw.shape[2] + 1), dtype=np.uint8)
        values[..., :-1] = raw
        values[..., -1] = np.where(self.cut[part], _CUT, 0)[:, None]
        suffixes = [kind.key for kind in kinds]
        self.store.put_many(
            [self.text_keys[i] + suffix for i in part for suffix in suffixes],
            values.view(f"V{values.shape[2]}").ravel().tolist(),
        )


def _pass(
    checkpoint: Checkpoint, batch: Batch, kinds: list[Kind], out: torch.Tensor
) -> Callable[[], bool]:
    """Return a forward pass over `batch` that fills `out` with the pooled vectors."""
    depth = max(kind.layer for kind in kinds)
    columns: dict[int, list[tuple[int, str]]] = {}
    for column, kind in enumerate(kinds):
        if kind.pooling != "pooler":
            columns.setdefault(kind.layer, []).append((column, kind.pooling))

    def run() -> bool:
        inputs = {name: ids.to(checkpoint.device) for name, ids in batch.inputs.items()}
        counted = None if batch.counted is None else batch.counted.to(checkpoint.device)

        def visit(layer: int, states: torch.Tensor) -> None:
            if layer not in columns:
                return
            for column, pooling in columns[layer]:
                out[:, column] = pool(pooling, states, counted)

        from_pooler = checkpoint.lower.run(inputs, depth, visit)
        for column, kind in enumerate(kinds):
            if kind.pooling == "pooler":
                assert from_pooler is not None
                out[:, column] = from_pooler
        work.count(
            batches=1,
            tokens=batch.tokens,
            padded_tokens=batch.padded_tokens,
            layer_tokens=batch.padded_tokens * depth,
        )
        return True

    return run


def _join(by_window: np.ndarray, windows: Windows, kinds: list[Kind]) -> np.ndarray:
    """Join the vectors of the windows of each text."""
    n_texts = len(windows.cut)
    if len(by_window) == n_texts:
        return by_window
    counts = windows.counted[:, 1] - windows.counted[:, 0]
    starts = np.searchsorted(windows.owner, np.arange(n_texts + 1))
    by_text = np.empty((n_texts, *by_window.shape[1:]), dtype=by_window.dtype)
    for text, (start, stop) in enumerate(pairwise(starts)):
        for column, kind in enumerate(kinds):
            by_text[text, column] = join_windows(
                kind.pooling, by_window[start:stop, column], counts[start:stop]
            )
    return by_text
