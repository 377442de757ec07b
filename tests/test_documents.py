"""Every Python block in README and docs runs, one document a namespace."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _python_blocks(document):
    return re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if _python_blocks(path)),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(document, capsys):
    blocks = _python_blocks(document)
    assert blocks
    namespace = {}
    for block in blocks:
        exec(compile(block, document.name, "exec"), namespace)
    assert capsys.readouterr().out


def test_readme_names_both_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
