import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert.serialization import from_json, to_json


@dataclass(frozen=True)
class Point:
    x: object
    y: object


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=10,
)
ARRAYS = [
    np.array(["a", "longer"]),
    np.array([3, 1, 2]),
    np.array([], dtype=np.float32),
    np.array([[0.5, np.nan], [np.inf, -1]]),
    np.array([True, False]),
    np.array(["a", 1, None, 2.5, False], dtype=object),
    np.array([1, 2], dtype=np.uint8),
]


def through_text(value):
    text = json.dumps(to_json(value), allow_nan=False)
    return from_json(json.loads(text), {"Point": Point})


def typed(value):
    """Make values comparable with their types: True equals 1 in Python."""
    if isinstance(value, dict):
        return [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [typed(item) for item in value]
    if isinstance(value, Point):
        return Point, typed([value.x, value.y])
    return type(value), value


@given(VALUES)
def test_values_come_back_with_their_types(value):
    assert typed(through_text(value)) == typed(value)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_come_back_with_their_dtype(array):
    found = through_text(array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_numbers_that_json_does_not_know():
    assert through_text(float("inf")) == float("inf")
    assert np.isnan(through_text(float("nan")))
    assert through_text(np.float32(0.5)) == 0.5
    assert type(through_text(np.int64(3))) is int
    assert through_text(frozenset({"b", "a"})) == frozenset({"a", "b"})


def test_a_range_comes_back_as_a_list():
    assert through_text({"hidden_layer_sizes": range(3, 5)}) == {"hidden_layer_sizes": [3, 4]}


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, lambda: 0, b"bytes", [object()], np.array(["2020"], dtype="M8[Y]")]
)
def test_what_has_no_form_is_said(value):
    with pytest.raises(TypeError, match="has no form in JSON"):
        to_json(value)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "os.system", "fields": {"command": "true"}},
        {"type": "Other", "fields": {}},
        {"type": "array", "dtype": "U1000000000", "items": ["x"]},
        {"type": "array", "dtype": "V8", "items": [1]},
        {"type": "array", "dtype": "int64", "items": ["x"]},
        {"type": "array", "dtype": "int64"},
        {"type": "tuple"},
        {"type": "Point", "fields": {"z": 1}},
        {"type": ["tuple"]},
    ],
)
def test_what_was_never_written_is_refused(content):
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(content, {"Point": Point})
