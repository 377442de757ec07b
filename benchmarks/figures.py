"""Figures of docs/benchmarks.md, drawn from the results: one function a figure.

A function is given all results by name and returns None where the runs that it needs are not
there. The same results give the same file, byte for byte.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.depths_figure import depths_sst2
from benchmarks.quality_methods import METHODS
from benchmarks.quality_tables import run_name
from benchmarks.quality_tasks import TASKS
from benchmarks.report import deviation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "caption", "draw"]

Results = dict[str, dict[str, Any]]
Runs = list[dict[str, Any]]

# Texts as text; identifiers in an SVG are random without a salt.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sklearn-bert",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_OURS, _OTHERS = "#1b6ca8", "#b8b8b8"
_CORPORA = {"sst2": "SST-2", "emotion": "emotion", "imdb": "IMDB", "mixed": "mixed lengths"}


def draw(name: str, results: Results) -> bytes | None:
    """Return a figure as SVG, or None where the results for it are not there.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    results : dict of str to dict
        What each benchmark wrote, by the names of the files.
    """
    import matplotlib

    with matplotlib.rc_context():
        # Not those of whoever renders.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = FIGURES[name](results)
        if figure is None:
            return None
        file = io.BytesIO()
        figure.savefig(
            file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    return file.getvalue()


def caption(name: str) -> str:
    """Return what a figure shows, for those who can't see it."""
    return (FIGURES[name].__doc__ or "").splitlines()[0].removeprefix("Draw ")


def encode_rates(results: Results) -> Figure | None:
    """Draw texts a second by corpus and tool, without warm stores, which are off the scale."""
    by_corpus: dict[str, dict[str, float]] = {}
    for name, runs in _runs(results, "encode").items():
        if not runs or "texts_per_second" not in runs[0] or name.endswith("warm store"):
            continue
        # Earlier results are of one corpus and don't name it.
        corpus, tool = runs[0].get("corpus", "sst2"), runs[0].get("tool", name)
        by_corpus.setdefault(corpus, {})[tool] = _median(runs, "texts_per_second")
    if not by_corpus:
        return None
    height = 0.4 + 0.22 * max(map(len, by_corpus.values()))
    figure, axes = _new(len(by_corpus), height)
    for axis, (corpus, rates) in zip(axes, by_corpus.items(), strict=True):
        _bars(axis, rates, "{:,.0f}")
        axis.set_title(_CORPORA.get(corpus, corpus), loc="left")
    axes[-1].set_xlabel("texts per second")
    return figure


def search_seconds(results: Results) -> Figure | None:
    """Draw the seconds of the same search with each tool in the pipeline."""
    runs = _runs(results, "search")
    seconds = {name: _median(of, "seconds") for name, of in runs.items() if of and "tool" in of[0]}
    if not seconds:
        return None
    figure, (axis,) = _new(1, 0.4 + 0.22 * len(seconds))
    _bars(axis, seconds, "{:,.2f}")
    axis.set_xlabel("seconds of the search over C")
    return figure


def depths_emotion(results: Results) -> Figure | None:
    """Draw macro F1 on emotion against the time of a fit, by freeze depth."""
    runs = _runs(results, "depths_emotion").get("emotion")
    if not runs:
        return None
    by_depth: dict[str, Runs] = {}
    for fit in (fit for result in runs for fit in result["fits"]):
        by_depth.setdefault(fit["name"], []).append(fit)
    figure, (axis,) = _new(1, 2.8)
    for depth, fits in by_depth.items():
        scores = [fit["f1"] for fit in fits]
        seconds, middle = _median(fits, "seconds"), statistics.mean(scores)
        axis.plot([seconds] * len(scores), scores, ".", color=_OTHERS)
        axis.plot(seconds, middle, "o", color=_OURS)
        axis.annotate(depth, (seconds, middle), textcoords="offset points", xytext=(6, -3))
    axis.set_xscale("log")
    axis.margins(x=0.15)
    axis.set_xlabel("seconds of a fit, median over seeds; a store shared by all")
    axis.set_ylabel("macro F1")
    return figure


