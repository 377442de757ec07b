"""The figure of README and docs/benchmarks.md: accuracy against fit time, by depth, on SST-2.

Beside the depths stand linear models, so it needs the results of `depths` and of `accuracy`.
"""

from __future__ import annotations

from statistics import mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.report import deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["depths_sst2"]

_NAMES = {
    "all": 'freeze="all": the head alone',
    "-1": "freeze=-1: top layer",
    "-2": "freeze=-2: top 2 layers",
    "-3": "freeze=-3: top 3 layers",
    "none": 'freeze="none": all layers',
}
_LINEAR = {
    "TF-IDF + LogisticRegression": "TF-IDF + LogisticRegression",
    "BertFeaturizer(layers=5)": "BertFeaturizer(layers=5) + LogisticRegression",
}
_TUNED_COLOR, _LINEAR_COLOR = "#2563a8", "#4d5661"


def depths_sst2(results: dict[str, dict[str, Any]]) -> Figure | None:
    """Draw accuracy on SST-2 against the time of a fit, by freeze depth."""
    from matplotlib.figure import Figure

    depths, linear = (results.get(name, {}) for name in ("depths_sst2", "accuracy"))
    if not depths.get("runs") or not linear.get("runs"):
        return None
    fits = depths["runs"]["sst2"][0]["fits"]
    if not _NAMES.keys() <= {fit["name"] for fit in fits}:
        return None
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    ax = figure.subplots()
    _tuned(ax, fits)
    _linear(ax, linear["runs"])
    ax.set_xscale("log")
    ax.set_xlim(0.8, 200)
    ax.set_xticks([1, 3, 10, 30, 100], labels=["1", "3", "10", "30", "100"])
    ax.minorticks_off()
    ax.set_ylim(0.80, 0.90)
    ax.grid(alpha=0.25)
    ax.set_xlabel("Seconds of a fit on 6,920 sentences")
    ax.set_ylabel("Test accuracy (1,821 sentences)")
    machine = depths["machine"]
    ax.set_title(
        f"SST-2 on {machine['cores']} CPU cores ({machine['cpu']}), all-MiniLM-L6-v2, "
        f"{depths['date'].split()[0]}"
    )
    return figure


def _tuned(ax: Axes, fits: list[dict[str, Any]]) -> None:
    """Draw a point for each depth: the median of seconds, from the least to the most of them."""
    points = []
    for name, label in _NAMES.items():
        of_depth = [fit for fit in fits if fit["name"] == name]
        seconds = [fit["seconds"] for fit in of_depth]
        accuracy = [fit["accuracy"] for fit in of_depth]
        middle, height = median(seconds), mean(accuracy)
        ax.errorbar(
            middle,
            height,
            xerr=[[middle - min(seconds)], [max(seconds) - middle]],
            yerr=deviation(accuracy),
            fmt="o",
            color=_TUNED_COLOR,
            capsize=3,
        )
        below = name == "all"
        _label(ax, f"{label}: {height:.3f}", middle, height, left=not below, below=below)
        points.append((middle, height))
    ax.plot(*zip(*points[1:], strict=True), color=_TUNED_COLOR, alpha=0.4)
    first = max(fit["seconds"] for fit in fits if fit["name"] == "all")
    ax.annotate(
        "the first fit of all: it encodes every text, once",
        (first, points[0][1]),
        xytext=(8, -4),
        textcoords="offset points",
        color=_LINEAR_COLOR,
    )


def _linear(ax: Axes, runs: dict[str, list[dict[str, Any]]]) -> None:
    for name, label in _LINEAR.items():
        seconds, accuracy = (
            median(run[key] for run in runs[name]) for key in ("seconds", "accuracy")
        )
        ax.plot(seconds, accuracy, "s", color=_LINEAR_COLOR)
        _label(ax, f"{label}: {accuracy:.3f}", seconds, accuracy)


def _label(
    ax: Axes, text: str, x: float, y: float, left: bool = False, below: bool = False
) -> None:
    ax.annotate(
        text,
        (x, y),
        xytext=(-8 if left else 8, -16 if below else 6),
        textcoords="offset points",
        horizontalalignment="right" if left else "left",
    )
