"""The figures of docs/benchmarks.md, and the page that shows them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest

from benchmarks.figures import FIGURES, caption, draw
from benchmarks.render import read_results, render

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONSTRAINTS = ROOT / "constraints.txt"

DEPTHS = ["all", "-1", "-2", "-3", "none"]
LINEAR = ["TF-IDF + LogisticRegression", "BertFeaturizer(layers=5)"]


def fit(name: str, seconds: float, score: float) -> dict:
    return {"name": name, "seconds": seconds, "accuracy": score, "f1": score}


def passes(**values: float) -> list[dict]:
    return [{"seconds": 10.0, "encode_peak_bytes": 5e6, **values}]


def encoding(corpus: str, tool: str, rate: float) -> list[dict]:
    return [{"corpus": corpus, "tool": tool, "texts_per_second": rate}]


ENCODED = {
    "matrix products": [{"rates": {}}],
    "sst2: ours bfloat16, cold store": encoding("sst2", "ours bfloat16, cold store", 4321.0),
    "sst2: ours bfloat16, warm store": encoding("sst2", "ours bfloat16, warm store", 98765.0),
    "imdb: some tool": encoding("imdb", "some tool", 12.0),
}
LIMITS = [
    {"limit": 10e6 * i, "again": {"encoded": 4 - i}, "layer_below": {"encoded": 4}}
    for i in range(4)
]
SCORES = [(depth, score) for depth in DEPTHS for score in (0.8125, 0.875)]
RUNS = {
    "encode": ENCODED,
    "search": {
        "search": [{"seconds": 9.0}],
        "ours": [{"tool": "ours", "seconds": 0.5}],
        "some tool": [{"tool": "some tool", "seconds": 17.25}],
    },
    "depths_sst2": {"sst2": [{"fits": [fit(depth, 9, score) for depth, score in SCORES]}]},
    "accuracy": {name: [{"seconds": 1.0, "accuracy": 0.8125}] for name in LINEAR},
    "depths_emotion": {"emotion": [{"fits": [fit("all", 1, 0.7), fit("-2", 20, 0.9)]}]},
    "scaling": {
        **{f"n={n}": passes(n=n) for n in (100, 1000)},
        **{f"layers={n}": passes(layers=n) for n in (0, 6)},
        "store": [{"n": 4, "limits": LIMITS}],
    },
    "tuning_cost": {
        "freeze=-1, 16 tokens, 1,000 texts": [{"tokens": 16000, "epoch_seconds": 0.5}],
        "freeze=-1, 16 tokens, 2,000 texts": [{"tokens": 32000, "epoch_seconds": 1.0}],
        "one fit": [{"seconds": 3.0}],
    },
    "quality": {
        "sst2, all rows, SetFit": [{"accuracy": 0.75}],
        "sst2, all rows, ours, freeze=-1": [{"accuracy": 0.75}, {"accuracy": 0.875}],
        "mrpc, 100 rows, TF-IDF + LogisticRegression": [{"accuracy": 0.5}],
    },
}
MACHINE = {"machine": {"cores": 2, "cpu": "Abacus"}, "date": "2026-11-21 09:00 UTC"}
ALL = {name: {"runs": runs, **MACHINE} for name, runs in RUNS.items()}


def words(image: bytes) -> str:
    """Return what is written in a figure."""
    return "\n".join(re.findall(r"<text[^>]*>(.*?)</text>", image.decode(), re.S))


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_figure_is_the_same_file_each_time(name):
    image = draw(name, ALL)

    assert image == draw(name, ALL)
    assert ElementTree.fromstring(image).tag.endswith("svg")
    assert b"dc:date" not in image
    assert caption(name)


@pytest.mark.parametrize("name", list(FIGURES))
def test_without_the_runs_there_is_no_figure(name):
    assert draw(name, {}) is None
    assert draw(name, {result: {"runs": {}} for result in ALL}) is None


def test_rates_of_each_corpus_and_tool_are_drawn_but_warm_stores():
    said = words(draw("encode", ALL))

    assert "4,321" in said
    assert "12" in said
    assert "IMDB" in said
    assert "98,765" not in said


def test_results_of_one_corpus_that_they_do_not_name_are_drawn():
    older = {"encode": {"runs": {"ours": [{"texts_per_second": 77.0}]}}}

    assert "SST-2" in words(draw("encode", older))


def test_each_depth_is_named_with_its_mean_accuracy():
    said = words(draw("depths_sst2", ALL))

    assert "all layers: 0.844" in said
    assert "TF-IDF + LogisticRegression: 0.812" in said
    assert "2 CPU cores (Abacus)" in said
    assert "2026-11-21" in said


def test_only_searches_with_a_tool_are_drawn():
    said = words(draw("search", ALL))

    assert "17.25" in said
    assert "9.00" not in said


def test_quality_is_that_of_all_rows():
    said = words(draw("quality", ALL))

    assert said.index("ours, freeze=-1") < said.index("SetFit")
    assert "SST-2" in said
    assert "MRPC" not in said
    assert "TF-IDF" not in said


def test_the_page_shows_the_figures_of_the_results_that_are_there(tmp_path):
    results = read_results()
    page = tmp_path / "benchmarks.md"
    folder = tmp_path / "_static" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "of-yesterday.svg").write_text("")

    render(results, page)

    text = page.read_text("utf-8")
    shown = re.findall(r"\]\((_static/.*?\.svg)\)", text)
    assert sorted(tmp_path / path for path in shown) == sorted(folder.glob("*.svg"))
    assert "_static/benchmarks/depths_sst2.svg" in shown
    assert all(f"## {title}\n" in text for title in results)


def test_the_page_of_the_docs_is_that_of_the_results(tmp_path):
    """`python -m benchmarks.render` writes it anew."""
    page = tmp_path / "benchmarks.md"

    render(read_results(), page)

    assert page.read_text("utf-8") == (DOCS / "benchmarks.md").read_text("utf-8")


def test_the_page_has_one_of_many_commands_and_their_number(tmp_path):
    """`quality.json` was added to by dozens of them."""
    commands = ["python -m benchmarks quality --json q.json"]
    commands += [f"{commands[0]} --seeds {seed}" for seed in range(3)]
    result = read_results()["quality"]

    render({"quality": {**result, "command": "; ".join(commands)}}, tmp_path / "benchmarks.md")
    last = (tmp_path / "benchmarks.md").read_text("utf-8").splitlines()[-1]
    assert last.startswith(f"`{commands[0]}` and 3 more, which the file of results lists, ")

    render({"quality": {**result, "command": commands[0]}}, tmp_path / "benchmarks.md")
    last = (tmp_path / "benchmarks.md").read_text("utf-8").splitlines()[-1]
    assert last.startswith(f"`{commands[0]}`, ")


@pytest.mark.skipif(
    f"matplotlib=={matplotlib.__version__}" not in CONSTRAINTS.read_text("utf-8").split(),
    reason="another matplotlib than that of constraints.txt may have other ticks",
)
def test_figures_of_the_docs_are_those_of_the_results(tmp_path):
    """Their words are: shapes vary with the system's fonts."""
    render(read_results(), tmp_path / "benchmarks.md")

    drawn, kept = (
        {path.name: words(path.read_bytes()) for path in (folder / "_static/benchmarks").iterdir()}
        for folder in (tmp_path, DOCS)
    )
    assert len(drawn["depths_sst2.svg"].splitlines()) > 15
    assert drawn == kept


