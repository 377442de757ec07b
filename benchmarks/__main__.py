"""List the benchmarks, or run one: `python -m benchmarks [NAME] [--quick] [--repeats N]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.report import Report

# Each is a module of this package with a docstring whose first line says what it measures, and
# `run(report, options)`; `REPEATS` and `add_arguments(parser)` where it needs them.
NAMES = (
    "encode",
    "search",
    "memory",
    "accuracy",
    "shared_cache",
    "kernels",
    "finetune",
    "depths",
    "depth_search",
    "tuning_cost",
    "quality",
    "defaults",
    "ulmfit",
    "pairs",
    "pretraining",
)
_REPEATS = 5
_QUICK_REPEATS = 2


def main() -> int:
    parser, benchmarks = _parser()
    options = parser.parse_args()
    if options.name is not None and options.repeats is None:
        default = getattr(benchmarks[options.name], "REPEATS", _REPEATS)
        options.repeats = min(default, _QUICK_REPEATS) if options.quick else default
    if options.name is None:
        print("python -m benchmarks NAME [--quick] [--repeats N] [--json FILE]\n")
        for name, benchmark in benchmarks.items():
            print(f"  {name:<14}{_summary(benchmark)}")
        return 0
    report = Report(options.name, _summary(benchmarks[options.name]), vars(options))
    benchmarks[options.name].run(report, options)
    print(report.as_text())
    if options.json is not None:
        options.json.write_text(report.as_json(), encoding="utf-8")
    return 0 if report.holds else 1


def _parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", metavar="NAME")
    benchmarks = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES}
    for name, benchmark in benchmarks.items():
        summary = _summary(benchmark)
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--quick", action="store_true", help="little data: shows that it runs")
        repeats = getattr(benchmark, "REPEATS", _REPEATS)
        command.add_argument("--repeats", type=int, metavar="N", help=f"rounds (default {repeats})")
        command.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
        if hasattr(benchmark, "add_arguments"):
            benchmark.add_arguments(command)
    return parser, benchmarks


def _summary(benchmark: ModuleType) -> str:
    return (benchmark.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
