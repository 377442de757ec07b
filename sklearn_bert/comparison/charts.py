"""Bars as SVG, for a report that needs no library and no script to be seen."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn_bert.comparison.markup import Markup, element

__all__ = ["score_bars", "upright_bars"]

_WIDTH = 320
_MOST_CHARACTERS = 46


def score_bars(
    names: Sequence[str], means: Sequence[float], deviations: Sequence[float], label: str
) -> Markup:
    """Return a bar from 0 to 1 for each name, with a line for the spread."""
    row, top = 40, 4
    shapes = []
    for number, (name, mean, spread) in enumerate(zip(names, means, deviations, strict=True)):
        y = top + number * row
        low, high = max(0.0, mean - spread), min(1.0, mean + spread)
        line = {"x1": _px(270 * low), "x2": _px(270 * high), "y1": y + 24, "y2": y + 24}
        shapes += [
            element("text", _short(name), x=0, y=y + 12, class_="name"),
            element("rect", x=0, y=y + 18, width=270, height=12, class_="empty"),
            element("rect", x=0, y=y + 18, width=_px(270 * mean), height=12, class_="bar"),
            # Ink on a bar is hard to see without paper around it.
            element("line", **line, class_="halo"),
            element("line", **line, class_="spread"),
            element("text", f"{mean:.3f}", x=_WIDTH, y=y + 28, class_="value"),
        ]
    return _svg(shapes, top + len(names) * row, label)


def upright_bars(
    counts: Sequence[int], edges: Sequence[int], mark: float | None, label: str
) -> Markup:
    """Return a histogram, with a line at `mark` if it lies within."""
    height, base = 110, 130
    step = _WIDTH / len(counts)
    most = max(*counts, 1)
    shapes = []
    for number, count in enumerate(counts):
        tall = height * count / most
        shapes.append(
            element(
                "rect",
                x=_px(number * step + 1),
                y=_px(base - tall),
                width=_px(step - 2),
                height=_px(tall),
                class_="bar",
            )
        )
    shapes.append(element("text", edges[0], x=0, y=base + 16, class_="name"))
    shapes.append(element("text", edges[-1], x=_WIDTH, y=base + 16, class_="value"))
    if mark is not None and edges[0] <= mark <= edges[-1]:
        at = _px(_WIDTH * (mark - edges[0]) / (edges[-1] - edges[0]))
        shapes.append(element("line", x1=at, x2=at, y1=10, y2=base, class_="mark"))
    return _svg(shapes, base + 22, label)


def _svg(shapes: Sequence[Markup], height: int, label: str) -> Markup:
    return element("svg", *shapes, viewBox=f"0 0 {_WIDTH} {height}", role="img", aria_label=label)


def _short(name: str) -> str:
    """Return as much of a name as there is room for."""
    return name if len(name) <= _MOST_CHARACTERS else f"{name[: _MOST_CHARACTERS - 1]}…"


def _px(value: float) -> str:
    return f"{value:.1f}"
