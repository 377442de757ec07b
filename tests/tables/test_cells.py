import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from sklearn_bert.errors import TableError
from sklearn_bert.tables import check_cells, column_of


@pytest.mark.parametrize("dtype", [str, object])
def test_strings_may_be_any(dtype):
    values = np.array(["good", "half an emoji \ud83d"], dtype=dtype)
    column = column_of(values, pd.Index([4, 7]))
    assert column.dtype == object
    assert column.to_dict() == {4: "good", 7: "half an emoji \ud83d"}


@pytest.mark.parametrize("values", [[1, 2], [0.5, 1.5], [True, False]])
def test_numbers_are_numbers(values):
    column = column_of(np.array(values))
    assert column.dtype == np.array(values).dtype
    assert column.tolist() == values


def test_numbers_dates_and_gaps_are_no_obstacle():
    day = datetime.date(2026, 1, 2)
    cells = ["good", 1, 0.5, True, Decimal("1.50"), day, pd.Timestamp(day), None, pd.NA, np.nan]
    check_cells(pd.DataFrame({"text": pd.Series(cells, dtype=object)}), ["text"], "t.jsonl", 0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (b"good", r"'text' is bytes, b'good'\. Accepted: strings, .*Decode bytes first"),
        (["good", "film"], r"is a list, \['good', 'film'\]\. .*Join lists first: ' '\.join"),
        (np.array(["good"]), "is a list, .*Join lists first"),
        ({"en": "good"}, "is an object, {'en': 'good'}.* Make a column of what is wanted of it"),
    ],
    ids=["bytes", "list", "array", "object"],
)
def test_what_is_no_text_is_an_error_that_says_where_it_is(cell, message):
    chunk = pd.DataFrame({"id": [b"1", b"2"], "text": ["good", cell]})
    check_cells(chunk[:1], ["text"], "t.jsonl", 0)
    with pytest.raises(TableError, match=rf"t\.jsonl, row 1026: .*{message}"):
        check_cells(chunk, ["text"], "t.jsonl", 1024)


def test_the_caller_may_say_what_to_do_with_lists():
    chunk = pd.DataFrame({"label": [["a", "b"]]})
    with pytest.raises(TableError, match=r"Keep one\.$"):
        check_cells(chunk, ["label"], "t.jsonl", 0, of_lists="Keep one.")