def test_the_page_says_what_was_not_measured(tmp_path):
    """Of quality, what has no fit."""
    runs = {"mrpc, 100 rows, SetFit": [{}], "sst2, 1000 rows, SetFit": [{}]}
    result = {**read_results()["quality"], "runs": runs}

    render({"quality": result}, tmp_path / "benchmarks.md")

    text = (tmp_path / "benchmarks.md").read_text("utf-8")
    items = text.partition("## Not measured")[2].partition("\n## ")[0].splitlines()
    assert "  - TF-IDF + LogisticRegression: 100 rows; 1,000 rows; all rows" in items
    assert (
        "  - SetFit: 100 rows of sst2, emotion, imdb_sample and chn_hotel; "
        "1,000 rows of emotion, mrpc, imdb_sample and chn_hotel; all rows"
    ) in items
    # For pairs alone.
    assert "  - ours, freeze=all, pairs=separate: 100 rows; 1,000 rows; all rows" in items


def test_the_page_begins_with_what_does_not_hold(tmp_path):
    results = read_results()
    render(results, tmp_path / "benchmarks.md")

    text = (tmp_path / "benchmarks.md").read_text("utf-8")
    first, *sections = text.partition("## What does not hold")[2].split("\n## ")
    assert first.count("\n- [") == "\n## ".join(sections).count("\n- FAILED: ") > 0
