"""How well each method classifies five corpora, from 100 rows to all: mean and deviation of seeds.

The whole takes hours, fewer with a GPU and several workers. Results are written after each fit to
the file that `--json` names, and what the file has already is not run again: the same command goes
on where it was stopped, on another machine too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

from benchmarks.arguments import at_least, count, device_at_hand, seed_number
from benchmarks.children import Job, Result, run_job, several_at_a_time
from benchmarks.quality_methods import METHODS, measure, suits
from benchmarks.quality_tables import fill, run_name
from benchmarks.quality_tasks import SIZES, TASKS
from benchmarks.report import COMMANDS_JOINED_BY, Report, earlier_results

# Seeds are repeats enough.
REPEATS = None
# What the file has is added to, by commands with other options too.
KEEPS_ITS_RESULTS = True

_SEEDS = [0, 1, 2, 3, 4]
# A few of each class, for folds.
_LEAST_ROWS = 16
_QUICK = {"part": ["sst2"], "sizes": ["16"], "seeds": [0]}
_QUICK_TEST_ROWS = 32
_QUICK_EPOCHS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument("--part", nargs="+", choices=list(TASKS), help="corpora (default all)")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        metavar="N",
        help=f"training rows, at least {_LEAST_ROWS}, or all (default {' '.join(SIZES)})",
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), help="default all")
    parser.add_argument("--seeds", nargs="+", type=seed_number, help="default 0 1 2 3 4")
    parser.add_argument(
        "--device",
        type=device_at_hand,
        choices=("cpu", "cuda"),
        default="cpu",
        help="what fits run on (default cpu)",
    )
    parser.add_argument(
        "--workers", type=count, default=1, metavar="N", help="fits at a time (default 1)"
    )


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure what is missing, and fill the report."""
    full = {"part": list(TASKS), "sizes": SIZES, "seeds": _SEEDS, "methods": list(METHODS)}
    chosen = {
        name: getattr(options, name) or (_QUICK.get(name, all_) if options.quick else all_)
        for name, all_ in full.items()
    }
    if options.json is not None:
        _take_up(report, earlier_results(options.json, "quality", options.quick))
    jobs = dict(_missing(report.runs, chosen, options))
    results = (
        ((key, run_job(job)) for key, job in jobs.items())
        if options.workers == 1
        else several_at_a_time(jobs, options.workers)
    )
    for (name, size, _), result in results:
        print(f"{name}, seed {result['seed']}: {_said(result)}", file=sys.stderr, flush=True)
        report.runs.setdefault(name, []).append({**result, "size": size})
        fill(report, checked=not options.quick)
        if options.json is not None:
            report.write(options.json)
    if not report.runs:
        methods, parts = (" ".join(chosen[name]) for name in ("methods", "part"))
        raise SystemExit(f"--methods {methods}: for text pairs alone, and --part {parts} has none.")
    fill(report, checked=not options.quick)


def _missing(
    runs: dict[str, list[Result]], chosen: dict[str, Any], options: argparse.Namespace
) -> Iterator[tuple[tuple[str, str, int], Job]]:
    """Yield what there is no result of: the cheap first, all methods before the next seed."""
    for size, seed, part, method in product(
        *(chosen[name] for name in ("sizes", "seeds", "part", "methods"))
    ):
        name = run_name(part, size, method)
        done = any(result["seed"] == seed for result in runs.get(name, ()))
        if suits(method, part) and not done:
            job = _job(part, size, method, seed, options.quick, options.device)
            yield (name, size, seed), job


def _size(text: str) -> str:
    """Read a number of rows, or that all are meant."""
    return text if text == "all" else str(at_least(_LEAST_ROWS)(text))


def _job(part: str, size: str, method: str, seed: int, quick: bool, device: str) -> Job:
    settings = {
        "part": part,
        "n_rows": None if size == "all" else int(size),
        "n_test": _QUICK_TEST_ROWS if quick else None,
        "method": method,
        "seed": seed,
        "epochs": _QUICK_EPOCHS if quick else None,
        "device": device,
    }
    return Job(measure, settings)


def _take_up(report: Report, found: dict[str, Any] | None) -> None:
    """Take over what earlier commands wrote, if they did."""
    if found is None:
        return
    report.runs = found["runs"]
    commands = [*found["command"].split(COMMANDS_JOINED_BY), report.command]
    report.command = COMMANDS_JOINED_BY.join(dict.fromkeys(commands))


def _said(result: Result) -> str:
    return f"accuracy {result['accuracy']:.4f}, {result['seconds']:.0f} s"
