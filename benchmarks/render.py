"""Write docs/benchmarks.md and its figures from the results: `python -m benchmarks.render`.

The results are files that `python -m benchmarks NAME --json benchmarks/results/NAME.json` wrote.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.figures import FIGURES, caption, draw
from benchmarks.quality_tables import not_measured
from benchmarks.report import in_short

_ROOT = Path(__file__).resolve().parents[1]
_RESULTS = _ROOT / "benchmarks" / "results"
_PAGE = _ROOT / "docs" / "benchmarks.md"
_FIGURES = "_static/benchmarks"
# Beside what results themselves tell, as those of quality do.
_NOT_MEASURED = (
    "Apple's MPS, ARM processors, Windows",
    "[encode](#encode): sentence-transformers in bfloat16 with more than 1,000 texts; the pipeline "
    "of transformers as the benchmark has it since, with tensors for answers; other tools with "
    "more than 6,911 texts",
    "sentence-transformers with ONNX or OpenVINO, with which it can compute too: what it needs for "
    "that (optimum-onnx 0.1, optimum-intel 2.2) wants transformers before 4.58 and 5.6, and all is "
    "measured with 5.23; of OpenVINO by itself see [decision 4](decisions/0004-cpu-speed.md)",
    "[gpu_encode](#gpu_encode): sentence-transformers in batches of more than its 32 texts; one of "
    "four times the tokens took the GPU no longer, so larger ones would be faster",
    "[search](#search): `Pipeline(memory=...)`, which keeps what a step made of a fold",
    "[depth_search](#depth_search): skorch",
    "`zen4` and `amx`: transformers' pipeline, the padded tutorial loop, skorch and SetFit",
)
_INTRODUCTION = """\
# Benchmarks

Each section has what the commands below it found; `python -m benchmarks` lists them, anyone can run
them. This page and its figures are written by `python -m benchmarks.render` from the files in
`benchmarks/results/`, which have each single run too. Some sections end with a sentence, added by
hand, on what has changed since.

Timings on shared machines are noisy: competitors alternate within one run, and ratios say more
than rates. Sections whose names begin with `gpu` are of a GPU, as are some fits of `quality`; all
others are of a processor with AVX512-BF16, or, in `heads`, in some fits of `quality` and where the
name ends so, of one without bfloat16, which computes in float32: `avx2` and `heads` have AVX2
alone, `avx512` has AVX-512 too. Of those with bfloat16, `zen4` (an AMD EPYC of the fourth
generation) multiplies at some 425 GFLOP/s, as the one did for which the bounds were set, and `amx`
(an Intel Xeon) at some 3,650 by units of its own; the others reach 950 where they tell it
(`encode`, `finetune` and its parts, `profile`). The higher the rate, the more weighs what is no
product of matrices. Those from before 26 November do not tell it.

Until 27 November 2026 the one batch of an epoch that is not full had the shortest texts each time;
accuracies from before are of that ([decision 6](decisions/0006-fine-tuning.md) compares them).
"""


def main() -> None:
    """Render every result that is there."""
    render(read_results(), _PAGE)


def read_results() -> dict[str, dict[str, Any]]:
    """Return what each benchmark wrote, by the names of the files, in their order."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(_RESULTS.glob("*.json"))
    }


def render(results: dict[str, dict[str, Any]], page: Path) -> None:
    """Write a page, and beside it the figures that can be drawn; those of before are removed.

    Parameters
    ----------
    results : dict of str to dict
        What each benchmark wrote, by the title of its section.
    page : path
        The Markdown file.
    """
    folder = page.parent / _FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    figures: dict[str, list[str]] = {}
    for name in FIGURES:
        image = draw(name, results)
        if image is not None:
            (folder / f"{name}.svg").write_bytes(image)
            figures.setdefault(name.split("-")[0], []).append(name)
    sections = [
        _section(title, result, figures.get(title, [])) for title, result in results.items()
    ]
    blocks = [_INTRODUCTION, _failed(results), _missing(results), *sections]
    page.write_text("\n".join(blocks), encoding="utf-8")


def _failed(results: dict[str, dict[str, Any]]) -> str:
    """Say first which claims do not hold, which are few among many further down."""
    n = sum(len(result["checks"]) for result in results.values())
    failed = [
        f"- [{title}](#{title}): {claim}"
        for title, result in results.items()
        for claim, holds in result["checks"]
        if not holds
    ]
    head = f"Of {n} claims that the benchmarks check, {len(failed)} do not hold:"
    return "\n".join(["## What does not hold", "", head, "", *failed]) + "\n"


def _missing(results: dict[str, dict[str, Any]]) -> str:
    """Say what the sections might be thought to have."""
    missing = [f"- {item}" for item in _NOT_MEASURED]
    if "quality" in results:
        missing.append("- [quality](#quality): the rest of five seeds, and any fit of")
        missing += [f"  - {cell}" for cell in not_measured(results["quality"]["runs"])]
    return "\n".join(["## Not measured", "", *missing]) + "\n"


def _section(title: str, result: dict[str, Any], figures: list[str]) -> str:
    blocks = [f"## {title}", result["summary"]]
    blocks += [f"![{caption(name)}]({_FIGURES}/{name}.svg)" for name in figures]
    blocks += [f"**{table['title']}**\n\n{_markdown(table)}" for table in result["tables"]]
    blocks += result["notes"]
    blocks += [f"- {'holds' if ok else 'FAILED'}: {claim}" for claim, ok in result["checks"]]
    described = {**result["machine"], **result["versions"]}
    machine = ", ".join(f"{name} {value}" for name, value in described.items())
    first, further = in_short(result["command"])
    blocks.append(f"`{first}`{further}, {result['date']}; {machine}.")
    return "\n\n".join(blocks) + "\n"


def _markdown(table: dict[str, Any]) -> str:
    rule = ["---", *["--:"] * (len(table["columns"]) - 1)]
    lines = [table["columns"], rule, *table["rows"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
