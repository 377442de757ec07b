"""Keys: a digest of everything that a kept result depends on.

Two results share a key only if text, weights, tokenizer, settings and kind are all equal.
The position of a text in X is never part of it, so shuffled folds find what was kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from sklearn_bert.store.forks import hold_during_forks
from sklearn_bert.validation import n_characters

__all__ = ["Keys"]

_DIGEST_SIZE = 20
# Bounds the digests that are remembered, in characters of their texts and what each of them takes
# besides; beyond that all are forgotten.
_REMEMBERED_SIZE = 32_000_000
_DIGEST_SHARE = 100


class Keys:
    """Makes the keys of results that share one context.

    Parameters
    ----------
    context : sequence of str
        Everything but the text that the results depend on, always in the same order.

    Examples
    --------
    >>> from sklearn_bert.store import Keys
    >>> keys = Keys(["weights", "tokenizer", "max_length=128"])
    >>> keys.of_text("a b") != keys.of_text(("a", "b"))
    True
    """

    def __init__(self, context: Sequence[str]) -> None:
        self._start = hashlib.blake2b(digest_size=_DIGEST_SIZE)
        self._start.update(_joined(context))
        self._context = self._start.digest()

    def of_texts(self, texts: Sequence[str | tuple[str, str]]) -> list[bytes]:
        """Return the digest of each text.

        Digests are remembered for a while: a search asks for those of the same texts for every
        fold and candidate, and a look-up takes a tenth of the time.
        """
        known = _remembered.of_context(self._context)
        digests = [known.get(text) for text in texts]
        new = [text for text, digest in zip(texts, digests, strict=True) if digest is None]
        if not new:
            return digests  # type: ignore[return-value]
        computed = {text: self.of_text(text) for text in new}
        _remembered.add(self._context, computed)
        return [digest or computed[text] for text, digest in zip(texts, digests, strict=True)]

    def of_text(self, text: str | tuple[str, str]) -> bytes:
        """Return the digest of a text, or of a text pair, in this context."""
        digest = self._start.copy()
        parts = (text,) if isinstance(text, str) else text
        digest.update(_joined(parts))
        return digest.digest()


class _Remembered:
    """Digests by context and text, bounded in number and in the characters of the texts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        hold_during_forks(self._lock)
        self._digests: dict[bytes, dict[str | tuple[str, str], bytes]] = {}
        self._size = 0

    def of_context(self, context: bytes) -> dict[str | tuple[str, str], bytes]:
        return self._digests.get(context, {})

    def add(self, context: bytes, digests: dict[str | tuple[str, str], bytes]) -> None:
        size = sum(n_characters(text) + _DIGEST_SHARE for text in digests)
        if size > _REMEMBERED_SIZE:
            return
        with self._lock:
            if self._size + size > _REMEMBERED_SIZE:
                self._digests, self._size = {}, 0
            # In place: a copy for each new text would take time with the square of their number.
            # Other threads only look up meanwhile.
            self._digests.setdefault(context, {}).update(digests)
            self._size += size


_remembered = _Remembered()


def _joined(parts: Sequence[str]) -> bytes:
    """Join with count and lengths, so that no two different sequences give the same bytes."""
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"%d;" % len(raw) + b"".join([b"%d:%b" % (len(part), part) for part in raw])
