"""What the benchmarks of encoding and of searches say of their runs: tables and bounds."""

from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import depths, encode_tables, search
from benchmarks.encode_tables import LIMIT, Competitor, name_of_run
from benchmarks.matmul import best_rate
from benchmarks.render import read_results
from benchmarks.report import Report
from benchmarks.rivals.encoders import REFERENCE

OURS, WARM = "ours bfloat16, cold store", "ours bfloat16, warm store"
COMPETITORS = [
    Competitor(OURS, "bfloat16"),
    Competitor(WARM, "bfloat16", warm=True),
    Competitor(REFERENCE, "float32"),
    Competitor("slow tool", "float32"),
]
LIMITS = {"bfloat16 torch.matmul": {"1x1x1": 80.0, "2x2x2": 100.0}}


def encoded(texts: int, seconds: float) -> dict:
    return {
        "texts": texts,
        "seconds": seconds,
        "texts_per_second": texts / seconds,
        "tokens": texts * 10,
        "padded_tokens": texts * 11,
        "peak_bytes": 5_000_000,
    }


def encode_report(corpus: str, seconds: float, again: int = 0, cosine: float = 0.9995) -> Report:
    """Return a report of a round in which the reference needed ten seconds, ours `seconds`."""
    report = Report("encode", "Something.", {})
    report.runs = {
        LIMIT: [{"rates": LIMITS, "threads": 1}],
        name_of_run(corpus, OURS): [encoded(100, seconds)],
        name_of_run(corpus, WARM): [{**encoded(100, 0.001), "encoded": again}],
        name_of_run(corpus, REFERENCE): [encoded(100, 10.0)],
        name_of_run(corpus, "slow tool"): [encoded(25, 50.0)],
    }
    # 400 GFLOP for all texts, of which a tenth is attention's; 100 for every fourth.
    flop = {"1": (360e9, 40e9), "4": (90e9, 10e9)}
    texts = {"texts": 100, "made": 3, "tokens": 1000, "longest": 12, "flop": flop}
    cosines = {competitor.name: np.array([1.0, 0.9995]) for competitor in COMPETITORS}
    cosines["slow tool"] = np.array([1.0, 0.5])
    cosines[OURS] = np.array([1.0, cosine])
    encode_tables.add_corpus(report, corpus, texts, COMPETITORS, cosines)
    return report


def test_a_row_tells_rate_ratio_share_and_padding():
    report = encode_report("sst2", 5.0)

    ours, warm, reference, slow = report.tables[0].rows
    assert ours[1:8] == ["100", "20.0 [20.0..20.0]", "2.00", "80", "80%", "", "1.100"]
    assert ours[-2:] == ["0.99975", "0.99950"]
    assert warm[4:9] == [""] * 5
    assert reference[3] == "1.00"
    # Four times fewer texts cost four times fewer operations.
    assert slow[1:5] == ["25", "0.5 [0.5..0.5]", "0.05", "2"]
    assert "3 of them made" in report.notes[0]


@pytest.mark.parametrize(
    ("corpus", "seconds", "holds"),
    [
        ("sst2", 4.5, [True]),
        ("sst2", 4.6, [False]),
        ("mixed", 4.6, [True]),
        ("emotion", 5.1, [False]),
        ("imdb", 4.0, [True, True]),
        ("imdb", 5.1, [False, True]),
        ("imdb", 5.4, [False, False]),
    ],
)
def test_the_bounds_are_on_ratio_and_share(corpus, seconds, holds):
    report = encode_report(corpus, seconds)

    encode_tables.add_checks(report, corpus, "bfloat16")

    warm, alike, *bounds = [holds for _, holds in report.checks]
    assert warm
    assert alike
    assert bounds == holds


def test_vectors_have_to_be_those_of_the_reference():
    _, (claim, holds) = encode_report("sst2", 1.0, cosine=0.9989).checks

    assert "0.99890" in claim
    assert not holds


def test_a_warm_store_encodes_nothing():
    (claim, holds), _ = encode_report("sst2", 1.0, again=7).checks

    assert "7 texts" in claim
    assert not holds


def test_the_share_is_told_without_attention_too():
    report = encode_report("imdb", 5.0)

    encode_tables.add_checks(report, "imdb", "bfloat16")

    assert "80.0% (72.0% without attention's products)" in report.checks[-1][0]


def test_the_limit_is_that_of_the_best_way_at_a_precision():
    ways = {**LIMITS, "bfloat16 oneDNN": {"1x1x1": 120.0}}

    assert best_rate([{"rates": ways}], "bfloat16") == 120.0
    assert best_rate([{"rates": ways}], "float32") == 0


@pytest.mark.parametrize(("seconds", "holds"), [(5.0, True), (9.0, False)])
def test_where_bfloat16_is_not_native_the_ratio_alone_is_bounded(seconds, holds):
    report = encode_report("imdb", seconds)
    cold = report.runs.pop(name_of_run("imdb", OURS))
    report.runs[name_of_run("imdb", "ours float32, cold store")] = cold
    before = list(report.checks)

    encode_tables.add_checks(report, "imdb", "float32")

    ((claim, of),) = report.checks[len(before) :]
    assert "at least 2.0 times the texts a second" in claim
    assert of == holds


def test_a_precision_that_was_not_measured_is_not_bounded():
    report = encode_report("imdb", 9.0)
    before = list(report.checks)

    encode_tables.add_checks(report, "imdb", "float32")

    assert report.checks == before


@pytest.mark.parametrize(("seconds", "holds"), [(20.0, True), (19.0, False)])
def test_other_tools_have_to_take_twenty_times_as_long(seconds, holds):
    report = Report("search", "Something.", {})
    report.runs = {
        "search": [{"seconds": 1.4}],
        "parts": [{"pass_seconds": 0.6, "fit_seconds": 0.4}],
        "ours": [{"seconds": 1.0}],
        REFERENCE: [{"seconds": seconds}],
        "padded tutorial loop": [{"seconds": 2.0}],
    }

    search._add_checks(report, [REFERENCE, "padded tutorial loop"])

    assert [of for _, of in report.checks] == [True, holds]


@pytest.mark.parametrize(("seconds", "holds"), [(1.5, True), (1.6, False)])
def test_a_search_has_to_take_little_more_than_its_parts(seconds, holds):
    report = Report("search", "Something.", {})
    report.runs = {
        "search": [{"seconds": seconds}],
        "parts": [{"pass_seconds": 0.6, "fit_seconds": 0.4}],
        "ours": [{"seconds": 1.0}],
    }

    search._add_checks(report, [])

    assert [of for _, of in report.checks] == [holds]


@pytest.mark.parametrize("part", ["sst2", "emotion"])
def test_what_is_said_of_depths_is_what_was_measured(part):
    kept = read_results()[f"depths_{part}"]
    (result,) = kept["runs"][part]
    report = Report("depths", kept["summary"], kept["settings"])

    depths.fill(report, part, result, checked=True)

    assert [asdict(table) for table in report.tables] == kept["tables"]
    assert [list(check) for check in report.checks] == kept["checks"]
