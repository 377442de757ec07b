"""What the store keeps of texts: pooled vectors, and token states at a depth.

The formats of both lie here and nowhere else. A run has an allowance: it asks for no room in which
what it found or kept itself would have to go, so that a scan over more texts than the store holds
finds the first of them each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sklearn_bert.store import Store

__all__ = ["Allowance", "KeptStates", "KeptVectors", "Kind"]

_ENTRIES_PER_LOOKUP = 4096
# Of one transaction on a disk.
_TEXTS_PER_WRITE = 256
# Follows the kept vectors of a text that lost its end.
_CUT = b"\x01"
# Longer than any suffix of a key.
_SUFFIX_BYTES = 12


@dataclass(frozen=True, order=True)
class Kind:
    """One vector that a text can have: a layer's states, pooled."""

    layer: int
    pooling: str

    @property
    def key(self) -> bytes:
        """The kind's part of the key of a kept vector."""
        return f"{self.pooling}@{self.layer}".encode("ascii")


@dataclass
class Allowance:
    """Bytes that a run may still keep."""

    left: int

    def take(self, sizes: np.ndarray) -> int:
        """Return how many of the entries fit one after another, and count them."""
        totals = np.cumsum(sizes)
        fit = int(np.searchsorted(totals, self.left, side="right"))
        self.left -= int(totals[fit - 1]) if fit else 0
        return fit


