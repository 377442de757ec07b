"""The summary: whole where lines may be long, and fitting where a terminal is narrow."""

import numpy as np
import pytest

from sklearn_bert.comparison.columns import HEADINGS
from sklearn_bert.comparison.duplicates import find_duplicates
from sklearn_bert.comparison.lengths import Lengths
from sklearn_bert.comparison.result import Comparison
from sklearn_bert.comparison.running import METRICS, CandidateResult

LONG = "features: mean and max, top 4 layers averaged"
Y = np.array(["bad", "good"] * 4)


def result(name, score):
    folds = [{"fold": i, **dict.fromkeys(METRICS, score), "fit_time": 75.0} for i in range(2)]
    return CandidateResult(name, None, folds, Y, np.ones(8), predict_time=3.0, pickle_bytes=1500)


@pytest.fixture
def comparison():
    texts = [f"{number} is a text of its own" for number in range(8)]
    fold_of = np.arange(8) % 2
    duplicates = find_duplicates(texts, Y, fold_of)
    lengths = Lengths(np.full(8, 9), 512)
    results = [result("TF-IDF", 0.5), result(LONG, 0.75)]
    made = Comparison(results, texts, Y, fold_of, "f1_macro", duplicates, lengths)
    made.not_run["fine-tuning"] = "out of time: " + "so it was, " * 9
    return made


def summary_of(comparison, monkeypatch, columns):
    monkeypatch.setattr(Comparison, "code", "estimator.fit(X, y)")
    monkeypatch.setenv("COLUMNS", str(columns))
    return str(comparison)


def test_all_columns_where_lines_may_be_long(comparison, monkeypatch):
    blocks = summary_of(comparison, monkeypatch, 0).split("\n\n")
    table = blocks[1].splitlines()
    assert table[0].split("  ")[0] == "candidate"
    assert all(heading in table[0] for heading in HEADINGS)
    assert [line.split("  ")[0] for line in table[1:]] == [LONG, "TF-IDF"]
    assert len(set(map(len, table))) == 1
    assert blocks[2] == f"not run: fine-tuning: {comparison.not_run['fine-tuning'].strip()}"
    assert blocks[3] == comparison.recommendation


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_terminal_has_room_for_each_line(comparison, monkeypatch, columns):
    shown = summary_of(comparison, monkeypatch, columns)
    assert max(map(len, shown.splitlines())) <= columns
    table = shown.split("\n\n")[1]
    assert "F1" in table
    assert "0.750 ± 0.000" in table
    # Names are whole, if on two lines.
    assert set(LONG.split()) <= set(table.split())
    assert " ".join(comparison.recommendation.split()) in " ".join(shown.split())
