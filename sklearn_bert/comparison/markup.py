"""HTML and SVG as nested elements, in which every text is escaped."""

from __future__ import annotations

import html
import unicodedata
from typing import Any

__all__ = ["Markup", "element", "join"]

_EMPTY = frozenset({"meta", "br", "line", "rect"})
# Not printable, but part of how texts are written: ends of lines, joiners of scripts and emoji, and
# the categories of spaces, of which French and Chinese have their own, and of separators.
_KEPT = "\n\r\t\u200c\u200d"
_SPACES = ("Zs", "Zl", "Zp")


class Markup(str):
    """A string that is HTML; any other string is text."""

    __slots__ = ()


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : object
        Its content: elements as they are, anything else as text.
    **attributes : object
        Its attributes; ``_`` at the end of a name is dropped, others become ``-``. None is left
        out.

    Examples
    --------
    >>> from sklearn_bert.comparison.markup import element
    >>> element("p", "1 < 2, ", element("b", "so"), class_="note", title='"quoted"')
    '<p class="note" title="&quot;quoted&quot;">1 &lt; 2, <b>so</b></p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Any) -> Markup:
    """Return elements and texts one after another."""
    parts = (child if isinstance(child, Markup) else _escape(child) for child in children)
    return Markup("".join(parts))


def _escape(value: Any) -> str:
    """Escape for content and attributes; what no page should hold is shown as replaced."""
    text = "".join(c if _may_be_shown(c) else "\ufffd" for c in str(value))
    return html.escape(text, quote=True)


def _may_be_shown(character: str) -> bool:
    if character.isprintable() or character in _KEPT:
        return True
    return unicodedata.category(character) in _SPACES
