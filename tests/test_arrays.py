"""What NumPy would silently make something else of."""

import re
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from sklearn_bert.arrays import as_array, as_numbers, check_sample_weight


def array(values, n=3):
    return as_array("y", values, n, "labels", "one label for each text")


def test_missing_values_and_numbers_among_strings_stay_what_they_are():
    assert array(["a", float("nan"), "b"])[1] != "nan"
    assert array(["a", None, "b"]).tolist() == ["a", None, "b"]
    assert array(["a", 1, True]).tolist() == ["a", 1, True]
    assert array([["a", 1], ["b", 2], ["c", None]]).tolist() == [["a", 1], ["b", 2], ["c", None]]
    assert array([["a"], [b"b"], ["c"]]).tolist() == [["a"], [b"b"], ["c"]]
    assert array(["a", "b", "c"]).dtype.kind == "U"


# Unlike those of StrEnum, members have a str of their own.
class Mood(str, Enum):  # noqa: UP042
    GOOD = "pos"
    GREY = "neu"
    GRIM = "neg"


def test_members_of_a_string_enumeration_are_their_values():
    assert array(list(Mood)).tolist() == ["pos", "neu", "neg"]
    assert array([[Mood.GOOD, Mood.GRIM]] * 3).tolist() == [["pos", "neg"]] * 3
    assert array(list(Mood)).dtype.kind == "U"
    assert array(["pos", *list(Mood)[1:]]).tolist() == ["pos", "neu", "neg"]
    # Where others are beside them, nobody may make strings of the members later.
    mixed = [Mood.GOOD, None, 1]
    for values in (mixed, np.array(mixed, dtype=object), pd.Series(mixed, dtype=object)):
        found = array(values)
        assert found.dtype == object
        assert found.tolist() == ["pos", None, 1]
        assert type(found[0]) is str


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy is older than 2")
def test_numpys_strings_of_any_length():
    found = array(np.array(["a", "bcd", "e"], dtype=np.dtypes.StringDType()))
    assert found.dtype == object
    assert found.tolist() == ["a", "bcd", "e"]


@pytest.mark.parametrize(
    "values",
    [
        (1, 2, 3),
        range(1, 4),
        np.array([1, 2, 3]),
        np.ma.array([1, 2, 3]),
        pd.Series([1, 2, 3], index=[5, 5, 5]),
        pd.Series([1, 2, 3], dtype="Int64"),
        pl.Series([1, 2, 3]),
        pa.array([1, 2, 3]),
        pa.chunked_array([[1], [2, 3]]),
    ],
)
def test_containers_of_numbers(values):
    np.testing.assert_array_equal(as_numbers("y", array(values), "numbers"), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "values",
    [
        np.eye(3),
        sparse.csr_matrix(np.eye(3)),
        sparse.coo_array(np.eye(3)),
        sparse.dok_array(np.eye(3)),
        pd.DataFrame(np.eye(3)),
        pl.DataFrame(np.eye(3)),
        pa.table({str(i): column for i, column in enumerate(np.eye(3))}),
        np.eye(3).tolist(),
    ],
)
def test_tables(values):
    np.testing.assert_array_equal(array(values), np.eye(3))


def test_columns_of_a_frame_keep_their_types():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert array(frame).tolist() == [[1, "x"], [2, "y"], [3, "z"]]


@pytest.mark.parametrize(
    "values", ["abc", b"abc", 3, None, {1, 2, 3}, {1: 2}, iter([1, 2, 3]), np.array(3), list, max]
)
def test_what_is_no_array(values):
    message = f"y is a {type(values).__name__}. Accepted: one label for each text."
    with pytest.raises(TypeError, match=re.escape(message)):
        array(values)


def test_what_is_ragged_masked_or_of_another_length():
    with pytest.raises(ValueError, match=r"y is no array .*inhomogeneous.*Accepted: one label"):
        array([[1], [1, 2], [3]])
    with pytest.raises(ValueError, match="y has values that are masked"):
        array(np.ma.array([1, 2, 3], mask=[0, 1, 0]))
    with pytest.raises(ValueError, match=r"X has 3 texts and y has 2 labels\. Accepted: one"):
        array([1, 2])
    # Without looking at what is in it.
    with pytest.raises(ValueError, match="y has 1000000000000 labels"):
        array(range(10**12))
    with pytest.raises(ValueError, match="X_val has 3 texts and y_val has 1 numbers"):
        as_array("y_val", [1], 3, "numbers", "numbers")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False], [1.0, 0.0]),
        ([Decimal("0.5"), None], [0.5, np.nan]),
        (pd.array([1, pd.NA]), [1.0, np.nan]),
    ],
)
def test_numbers_of_other_kinds(values, expected):
    found = as_numbers("y", np.asarray(values), "numbers")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "values",
    [["1", "2"], [b"1"], [1j], ["a", 1], [10**400], [[], {}], np.array(["2020"], "datetime64[Y]")],
)
def test_no_numbers(values):
    given = np.array(values, dtype=object if len(values) > 1 else None)
    with pytest.raises(ValueError, match=r"y has values that are no numbers.*Accepted: numbers\."):
        as_numbers("y", given, "numbers")


@pytest.mark.parametrize(
    "weights", ["abc", [1, 2], [[1], [2], [3]], [1, -1, 1], [0, 0, 0], [1, None, 1], ["1"] * 3]
)
def test_bad_weights(weights):
    with pytest.raises((TypeError, ValueError), match=r"sample_weight .*Accepted: one finite num"):
        check_sample_weight("sample_weight", weights, 3)


def test_good_weights():
    assert check_sample_weight("sample_weight", None, 3) is None
    assert check_sample_weight("sample_weight", pl.Series([0, 1, 2]), 3).tolist() == [0, 1, 2]
