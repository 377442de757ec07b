"""List the benchmarks, run one, or all: `python -m benchmarks [NAME | --all] [--quick]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from types import ModuleType

from benchmarks.arguments import count, file_to_write
from benchmarks.forked import forking
from benchmarks.kept import keeping
from benchmarks.report import Report, earlier_results

# Each is a module of this package with a docstring whose first line says what it measures, and
# `run(report, options)`; `REPEATS` (None if it has no rounds), `KEEPS_ITS_RESULTS` and
# `add_arguments(parser)` where it needs them.
NAMES = (
    "encode",
    "search",
    "memory",
    "accuracy",
    "shared_cache",
    "scaling",
    "kernels",
    "profile",
    "finetune",
    "depths",
    "depth_search",
    "gpu",
    "tuning_cost",
    "quality",
    "defaults",
    "heads",
    "ulmfit",
    "pairs",
    "recipes",
    "pretraining",
)
_REPEATS = 5
_QUICK_REPEATS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser, benchmarks = _parser()
    options = parser.parse_args(arguments)
    if options.all and options.name is not None:
        parser.error("a NAME or --all, not both")
    if options.quick_all and not options.all:
        parser.error("--quick comes after a NAME, or with --all")
    if options.all:
        return _run_all(parser, benchmarks, ["--quick"] if options.quick_all else [])
    if options.name is not None:
        return 0 if _run(benchmarks[options.name], options).holds else 1
    print("python -m benchmarks NAME [--quick] [--repeats N] [--json FILE]")
    print("python -m benchmarks --all [--quick]\n")
    for name, benchmark in benchmarks.items():
        print(f"  {name:<14}{_summary(benchmark)}")
    return 0


def _run(benchmark: ModuleType, options: argparse.Namespace) -> Report:
    repeats = getattr(benchmark, "REPEATS", _REPEATS)
    if repeats is not None and options.repeats is None:
        options.repeats = min(repeats, _QUICK_REPEATS) if options.quick else repeats
    if options.json is not None:
        earlier_results(options.json, options.name, options.quick)
    report = Report(options.name, _summary(benchmark), vars(options))
    keeps_itself = getattr(benchmark, "KEEPS_ITS_RESULTS", False)
    kept = keeping(None if keeps_itself else options.json, vars(options))
    with kept, forking(options.quick):
        benchmark.run(report, options)
        # First, since a pipe may be closed, and not all terminals can show all characters.
        if options.json is not None and report.tables:
            report.write(options.json)
        elif options.json is not None:
            print(f"Nothing was measured; {options.json} is as it was.", file=sys.stderr)
        print(report.as_text())
    return report


def _run_all(
    parser: argparse.ArgumentParser, benchmarks: dict[str, ModuleType], settings: list[str]
) -> int:
    """Run one after another, go on after a failure, and say at the end which ones failed."""
    failed = []
    start = time.perf_counter()
    for name, benchmark in benchmarks.items():
        before = time.perf_counter()
        try:
            holds = _run(benchmark, parser.parse_args([name, *settings])).holds
        except Exception:
            traceback.print_exc()
            holds = False
        if not holds:
            failed.append(name)
        seconds = time.perf_counter() - before
        print(f"\n{name}: {'ok' if holds else 'FAILED'} in {seconds:.0f} s\n", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(benchmarks)} benchmarks in {seconds:.0f} s, {len(failed)} failed.", *failed)
    return 1 if failed else 0


def _parser() -> tuple[argparse.ArgumentParser, dict[str, ModuleType]]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--all", action="store_true", help="run all, one after another")
    parser.add_argument(
        "--quick", action="store_true", dest="quick_all", help="with --all: little data each"
    )
    commands = parser.add_subparsers(dest="name", metavar="NAME")
    benchmarks = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES}
    for name, benchmark in benchmarks.items():
        summary = _summary(benchmark)
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--quick", action="store_true", help="little data: shows that it runs")
        repeats = getattr(benchmark, "REPEATS", _REPEATS)
        if repeats is not None:
            command.add_argument(
                "--repeats", type=count, metavar="N", help=f"rounds (default {repeats})"
            )
        command.add_argument(
            "--json", type=file_to_write, metavar="FILE", help="write everything here"
        )
        if hasattr(benchmark, "add_arguments"):
            benchmark.add_arguments(command)
    return parser, benchmarks


def _summary(benchmark: ModuleType) -> str:
    return (benchmark.__doc__ or "").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
