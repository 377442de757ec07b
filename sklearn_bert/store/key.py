"""Keys: a digest of everything that a kept result depends on.

Two results share a key only if text, weights, tokenizer, settings and kind are all equal.
The position of a text in X is never part of it, so shuffled folds find what was kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["Keys"]

_DIGEST_SIZE = 20


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

    def of_text(self, text: str | tuple[str, str]) -> bytes:
        """Return the digest of a text, or of a text pair, in this context."""
        digest = self._start.copy()
        parts = (text,) if isinstance(text, str) else text
        digest.update(_joined(parts))
        return digest.digest()


def _joined(parts: Sequence[str]) -> bytes:
    """Join with count and lengths, so that no two different sequences give the same bytes."""
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"%d;" % len(raw) + b"".join([b"%d:%b" % (len(part), part) for part in raw])
