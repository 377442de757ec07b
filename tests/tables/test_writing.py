import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sklearn_bert.errors import TableError
from sklearn_bert.tables import read_chunks, writer

FRAME = pd.DataFrame({"text": ['A "b", c', "two\nlines", "很好"], "value": [0.5, 1.25, -2.0]})


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_what_is_written_in_parts_is_read_as_one(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    with writer(path) as write:
        write(FRAME.iloc[:2])
        write(FRAME.iloc[2:])
    found = pd.concat(list(read_chunks(path)), ignore_index=True).astype({"value": float})
    pd.testing.assert_frame_equal(found.astype({"text": object}), FRAME.astype({"text": object}))
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_lone_surrogates_are_replaced(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    texts = np.array(["an emoji cut \ud83d", "a whole one \ud83d\ude00"], dtype=object)
    with writer(path) as write:
        write(pd.DataFrame({"text": pd.Series(texts, dtype=object), "value": [1, 2]}))
    (found,) = read_chunks(path)
    assert found["text"].tolist() == ["an emoji cut \ufffd", "a whole one \U0001f600"]
    assert found["value"].astype(int).tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_every_line_break_within_a_cell_is_quoted(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    frame = pd.DataFrame({"text": ["one\rtwo", "one\r\ntwo", "one\ntwo"], "n": [1, 2, 3]})
    with writer(path) as write:
        for row in range(3):
            write(frame.iloc[row : row + 1])
    found = pd.concat(list(read_chunks(path)), ignore_index=True)
    assert found["text"].tolist() == frame["text"].tolist()
    assert found["n"].tolist() == ["1", "2", "3"]


def test_json_has_nulls_and_plain_numbers(tmp_path):
    path = tmp_path / "out.jsonl"
    with writer(path) as write:
        write(pd.DataFrame({"a": [np.int64(1), 2], "b": ["x", None], "c": [np.nan, 1.5]}))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": 1.5}]


def test_json_has_arrays_as_lists(tmp_path):
    path = tmp_path / "out.jsonl"
    with writer(path) as write:
        write(pd.DataFrame({"a": [np.array(["x", "y"]), np.array([1])], "b": [["z"], {"k": 1}]}))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"a": ["x", "y"], "b": ["z"]}, {"a": [1], "b": {"k": 1}}]


def test_json_has_plain_values_within_lists(tmp_path):
    path = tmp_path / "out.jsonl"
    days = np.array(["2026-01-02", "NaT"], dtype="datetime64[ns]")
    ragged = np.array([np.array([1]), np.array([2.5, np.nan])], dtype=object)
    cells = [ragged, {"k": np.array(["x"]), "n": np.float32(0.5)}, days, (np.int64(1), None)]
    with writer(path) as write:
        write(pd.DataFrame({"a": cells}))
    rows = [json.loads(line)["a"] for line in path.read_text().splitlines()]
    assert rows[:2] == [[[1], [2.5, None]], {"k": ["x"], "n": 0.5}]
    assert rows[2:] == [["2026-01-02 00:00:00", None], [1, None]]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_later_rows_have_the_columns_of_the_first(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    with writer(path) as write:
        write(pd.DataFrame({"a": ["1"], "b": ["2"]}))
        write(pd.DataFrame({"b": ["3"], "a": ["4"]}))
        write(pd.DataFrame({"b": ["5"]}))
        with pytest.raises(TableError, match=r"columns that the first rows have not: c\."):
            write(pd.DataFrame({"a": ["6"], "c": ["7"]}))
    found = pd.concat(list(read_chunks(path)), ignore_index=True)
    assert found["b"].tolist() == ["2", "3", "5"]
    assert found["a"].tolist()[:2] == ["1", "4"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_fails_leaves_the_file_that_was_there(kind, tmp_path):
    path = tmp_path / f"out.{kind}"
    path.write_text("before")

    def fail():
        with writer(path) as write:
            write(FRAME)
            raise RuntimeError("as told")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_parquet_has_types_that_later_rows_fit(tmp_path):
    path = tmp_path / "out.parquet"
    parts = [
        {"gaps": [None], "numbers": [1], "lists": [[]]},
        {"gaps": ["x"], "numbers": [2], "lists": [[1]]},
        {"gaps": [None], "numbers": [2.5], "lists": [None]},
    ]
    with writer(path) as write:
        for part in parts:
            write(pd.DataFrame(part, dtype=object))
    expected = {"gaps": [None, "x", None], "numbers": [1, 2, 2.5], "lists": [[], [1], None]}
    assert pq.read_table(path).to_pydict() == expected
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("first", "later"), [(1, "x"), (1, 2**70), (1, {}), (2**60 + 1, 0.5), (None, {})]
)
def test_what_parquet_has_no_type_for(first, later, tmp_path):
    def write_both():
        with writer(tmp_path / "out.parquet") as write:
            write(pd.DataFrame({"a": [first]}, dtype=object))
            write(pd.DataFrame({"a": [later]}, dtype=object))

    with pytest.raises(TableError, match="one type a column"):
        write_both()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.xlsx", "can't be written"),
        ("none/out.csv", "no folder"),
        ("folder.csv", "is a folder"),
    ],
)
def test_where_nothing_can_be_written(name, message, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match=message), writer(tmp_path / name):
        pass
