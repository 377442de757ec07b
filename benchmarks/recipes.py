"""What y may be, and a trained model for another task: the examples' figures over several seeds.

Each example is run as it is, but for the seed, which draws the rows to train on and fixes training.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.children import Job, Result, alternate
from benchmarks.report import Report, mean_and_deviation

# Rounds are seeds.
REPEATS = 3

# Modules of examples/ with `scores(seed, n_rows)` and `ROWS`, and what they show.
_EXAMPLES = {
    "regression": "Numbers: two outputs of SST-2",
    "label_sets": "Sets of labels: emotion, two remarks a text",
    "several_tasks": "Two tasks, each text with one of its labels: SST-2 and emotion",
    "transfer": "Accuracy on imdb_sample with 100 labelled reviews, after SST-2",
}
_QUICK_ROWS = 40
# The others train on two corpora.
_QUICK_EXAMPLES = ["regression", "label_sets"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that only this benchmark has."""
    parser.add_argument("--part", nargs="+", choices=list(_EXAMPLES), help="default all")


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure, and fill the report."""
    examples = options.part or (_QUICK_EXAMPLES if options.quick else list(_EXAMPLES))
    jobs = {name: Job(measure, {"example": name, "quick": options.quick}) for name in examples}
    report.runs = alternate(jobs, options.repeats, seeded=jobs)
    for example, results in report.runs.items():
        _add_table(report, example, results)
    report.note(
        "Mean ± standard deviation over seeds, which draw the rows to train on; the test rows are "
        "the same. Where nothing else is said in `examples/`, the estimators have their defaults."
    )


def measure(example: str, seed: int, quick: bool) -> Result:
    """Run one example with one seed."""
    import importlib

    module: Any = importlib.import_module(f"examples.{example}")
    n_rows = _QUICK_ROWS if quick else module.ROWS
    start = time.perf_counter()
    scores = module.scores(seed, n_rows)
    return {"scores": scores, "seconds": time.perf_counter() - start, "rows": n_rows}


def _add_table(report: Report, example: str, results: list[Result]) -> None:
    first = results[0]
    metrics = list(next(iter(first["scores"].values())))
    rows = [
        [
            name,
            *(
                mean_and_deviation([result["scores"][name][metric] for result in results], 3)
                for metric in metrics
            ),
        ]
        for name in first["scores"]
    ]
    title = f"{_EXAMPLES[example]}; {first['rows']:,} rows, {len(results)} seed(s)"
    report.table(f"{title} (examples/{example}.py)", ["", *metrics], rows)
