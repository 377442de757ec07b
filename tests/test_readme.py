"""What README and its like promise: two languages in step, links, figures, forms, a citation.

That the code of the README runs is in `test_documents`.
"""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _links(text):
    return re.findall(r"\]\(([^)\s]+)\)", text)


def _headings(text):
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]


def _table_shapes(text):
    return [line.count("|") for line in text.splitlines() if line.startswith("|")]


class TestReadmes:
    """The Chinese one says what the English one says, as far as that can be compared."""

    def test_blocks_of_code_are_the_same(self):
        fenced = re.compile(r"^```.*?^```", re.M | re.S)
        english, chinese = (fenced.findall(_read(name)) for name in READMES)
        assert len(english) >= 6
        assert chinese == english

    def test_links_are_the_same(self):
        """But for that from each to the other."""
        english, chinese = (_links(_read(name)) for name in READMES)
        assert (english.pop(0), chinese.pop(0)) == (READMES[1], READMES[0])
        assert chinese == english

    def test_structure_and_figures_are_the_same(self):
        english, chinese = map(_read, READMES)
        assert _headings(chinese) == _headings(english)
        assert _table_shapes(chinese) == _table_shapes(english)
        figures = re.compile(r"\d+\.\d+")
        assert sorted(figures.findall(chinese)) == sorted(figures.findall(english))

    def test_inline_code_is_the_same(self):
        code = re.compile(r"`[^`\n]+`")
        english, chinese = (Counter(code.findall(_read(name))) for name in READMES)
        assert chinese == english

    @pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "RELEASING.md"])
    def test_links_lead_somewhere(self, name):
        near = [link for link in _links(_read(name)) if not link.startswith("http")]
        missing = [link for link in near if not (ROOT / link.partition("#")[0]).exists()]
        assert missing == []

    def test_figures_are_those_of_the_benchmarks(self):
        """Each number of the section on speed, and of the picture's description."""
        readme = _read("README.md")
        speed = readme.partition("## How fast")[2].partition("## Beside")[0]
        claimed = re.findall(r"\d+\.\d+", speed + "".join(re.findall(r"!\[(.*?)\]", readme)))
        assert len(claimed) > 10
        measured = {
            round(float(n), 3) for n in re.findall(r"\d+\.\d+", _read("docs/benchmarks.md"))
        }
        assert {float(number) for number in claimed} - measured == set()


def test_citation():
    """The fields that a citation file must have, and the project's own name and licence."""
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(_read("CITATION.cff"))
    project = tomllib.loads(_read("pyproject.toml"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == project["name"]
    assert citation["license"] == project["license"]
    assert citation["type"] == "software"
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_issue_forms(path):
    """Forms have a name, a description and fields with labels of their own."""
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert set(form) <= {"blank_issues_enabled", "contact_links"}
        return
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    labels = [field["attributes"]["label"] for field in fields]
    assert len(set(labels)) == len(labels) > 0
    assert len({field["id"] for field in fields}) == len(fields)