def scaling(results: Results) -> Figure | None:
    """Draw seconds and peak memory against what changes."""
    runs = _runs(results, "scaling")
    parts = {
        "n": "texts",
        "length": "tokens a text",
        "layers": "layers",
        "batch_tokens": "padded tokens of a pass",
    }
    there = {
        part: [of for name, of in runs.items() if of and name.startswith(f"{part}=")]
        for part in parts
    }
    there = {part: of_values for part, of_values in there.items() if of_values}
    if not there:
        return None
    figure, axes = _new(2 * len(there), 2.2, columns=2)
    for i, (part, of_values) in enumerate(there.items()):
        x = [of[0][part] for of in of_values]
        seconds, memory = axes[2 * i : 2 * i + 2]
        seconds.plot(x, [_median(of, "seconds") for of in of_values], "o-", color=_OURS)
        seconds.set_ylabel("seconds")
        peaks = [_median(of, "encode_peak_bytes") / 1e6 for of in of_values]
        memory.plot(x, peaks, "o-", color=_OURS)
        memory.set_ylabel("peak MB")
        for axis in (seconds, memory):
            axis.set_ylim(bottom=0)
            axis.set_xlabel(parts[part])
            if part != "layers":
                axis.set_xscale("log", base=2)
    return figure


def store_budget(results: Results) -> Figure | None:
    """Draw how many texts are encoded again, by what the store may keep."""
    runs = _runs(results, "scaling").get("store")
    if not runs:
        return None
    first = runs[0]
    x = [each["limit"] / 1e6 for each in first["limits"]]
    figure, (axis,) = _new(1, 2.4)
    for key, label in (("again", "the same layer"), ("layer_below", "then the layer below")):
        y = [each[key]["encoded"] / first["n"] for each in first["limits"]]
        axis.plot(x, y, "o-", label=label)
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlabel("limit of the store, MB")
    axis.set_ylabel("share of texts encoded again")
    axis.legend()
    return figure


def tuning_seconds(results: Results) -> Figure | None:
    """Draw seconds an epoch against tokens an epoch, by freeze depth and length of texts."""
    runs = _runs(results, "tuning_cost")
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, of in runs.items():
        if name.startswith("freeze=") and of and "epoch_seconds" in of[0]:
            point = (_median(of, "tokens"), _median(of, "epoch_seconds"))
            lines.setdefault(name.rsplit(", ", 1)[0], []).append(point)
    if not lines:
        return None
    figure, (axis,) = _new(1, 3.0)
    for label, points in lines.items():
        axis.plot(*zip(*sorted(points), strict=True), "o-", label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("tokens an epoch")
    axis.set_ylabel("seconds an epoch")
    axis.legend()
    return figure


def quality(results: Results) -> Figure | None:
    """Draw accuracies with all rows by corpus and method, mean and deviation of seeds."""
    runs = _runs(results, "quality")
    by_corpus = {
        task.title: {
            method.title: [run["accuracy"] for run in of]
            for name, method in METHODS.items()
            if (of := runs.get(run_name(part, "all", name)))
        }
        for part, task in TASKS.items()
    }
    by_corpus = {corpus: found for corpus, found in by_corpus.items() if found}
    if not by_corpus:
        return None
    titles = [method.title for method in METHODS.values()]
    shown = [title for title in titles if any(title in found for found in by_corpus.values())]
    figure, (axis,) = _new(1, 3.4)
    for corpus, found in by_corpus.items():
        x = [shown.index(title) for title in found]
        means = [statistics.mean(scores) for scores in found.values()]
        spreads = [deviation(scores) for scores in found.values()]
        axis.errorbar(x, means, spreads, fmt="o", capsize=2, label=corpus)
    axis.set_xticks(range(len(shown)), shown, rotation=30, ha="right")
    axis.set_ylabel("accuracy")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _runs(results: Results, name: str) -> dict[str, Runs]:
    runs: dict[str, Runs] = results.get(name, {}).get("runs", {})
    return runs


def _median(runs: Runs, key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _new(n: int, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of `n` axes, each of a height in inches."""
    from matplotlib.figure import Figure

    rows = -(-n // columns)
    figure = Figure(figsize=(7, rows * (height + 0.35)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def _bars(axis: Axes, values: dict[str, float], form: str) -> None:
    """Draw a bar for each name, from the top down, ours in another colour."""
    names = list(values)
    colors = [_OURS if name.startswith("ours") else _OTHERS for name in names]
    bars = axis.barh(names, [values[name] for name in names], color=colors)
    axis.bar_label(bars, labels=[form.format(values[name]) for name in names], padding=3)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.tick_params(axis="y", length=0)


# From a figure's name to what draws it; up to a hyphen it is that of the section it stands in.
FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "encode": encode_rates,
    "search": search_seconds,
    "depths_sst2": depths_sst2,
    "depths_emotion": depths_emotion,
    "scaling": scaling,
    "scaling-store": store_budget,
    "tuning_cost": tuning_seconds,
    "quality": quality,
}
