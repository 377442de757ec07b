"""How well each method classifies five corpora, from 100 rows to all: mean and deviation of seeds.

The whole takes hours. Results are written after each fit to the file that `--json` names, and what
the file has already is not run again: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.children import Job, Result, run_job
from benchmarks.quality_methods import METHODS, measure
from benchmarks.quality_tables import fill, run_name
from benchmarks.quality_tasks import TASKS
from benchmarks.report import Report

# Seeds are repeats enough.
REPEATS = 1
# What the file has is added to, by commands with other options too.
KEEPS_ITS_RESULTS = True

_SIZES = ["100", "1000", "all"]
_SEEDS = [0, 1, 2, 3, 4]
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
        help=f"training rows (default {' '.join(_SIZES)})",
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), help="default all")
    parser.add_argument("--seeds", nargs="+", type=int, help="default 0 1 2 3 4")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure what is missing, and fill the report."""
    full = {"part": list(TASKS), "sizes": _SIZES, "seeds": _SEEDS, "methods": list(METHODS)}
    chosen = {
        name: getattr(options, name) or (_QUICK.get(name, all_) if options.quick else all_)
        for name, all_ in full.items()
    }
    report.runs = _earlier(options.json, options.quick)
    # The cheap ones first, and all methods with one seed before the next seed.
    for size, seed, part, method in product(
        *(chosen[name] for name in ("sizes", "seeds", "part", "methods"))
    ):
        name = run_name(part, size, method)
        if any(result["seed"] == seed for result in report.runs.get(name, ())):
            continue
        print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
        result = run_job(_job(part, size, method, seed, options.quick))
        print(f"  {_said(result)}", file=sys.stderr, flush=True)
        report.runs.setdefault(name, []).append({**result, "size": size})
        fill(report, checked=not options.quick)
        _write(report, options.json)
    fill(report, checked=not options.quick)


def _size(text: str) -> str:
    """Check a number of rows from the command line."""
    if text != "all" and not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'all' nor a number of rows")
    return text


def _job(part: str, size: str, method: str, seed: int, quick: bool) -> Job:
    settings = {
        "part": part,
        "n_rows": None if size == "all" else int(size),
        "n_test": _QUICK_TEST_ROWS if quick else None,
        "method": method,
        "seed": seed,
        "epochs": _QUICK_EPOCHS if quick else None,
    }
    return Job(measure, settings)


def _earlier(file: Path | None, quick: bool) -> dict[str, list[Result]]:
    """Return what an earlier run wrote to the file, nothing if there is none.

    Raises
    ------
    SystemExit
        If it was of another kind.
    """
    if file is None or not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if found["name"] != "quality" or found["settings"]["quick"] != quick:
        raise SystemExit(f"{file} has the results of another benchmark, or of --quick. Remove it.")
    runs: dict[str, list[Result]] = found["runs"]
    return runs


def _write(report: Report, file: Path | None) -> None:
    """Write all there is so far, in one step: a file cut short would lose hours."""
    if file is None:
        return
    part = file.with_name(f"{file.name}.part")
    part.write_text(report.as_json(), encoding="utf-8")
    os.replace(part, file)


def _said(result: Result) -> str:
    return f"accuracy {result['accuracy']:.4f}, {result['seconds']:.0f} s"
