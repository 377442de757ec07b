"""Every Python block in README and docs runs, one document a namespace.

A block after a comment ``<!-- needs: package, ... -->`` shows other packages, which few have: it
runs by itself after its document's first block, and is skipped where a package is missing.
"""

import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


class Block(NamedTuple):
    """A Python block of a document, and the packages that it needs beside ours."""

    code: str
    needs: tuple[str, ...]


def python_blocks(text):
    found = re.findall(r"^(?:<!-- needs: ([^\n]*) -->\n)?```python\n(.*?)^```", text, re.M | re.S)
    return [Block(code, tuple(needs.split(", ")) if needs else ()) for needs, code in found]


def _blocks_of(document):
    return python_blocks(document.read_text(encoding="utf-8"))


DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if _blocks_of(path)),
]
# They train for half a minute and more.
SLOW = {"coming_from", "fine_tuning", "freezing", "how_deep", "imbalance", "small_data", "start"}


def _marks(document):
    return [pytest.mark.slow] if document.stem in SLOW else []


OTHERS = [
    pytest.param(
        document,
        number,
        id=f"{document.name}-{'-'.join(block.needs)}-{number}",
        marks=_marks(document),
    )
    for document in DOCUMENTS
    for number, block in enumerate(_blocks_of(document))
    if block.needs
]


def _run(block, document, namespace):
    exec(compile(block.code, document.name, "exec"), namespace)


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, id=path.name, marks=_marks(path)) for path in DOCUMENTS],
)
def test_python_blocks_run(document, capsys):
    blocks = [block for block in _blocks_of(document) if not block.needs]
    assert blocks
    namespace = {}
    for block in blocks:
        _run(block, document, namespace)
    assert capsys.readouterr().out


# What other packages warn of is theirs to mend.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("document", "number"), OTHERS)
def test_blocks_with_other_packages_run(document, number, capsys):
    first, block = _blocks_of(document)[0], _blocks_of(document)[number]
    for package in block.needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"shows {package}, which is not installed")
    namespace = {}
    _run(first, document, namespace)
    capsys.readouterr()
    _run(block, document, namespace)
    assert capsys.readouterr().out


def test_blocks_are_found_with_what_they_need():
    plain, marked = "```python\na\n```\n", "<!-- needs: x, y -->\n```python\nb\n```\n"
    text = plain + marked + "\n```sh\nc\n```\n" + marked
    assert python_blocks(text) == [Block("a\n", ()), *[Block("b\n", ("x", "y"))] * 2]


def test_readme_names_both_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


# Pages whose scores are those of the benchmarks, and of nothing else.
@pytest.mark.parametrize("page", ["how_deep", "pairs"])
def test_scores_that_pages_cite_were_measured(page):
    measured = _numbers(ROOT / "docs" / "benchmarks.md", r"\b0\.\d{4}\b")
    cited = _numbers(ROOT / "docs" / f"{page}.md", r"(?<!± )\b0\.\d{3}\b")
    assert cited
    assert [c for c in cited if not any(abs(c - m) < 0.00051 for m in measured)] == []


def _numbers(document, pattern):
    return {float(number) for number in re.findall(pattern, document.read_text(encoding="utf-8"))}
