"""Draw the picture of the README, accuracy against fit time: `python -m benchmarks.picture`.

From `results/depths_sst2.json` and `results/accuracy.json`, to `docs/_static/depth-vs-time.svg`.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt

_ROOT = Path(__file__).resolve().parents[1]
_RESULTS = _ROOT / "benchmarks" / "results"
PICTURE = _ROOT / "docs" / "_static" / "depth-vs-time.svg"
# Texts as text, and nothing in the file that differs from one run to the next.
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sklearn-bert",
    "font.family": "sans-serif",
    "font.size": 11,
}
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


def main() -> None:
    """Write the picture."""
    draw(PICTURE)


def draw(path: Path) -> None:
    """Draw the picture to a file."""
    depths, linear = _read("depths_sst2"), _read("accuracy")
    with matplotlib.rc_context(_STYLE):
        figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
        _tuned(ax, depths["runs"]["sst2"][0]["fits"])
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
            f"{depths['date'].split()[0]}",
            fontsize=11,
        )
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _tuned(ax: Any, fits: list[dict[str, Any]]) -> None:
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
            yerr=stdev(accuracy),
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
        fontsize=9,
        color=_LINEAR_COLOR,
    )


def _linear(ax: Any, runs: dict[str, list[dict[str, Any]]]) -> None:
    for name, label in _LINEAR.items():
        (run,) = runs[name]
        ax.plot(run["seconds"], run["accuracy"], "s", color=_LINEAR_COLOR)
        _label(ax, f"{label}: {run['accuracy']:.3f}", run["seconds"], run["accuracy"])


def _label(ax: Any, text: str, x: float, y: float, left: bool = False, below: bool = False) -> None:
    ax.annotate(
        text,
        (x, y),
        xytext=(-8 if left else 8, -16 if below else 6),
        textcoords="offset points",
        horizontalalignment="right" if left else "left",
        fontsize=10,
    )


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text("utf-8"))
    return result


if __name__ == "__main__":
    main()