class KeptVectors:
    """Pooled vectors in a store.

    Parameters
    ----------
    store : Store
        Where they are.
    hidden_size : int
        Width of a vector, which is float32.
    """

    def __init__(self, store: Store, hidden_size: int) -> None:
        self._store = store
        self._width = 4 * hidden_size

    def text_bytes(self, keys: Sequence[bytes], n_kinds: int) -> int:
        """Return the bytes that the vectors of one text take."""
        entry = self._store.entry_bytes(len(keys[0]) + _SUFFIX_BYTES + self._width + 1)
        return n_kinds * int(entry)

    def read(
        self, keys: Sequence[bytes], kinds: Sequence[Kind]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is kept of the texts that have all `kinds`.

        Returns
        -------
        found : int ndarray of shape (n_found,)
            Positions in `keys`.
        vectors : float32 ndarray of shape (n_found, n_kinds, hidden_size)
        cut : bool ndarray of shape (n_found,)
            Whether the text lost its end.
        """
        suffixes = [kind.key for kind in kinds]
        k = len(suffixes)
        portions = []
        for start in range(0, len(keys), _ENTRIES_PER_LOOKUP):
            part = keys[start : start + _ENTRIES_PER_LOOKUP]
            values = self._store.get_many([key + suffix for key in part for suffix in suffixes])
            has_value = np.array([value is not None for value in values])
            found = np.flatnonzero(has_value.reshape(-1, k).all(axis=1))
            if len(found) < len(part):
                values = [value for i in found for value in values[i * k : (i + 1) * k]]
            vectors, cut = self._parsed(values)  # type: ignore[arg-type]
            portions.append(
                (start + found, vectors.reshape(len(found), k, self._width // 4), cut[::k])
            )
        found, vectors, cut = (np.concatenate(arrays) for arrays in zip(*portions, strict=True))
        return found, vectors, cut

    def write(
        self,
        keys: Sequence[bytes],
        kinds: Sequence[Kind],
        vectors: np.ndarray,
        cut: np.ndarray,
        allowance: Allowance,
    ) -> None:
        """Keep the vectors of some texts, of shape (n_texts, n_kinds, hidden_size).

        It is quick where those of a kind lie together in memory.
        """
        fit = allowance.take(np.full(len(keys), self.text_bytes(keys, len(kinds))))
        suffixes = [kind.key for kind in kinds]
        for start in range(0, fit, _TEXTS_PER_WRITE):
            part = slice(start, min(start + _TEXTS_PER_WRITE, fit))
            by_kind = [
                self._values(vectors[part, column], cut[part]) for column in range(len(kinds))
            ]
            self._store.put_many(
                [key + suffix for key in keys[part] for suffix in suffixes],
                [value for of_text in zip(*by_kind, strict=True) for value in of_text],
            )

    def _values(self, vectors: np.ndarray, cut: np.ndarray) -> list[bytes]:
        """Return vectors of one kind as what is kept of them."""
        rows = np.ascontiguousarray(vectors).view(f"V{self._width}")
        values: list[bytes] = rows.ravel().tolist()
        for row in np.flatnonzero(cut):
            values[row] += _CUT
        return values

    def _parsed(self, values: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors one after another, and whether their texts lost their ends."""
        cut = np.zeros(len(values), dtype=bool)
        raw = b"".join(values)
        if len(raw) > len(values) * self._width:
            cut = np.array([len(value) > self._width for value in values])
            raw = b"".join([value[: self._width] for value in values])
        return np.frombuffer(raw, np.float32), cut


class KeptStates:
    """Token states at a depth in a store: unpadded, in the precision they were computed in.

    Parameters
    ----------
    store : Store
        Where they are.
    hidden_size : int
        Width of a state.
    dtype : torch.dtype
        Of the states.
    """

    def __init__(self, store: Store, hidden_size: int, dtype: torch.dtype) -> None:
        self._store = store
        self._hidden_size = hidden_size
        self._dtype = dtype

    def text_bytes(self, keys: Sequence[bytes], n_tokens: np.ndarray) -> np.ndarray:
        """Return the bytes that each text takes at one depth."""
        per_token = self._hidden_size * self._dtype.itemsize
        return self._store.entry_bytes(n_tokens * per_token + len(keys[0]) + _SUFFIX_BYTES)

    def has(self, keys: Sequence[bytes], depth: int) -> np.ndarray:
        """Say which texts have states at `depth`."""
        return np.array(self._store.contains_many([key + _suffix(depth) for key in keys]), bool)

    def read(self, keys: Sequence[bytes], depth: int) -> list[np.ndarray | None]:
        """Return the states of each text as raw bytes, of shape (tokens, width), or None."""
        values = self._store.get_many([key + _suffix(depth) for key in keys])
        width = self._hidden_size * self._dtype.itemsize
        return [
            None if value is None else np.frombuffer(value, np.uint8).reshape(-1, width)
            for value in values
        ]

    def pad(self, rows: Sequence[np.ndarray], length: int) -> torch.Tensor:
        """Return states that `read` gave as one tensor of shape (texts, length, hidden)."""
        padded = np.zeros((len(rows), length, rows[0].shape[1]), dtype=np.uint8)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return torch.from_numpy(padded).view(self._dtype)

    def write(
        self,
        keys: Sequence[bytes],
        depth: int,
        states: torch.Tensor,
        n_tokens: np.ndarray,
        allowance: Allowance,
    ) -> None:
        """Keep padded states of shape (texts, length, hidden) without their padding."""
        fit = allowance.take(self.text_bytes(keys, n_tokens))
        if fit == 0:
            return
        rows, starts = _rows(states[:fit], n_tokens[:fit])
        raw = rows.view(torch.uint8).numpy().data.cast("B")
        width = self._hidden_size * self._dtype.itemsize
        ends = (starts + n_tokens[:fit]) * width
        self._store.put_many(
            [key + _suffix(depth) for key in keys[:fit]],
            [bytes(raw[start:end]) for start, end in zip(starts * width, ends, strict=True)],
        )


def _rows(states: torch.Tensor, n_tokens: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Return the states of all tokens on the CPU, and which are the first of their texts."""
    rows = states.flatten(0, 1)
    if states.device.type == "cpu":
        return rows.contiguous(), np.arange(len(states)) * states.shape[1]
    # Padding need not leave the device.
    present = torch.arange(states.shape[1]) < torch.from_numpy(n_tokens)[:, None]
    return rows[present.flatten().to(states.device)].cpu(), np.cumsum(n_tokens) - n_tokens


def _suffix(depth: int) -> bytes:
    return b"states@%d" % depth
