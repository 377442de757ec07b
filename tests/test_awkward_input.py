"""Hostile and awkward input: an answer as for a plain list, or an error that says what is accepted.

Nothing is refused from within torch or tokenizers, where no message could name a parameter, and
nothing hangs. The slow forms of the tests look at many more examples.
"""

import collections
import contextlib
import enum
import faulthandler
import itertools
import re
import traceback
import warnings
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from huggingface_hub import constants
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.utils import get_tags

import sklearn_bert
from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from sklearn_bert.errors import ModelNotFoundError, TrainingDivergedError
from tests.parameters import parameters_of, regressors_are_slow
from tests.text_adapters import SINGLE_TEXTS

_TRAINING = {"freeze": "all", "max_epochs": 1, "random_state": 0}
# A new estimator joins by a line: what makes a fit quick.
ESTIMATORS = {
    BertFeaturizer: {},
    BertFineTuneClassifier: _TRAINING,
    BertFineTuneRegressor: _TRAINING,
    BertMaskedLM: _TRAINING | {"chunk_length": 24},
}
# What is said of each text.
OF_EACH = ["transform", "predict", "predict_proba", "decision_function"]
METHODS = [*OF_EACH, "score", "perplexity", "fill_mask"]
TEXTS = ["the film is good", "bad", "a dull story", ""]
Y = [0, 1, 1, 0]
CHECKS = [Path(module.__file__).parent for module in (sklearn_bert, sklearn, np)]
SAYS_WHAT_TO_DO = re.compile("Accepted|Pass |Drop |Expected|requires")
FIXED = settings(derandomize=True, deadline=None, database=None)
# Far more than any example takes: what takes longer hangs.
HANGS = 240


def examples(few, many):
    """Run a test with few examples, and as a slow one with many."""
    return pytest.mark.parametrize("n", [few, pytest.param(many, marks=pytest.mark.slow)])


@pytest.fixture(scope="module", autouse=True)
def _nowhere(tmp_path_factory):
    """Have no network, an empty working folder for names that become paths, and no warnings."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.chdir(tmp_path_factory.mktemp("nowhere"))
        yield


@pytest.fixture(autouse=True)
def _quiet(_nowhere):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def make(saved_model):
    """Return a function that makes a quick exact estimator."""

    def made(estimator, **parameters):
        settings = {"model": saved_model("bert"), "precision": "float32", "device": "cpu"}
        return estimator(**(settings | ESTIMATORS[estimator] | parameters))

    return made


@pytest.fixture(scope="module")
def fitted(make):
    whole_words = {"whole_word_masking": True, "word_segmenter": str.split}
    every = [make(estimator) for estimator in ESTIMATORS]
    return [estimator.fit(TEXTS, Y) for estimator in [*every, make(BertMaskedLM, **whole_words)]]


@contextlib.contextmanager
def no_hang():
    """End the run, and show where it is, if what is inside does not end."""
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def refusal(call, name):
    """Return the error of a call that names a parameter and comes from a check, or None."""
    __tracebackhide__ = True
    try:
        with no_hang():
            call()
    except (ValueError, TypeError) as error:
        found = error
    else:
        return None
    assert re.search(rf"\b{name}\b", str(found)), f"{name} is not named: {found}"
    assert SAYS_WHAT_TO_DO.search(str(found)), f"it says not what to do: {found}"
    assert len(str(found)) < 2000
    *_, (frame, _) = traceback.walk_tb(found.__traceback__)
    raised_in = Path(frame.f_code.co_filename)
    assert any(raised_in.is_relative_to(folder) for folder in CHECKS), raised_in
    return found


def assert_refused(call, name):
    __tracebackhide__ = True
    assert refusal(call, name) is not None, "it was accepted"


def answers(estimators, X):
    """Return what each method of each estimator says of texts."""
    return [
        scored(estimator, X) if method == "score" else answered(estimator, method, X)
        for estimator in estimators
        for method in methods_of_texts(estimator)
    ]


def methods_of_texts(estimator):
    """Return the names of the methods that answer any texts, without labels."""
    of_all = [] if get_tags(estimator).target_tags.required else ["score"]
    return [name for name in OF_EACH + of_all if hasattr(estimator, name)]


def answered(estimator, method, X):
    """Return what a method says of each text."""
    with no_hang():
        return getattr(estimator, method)(X)


def scored(estimator, X):
    """Return the score for each text; 0, which none is, if it is refused as there is no word."""
    found = []
    error = refusal(lambda: found.append(estimator.score(X)), "X")
    if error is not None:
        assert "has no token that could be masked" in str(error)
    return np.full(len(X), *(found or [0.0]))


def assert_answers(estimators, X, texts):
    """Check that `X` gives the finite answers that a plain list of the texts gives."""
    __tracebackhide__ = True
    expected = answers(estimators, texts)
    for found, of_list in zip(answers(estimators, X), expected, strict=True):
        assert len(found) == len(texts)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, of_list, rtol=1e-5, atol=1e-5)


class Loud(str):
    """A str that says something else of itself."""

    def __str__(self):
        return "LOUD"


class Colour(str, enum.Enum):  # noqa: UP042
    GOOD = "good film"


class Pair(collections.namedtuple("Pair", "first second")):
    pass


CONTENTS = [
    *[
        "",
        " ",
        "\t\n\r\u2028\u00a0",
        "x",
        ".",
        "\0",
        "a\0b",
        "\x01\x1b[31m\x7f",
        "\ufeff",
        "\u200d",
    ],
    *["שלום עולם", "\u202eabc\u202c", "e\u0301\u0302\u0303", "\u0301", "a" + "\u0308" * 300],
    *["👩‍👩‍👧‍👦", "🏳️‍🌈" * 40, "\U0010ffff", "\ufffe", "\ud800", "\udfff\ud800", "a\udc80b"],
    *["[SEP]", "[CLS] [SEP] [PAD] [MASK]", "<s>", "</s><pad>", "[UNK]", "##ful", "▁the", "Ġthe"],
    *[
        "%s %d {}",
        "{{x}}",
        "'; DROP TABLE entries; --",
        "nan",
        "None",
        "ﬀ Ⅷ ㎏",
        "ß İ ı",
        "房间" * 99,
    ],
]
LONG = ["x" * 100_000, "film " * 20_000, "\u0301" * 100_000, "." * 100_000, "房" * 100_000]
any_text = st.sampled_from(CONTENTS) | st.text(st.characters(exclude_categories=()), max_size=40)
some_texts = st.lists(any_text, min_size=1, max_size=4)


def odd_index(n):
    return [None, "a", "a", 2.5, ("x", 1)][:n] + [0] * max(0, n - 5)


def column(texts):
    return np.array(texts, dtype=object)[:, None]


CONTAINERS = {
    "tuple": tuple,
    "deque": collections.deque,
    "UserList": collections.UserList,
    "1-tuples": lambda texts: [(text,) for text in texts],
    "np.str_": lambda texts: [np.str_(text) if text[-1:] != "\0" else text for text in texts],
    "subclasses of str": lambda texts: [Loud(text) for text in texts],
    "array of objects": lambda texts: np.array(texts, dtype=object),
    "array of U": lambda texts: np.array([*texts, "x"])[:-1],
    "reversed view": lambda texts: np.array(texts[::-1], dtype=object)[::-1],
    "column": column,
    "masked array": lambda texts: np.ma.array(np.array(texts, dtype=object)),
    "Series": lambda texts: pd.Series(texts, dtype=object),
    "Series, odd index": lambda texts: pd.Series(texts, odd_index(len(texts)), dtype=object),
    "Series of string": lambda texts: pd.Series(texts, dtype="string"),
    "Series of category": lambda texts: pd.Series(texts, dtype=object).astype("category"),
    "Series of pyarrow": lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.string())),
    "Index": lambda texts: pd.Index(texts, dtype=object),
    "DataFrame": lambda texts: pd.DataFrame({"a": pd.Series(texts, dtype=object)}),
    "polars Series": lambda texts: pl.Series(texts, dtype=pl.String),
    "polars categorical": lambda texts: pl.Series(texts, dtype=pl.String).cast(pl.Categorical),
    "polars DataFrame": lambda texts: pl.DataFrame({"a": texts}, schema={"a": pl.String}),
    "pyarrow array": lambda texts: pa.array(texts, pa.string()),
    "pyarrow large": lambda texts: pa.array(texts, pa.large_string()),
    "pyarrow dictionary": lambda texts: pa.array(texts, pa.string()).dictionary_encode(),
    "pyarrow chunks": lambda texts: pa.chunked_array([texts[:1], texts[1:]], pa.string()),
    "pyarrow Table": lambda texts: pa.table({"a": pa.array(texts, pa.string())}),
    "pyarrow RecordBatch": lambda texts: pa.RecordBatch.from_pydict(
        {"a": pa.array(texts, pa.string())}
    ),
}
if hasattr(np.dtypes, "StringDType"):
    CONTAINERS["array of StringDType"] = lambda texts: np.array(
        texts, dtype=np.dtypes.StringDType()
    )


def columns(pairs):
    return {"one": [pair[0] for pair in pairs], "two": [pair[1] for pair in pairs]}


PAIR_CONTAINERS = {
    "tuple of tuples": tuple,
    "named tuples": lambda pairs: [Pair(*pair) for pair in pairs],
    "array": lambda pairs: np.array(pairs, dtype=object),
    "DataFrame": lambda pairs: pd.DataFrame(columns(pairs), odd_index(len(pairs)), dtype=object),
    "same names": lambda pairs: pd.DataFrame(pairs, columns=["a", "a"], dtype=object),
    "polars": lambda pairs: pl.DataFrame(columns(pairs), {"one": pl.String, "two": pl.String}),
    "pyarrow": lambda pairs: pa.table(
        columns(pairs), pa.schema({n: "string" for n in columns([])})
    ),
}


def contained(container, texts):
    """Put texts into a container, or give up on texts that it can't hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return container(texts)
    except Exception:  # whatever other libraries say of lone surrogates
        reject()


def held(X, texts):
    """Return the texts that NumPy's fixed-width arrays hold, which lose NULs at the end."""
    fixed = isinstance(X, np.ndarray) and X.dtype.kind == "U"
    return [text.rstrip("\0") for text in texts] if fixed else texts


@examples(150, 4_000)
def test_any_text_in_any_container_is_answered_as_in_a_list(n, fitted):
    @settings(FIXED, max_examples=n)
    @given(some_texts, st.sampled_from(sorted(CONTAINERS)))
    def check(texts, name):
        X = contained(CONTAINERS[name], texts)
        assert_answers(fitted, X, held(X, texts))

    check()


@examples(75, 2_000)
def test_any_pair_in_any_container_is_answered_as_in_a_list(n, make):
    pairs = [(text, text) for text in TEXTS]
    taking_pairs = [estimator for estimator in ESTIMATORS if estimator not in SINGLE_TEXTS]
    fitted = [make(estimator).fit(pairs, Y) for estimator in taking_pairs]

    @settings(FIXED, max_examples=n)
    @given(
        st.lists(st.tuples(any_text, any_text), min_size=1, max_size=3),
        st.sampled_from(sorted(PAIR_CONTAINERS)),
    )
    def check(texts, name):
        assert_answers(fitted, contained(PAIR_CONTAINERS[name], texts), texts)

    check()


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_fit_on_any_container_is_that_on_a_list(name, make):
    texts = [*TEXTS, "שלום", "👩‍👩‍👧‍👦", "a\tb", "[SEP]"]
    for estimator in ESTIMATORS:
        from_list = make(estimator).fit(texts, Y * 2)
        found = make(estimator).fit(CONTAINERS[name](texts), pd.Series(Y * 2, odd_index(8)))
        for one, other in zip(answers([found], texts), answers([from_list], texts), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "deberta-v3", "modernbert"])
@pytest.mark.parametrize("long_text", ["truncate", "chunk"])
def test_any_content_has_a_vector_whatever_the_company(family, long_text, make, saved_model):
    featurizer = make(BertFeaturizer, model=saved_model(family), long_text=long_text)
    texts = CONTENTS + (LONG if long_text == "truncate" else [text[:3000] for text in LONG])
    with no_hang():
        vectors = featurizer.transform(texts)
    assert vectors.shape == (len(texts), 32)
    assert np.isfinite(vectors).all()
    sklearn_bert.cache.clear()
    for text, vector in zip(texts[::5], vectors[::5], strict=True):
        np.testing.assert_allclose(featurizer.transform([text])[0], vector, atol=5e-5)


def test_a_string_enum_is_the_text_that_it_holds(fitted):
    assert_answers(fitted, [Colour.GOOD, "x"], ["good film", "x"])


NO_TEXTS = {
    "a string": lambda: "the film",
    "an np.str_": lambda: np.str_("the film"),
    "bytes": lambda: b"the film",
    "a bytearray": lambda: bytearray(b"film"),
    "a memoryview": lambda: memoryview(b"film"),
    "None": lambda: None,
    "an integer": lambda: 5,
    "a float": lambda: float("nan"),
    "a class": lambda: list,
    "a function": lambda: len,
    "an object": object,
    "a dict": lambda: {"a": "b"},
    "an empty dict": dict,
    "a set": lambda: {"a", "b"},
    "keys": lambda: {"a": 1}.keys(),
    "a generator": lambda: (text for text in TEXTS),
    "what never ends": lambda: itertools.repeat("a"),
    "a range": lambda: range(10**15),
    "a list": list,
    "a tuple": tuple,
    "numbers": lambda: [1, 2],
    "lists of words": lambda: [["a", "b"], ["c", "d"]],
    "a ragged list": lambda: [["a"], ["b", "c"]],
    "tuples and texts": lambda: [("a", "b"), "c"],
    "ragged tuples": lambda: [("a", "b"), ("c",)],
    "empty tuples": lambda: [(), ()],
    "triples": lambda: [("a", "b", "c")],
    "tuples of tuples": lambda: [(("a", "b"), "c")],
    "dicts": lambda: [{"text": "a"}],
    "a 0-d array": lambda: np.array("a"),
    "a 0-d array of objects": lambda: np.array(None),
    "an empty array": lambda: np.array([], dtype=object),
    "an empty array of floats": lambda: np.array([]),
    "no columns": lambda: np.empty((3, 0), dtype=object),
    "no rows": lambda: np.empty((0, 2), dtype=object),
    "three columns": lambda: np.full((2, 3), "a"),
    "three dimensions": lambda: np.full((2, 2, 2), "a"),
    "a matrix": lambda: np.matrix([["a"], ["b"]]),
    "masked texts": lambda: np.ma.array(["a", "b"], mask=[True, False]),
    "masked pairs": lambda: np.ma.array([["a", "b"]], mask=[[True, False]]),
    "records": lambda: np.array([("a", 1)], dtype=[("text", "U1"), ("number", int)]),
    "an array of bytes": lambda: np.array([b"a"]),
    "an array of numbers": lambda: np.eye(2),
    "an array of dates": lambda: np.array(["2020"], dtype="datetime64[Y]"),
    "an array of lists": lambda: np.array([["a"], None], dtype=object),
    "a sparse matrix": lambda: sparse.csr_matrix(np.eye(2)),
    "a sparse array": lambda: sparse.coo_array(np.eye(2)),
    "a tensor": lambda: torch.eye(2),
    "a Series of numbers": lambda: pd.Series([1, 2]),
    "a Series of bytes": lambda: pd.Series([b"a"]),
    "a Series of lists": lambda: pd.Series([["a"]]),
    "a Series with NA": lambda: pd.Series(["a", None], dtype="string"),
    "a category with NaN": lambda: pd.Series(["a", None], dtype="category"),
    "a Series of dates": lambda: pd.Series(pd.to_datetime(["2020", None])),
    "an empty Series": lambda: pd.Series([], dtype=str),
    "a MultiIndex": lambda: pd.MultiIndex.from_tuples([("a", "b")]),
    "an empty DataFrame": pd.DataFrame,
    "a DataFrame without columns": lambda: pd.DataFrame(index=[1, 2]),
    "a DataFrame of three": lambda: pd.DataFrame([["a", "b", "c"]]),
    "a DataFrame with numbers": lambda: pd.DataFrame({"text": ["a"], "number": [1]}),
    "a polars null": lambda: pl.Series(["a", None]),
    "a polars struct": lambda: pl.Series([{"a": "b"}]),
    "a LazyFrame": lambda: pl.LazyFrame({"a": ["b"]}),
    "a polars DataFrame of three": lambda: pl.DataFrame({"a": ["x"], "b": ["x"], "c": ["x"]}),
    "an empty polars DataFrame": pl.DataFrame,
    "a pyarrow scalar": lambda: pa.scalar("a"),
    "a pyarrow null": lambda: pa.array(["a", None]),
    "pyarrow bytes": lambda: pa.array([b"a"]),
    "pyarrow lists": lambda: pa.array([["a"]]),
    "pyarrow structs": lambda: pa.array([{"a": "b"}]),
    "an empty Table": lambda: pa.table({}),
    "a path": lambda: Path("texts.txt"),
    "Ellipsis": lambda: ...,
}
if hasattr(np.dtypes, "StringDType"):
    NO_TEXTS["a StringDType with NaN"] = lambda: np.array(
        ["a", np.nan], dtype=np.dtypes.StringDType(na_object=np.nan)
    )


@pytest.mark.parametrize("kind", NO_TEXTS)
def test_what_holds_no_texts_is_refused_by_every_method(kind, make, fitted):
    for estimator in ESTIMATORS:
        assert_refused(lambda e=estimator: make(e).fit(NO_TEXTS[kind](), Y), "X")
    for estimator, method in itertools.product(fitted, METHODS):
        if hasattr(estimator, method):
            more = (Y,) if method == "score" else ()
            call = getattr(estimator, method)
            assert_refused(lambda call=call, more=more: call(NO_TEXTS[kind](), *more), "X")
    validated = [(BertFineTuneClassifier, {"y_val": Y}), (BertMaskedLM, {})]
    for estimator, y_val in validated if NO_TEXTS[kind]() is not None else ():
        call = make(estimator).fit
        more = {"X_val": NO_TEXTS[kind](), **y_val}
        assert_refused(lambda call=call, more=more: call(TEXTS, Y, **more), "X_val")


no_text = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.binary(max_size=5),
    st.lists(any_text, max_size=2),
    st.sets(any_text, max_size=2),
    st.dictionaries(any_text, any_text, max_size=1),
    st.sampled_from(
        [pd.NA, pd.NaT, np.nan, np.float32("nan"), np.datetime64("NaT"), object(), str]
    ),
    st.builds(np.array, any_text),
)


@examples(250, 4_000)
def test_an_item_that_is_no_text_is_named_by_its_position(n, fitted):
    containers = {
        "list": list,
        "tuple": tuple,
        "array": lambda items: _object_array(items),
        "Series": lambda items: pd.Series(_object_array(items), dtype=object),
        "DataFrame": lambda items: pd.DataFrame({"a": _object_array(items)}, dtype=object),
        "first of a pair": lambda items: [(item, "x") for item in items],
        "second of a pair": lambda items: [("x", item) for item in items],
    }

    @settings(FIXED, max_examples=n)
    @given(some_texts, no_text, st.sampled_from(sorted(containers)), st.data())
    def check(texts, wrong, name, data):
        position = data.draw(st.integers(0, len(texts)))
        X = containers[name]([*texts[:position], wrong, *texts[position:]])
        for estimator in fitted:
            call = getattr(estimator, methods_of_texts(estimator)[0])
            error = refusal(lambda call=call: call(X), "X")
            assert re.search(rf"position\(s\) {position}\b", str(error))

    check()


def _object_array(items):
    array = np.empty(len(items), dtype=object)
    for number, item in enumerate(items):
        array[number] = item
    return array


BAD_TARGETS = {
    "None": None,
    "a string": "abcd",
    "bytes": b"abcd",
    "a number": 5,
    "a set": {0, 1, 2, 3},
    "a dict": {0: 1, 1: 0, 2: 1, 3: 0},
    "a class": list,
    "a 0-d array": np.array(1),
    "too few": [0, 1],
    "none at all": [],
    "far too many": range(10**12),
    "ragged": [[0], [0, 1], [1], [0]],
    "NaN": [0, 1, float("nan"), 1],
    "None among them": [0, None, 1, 1],
    "NA": pd.Series([0, 1, None, 1], dtype="Int64"),
    "null": pl.Series([0, 1, None, 1]),
    "masked": np.ma.array([0, 1, 0, 1], mask=[0, 0, 0, 1]),
    "infinite": [0, 1, float("inf"), 1],
    "a column of complex": [[0], [0], [0], [1j]],
    "complex": [1j, 0, 1, 0],
    "bytes in a list": [b"a", b"b", b"a", b"b"],
    "mixed": ["a", 1, "a", 1],
    "missing among strings": ["a", float("nan"), "b", "a"],
    "tuples": [("a",), ("b", "c"), ("a",), ("b",)],
    "dicts": [{}, {}, {}, {}],
    "objects": [object()] * 4,
    "no columns": np.empty((4, 0)),
    "three dimensions": np.zeros((4, 2, 2)),
    "records": np.zeros(4, dtype=[("a", int), ("b", int)]),
    "a huge sparse matrix": sparse.coo_array((10**9, 10**9)),
}
OF_TASK = {
    BertFineTuneClassifier: {
        "fractions": [0.5, 1.5, 2.0, 0.5],
        "one class": ["a"] * 4,
        "one class in a column": [["a", "x"], ["b", "x"], ["a", "x"], ["b", "x"]],
        "a column of all that is missing": [["a", None], ["b", None], ["a", None], ["b", None]],
        "big integers": [2**100, 1, 1, 2**100],
        "dates": [date(2020, 1, 1), date(2020, 1, 2)] * 2,
        "an array of dates": np.array(["2020", "2021"] * 2, dtype="datetime64[D]"),
        "dates in two columns": np.array([["2020", "2021"]] * 4, dtype="datetime64[ns]"),
        "durations": np.array([1, 2] * 2, dtype="timedelta64[s]"),
        "mixed in a column": [["a", 1], ["b", "x"], ["a", 1], ["b", "x"]],
        "fractions in a column": [[0, 0.5], [1, 0.1], [0, 0.7], [1, 0.2]],
    },
    BertFineTuneRegressor: {
        "strings": ["a", "b", "c", "d"],
        "numbers as strings": ["1", "2", "3", "4"],
        "dates": np.array(["2020"] * 4, dtype="datetime64[D]"),
        "big integers": [10**400, 1, 2, 3],
    },
}
TARGETS = [
    (estimator, kind, y)
    for estimator, more in OF_TASK.items()
    for kind, y in (BAD_TARGETS | more).items()
]


@pytest.mark.parametrize(
    ("estimator", "y"), [pytest.param(e, y, id=f"{e.__name__}-{kind}") for e, kind, y in TARGETS]
)
def test_bad_targets_are_refused(estimator, y, make):
    assert_refused(lambda: make(estimator).fit(TEXTS, y), "y")
    if y is not None:
        call = make(estimator).fit
        y_val = refusal(lambda: call(TEXTS, Y, X_val=TEXTS, y_val=y), "y_val")
        assert y_val is not None or len(np.unique(y)) == 1


@pytest.mark.parametrize("kind", BAD_TARGETS)
def test_bad_targets_are_refused_by_score(kind, make):
    for estimator in OF_TASK:
        scored = make(estimator).fit(TEXTS, Y)
        assert_refused(lambda scored=scored: scored.score(TEXTS, BAD_TARGETS[kind]), "y")


def test_score_takes_labels_of_another_kind_for_wrong_ones(make):
    classifier = make(BertFineTuneClassifier).fit(TEXTS, ["0", "1", "1", "0"])
    predicted = classifier.predict(TEXTS)
    assert classifier.score(TEXTS, predicted) == 1
    assert classifier.score(TEXTS, predicted.astype(int)) == 0
    assert classifier.score(TEXTS, pl.Series(predicted.tolist())) == 1


label = st.one_of(
    st.integers(-2, 2),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=2),
    st.none(),
    st.binary(max_size=2),
    st.dates(),
    st.tuples(st.integers(0, 1)),
    st.sampled_from([np.str_("a"), np.int8(1), np.bool_(True), pd.NA, pd.NaT, Decimal("1"), 1j]),
)
few_labels = st.sets(label, min_size=1, max_size=3).flatmap(
    lambda labels: st.lists(st.sampled_from(sorted(labels, key=repr)), min_size=3, max_size=5)
)
rows = st.lists(st.lists(label, min_size=1, max_size=2), min_size=4, max_size=4)
list_like = st.sampled_from([list, tuple, _object_array, lambda y: pd.Series(y, dtype=object)])


@examples(300, 4_000)
def test_any_targets_are_learnt_or_refused(n, make):
    @settings(FIXED, max_examples=n)
    @given(few_labels | rows, list_like, st.sampled_from(sorted(OF_TASK, key=str)))
    def check(y, container, estimator):
        y = container(y)
        learner = make(estimator)
        if refusal(lambda: learner.fit(TEXTS, y), "y") is None:
            found = learner.predict(TEXTS)
            assert len(found) == len(TEXTS)
            learner.score(TEXTS, found)
            if estimator is BertFineTuneRegressor:
                assert np.isfinite(found).all()
            elif found.ndim == 1:
                assert set(found.tolist()) <= set(np.asarray(y, dtype=object).ravel().tolist())
                assert np.isfinite(learner.predict_proba(TEXTS)).all()

    check()


WEIGHTS = [
    *["abcd", b"abcd", 5, {1, 2}, {0: 1}, list, [1, 2], [], [[1]] * 4, [[1], [1, 2], [1], [1]]],
    *[["1"] * 4, [None] * 4, [1, None, 1, 1], [float("nan")] * 4, [float("inf")] * 4, [-1] * 4],
    *[[0] * 4, [1j] * 4, [10**400] * 4, np.array(1), range(10**12), [object()] * 4],
    *[np.ma.array([1, 1, 1, 1], mask=[1, 0, 0, 0]), (x for x in [1.0] * 4), pd.Series([pd.NA] * 4)],
]


@pytest.mark.parametrize("number", range(len(WEIGHTS)))
@pytest.mark.parametrize("estimator", OF_TASK)
def test_bad_weights_are_refused(number, estimator, make):
    weights = WEIGHTS[number]
    learner = make(estimator)
    assert_refused(lambda: learner.fit(TEXTS, Y, sample_weight=weights), "sample_weight")
    given_too = {"X_val": TEXTS, "y_val": Y, "sample_weight_val": weights}
    assert_refused(lambda: learner.fit(TEXTS, Y, **given_too), "sample_weight_val")
    learner.fit(TEXTS, Y)
    assert_refused(lambda: learner.score(TEXTS, Y, sample_weight=weights), "sample_weight")


def test_weights_that_leave_nothing_are_refused(make):
    learner = make(BertFineTuneClassifier, class_weight={0: 0, 1: 1})
    assert_refused(lambda: learner.fit(TEXTS, Y, sample_weight=[1, 0, 0, 1]), "sample_weight")


JUNK = [
    *[None, True, False, 0, -1, 1, 2.5, float("nan"), float("inf"), 10**400, -(10**400), 2**63],
    *[Fraction(1, 3), Decimal("0.1"), 1j, 1e308, 1e-320, "", "auto", "junk", "\0", "\ud800", "a b"],
    *["~nobody", "x" * 5000, "/x" * 3000, b"x", [], (), {}, set(), [None], [[1], [1, 2]], ["mean"]],
    *[("a", 1), [("a", 1)], np.array([1, 2]), np.array([]), np.array("mean"), np.float32(0.25)],
    *[np.int64(2), np.bool_(True), np.str_("mean"), object(), int, len, range(3), Path("no")],
    *[{"a": 1}, {0: "x"}, {0: 0, 1: 0}, {0: np.nan}, {0: 10**400}, np.random.default_rng(0), ...],
    *[torch.device("meta"), torch.tensor([1.0, 2.0]), pd.Series([1, 2]), pd.NA, lambda: 0, {"max"}],
]
# No slashes, because a cache is made wherever a path says, and no sizes that take all memory.
plain = st.text(st.characters(exclude_characters="/\\~."), max_size=20)
junk = st.sampled_from(range(len(JUNK))).map(lambda number: JUNK[number]) | st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | plain | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=2),
    max_leaves=4,
)


def try_parameter(make, estimator, name, value):
    """Fit with a value, and check that it is refused or works."""
    if name == "max_epochs" and isinstance(value, int) and value > 3:
        return
    made = make(estimator, **{name: value})
    assert made.get_params(deep=False)[name] is value
    try:
        if refusal(lambda: made.fit(TEXTS, Y), name) is None:
            assert all(np.isfinite(answer).all() for answer in answers([made], TEXTS))
    except ModelNotFoundError:
        assert name in ("model", "revision")
    except TrainingDivergedError:
        assert isinstance(value, (int, float))
        assert abs(value) > 1


@pytest.mark.parametrize(("estimator", "name"), regressors_are_slow(parameters_of(ESTIMATORS)))
def test_junk_for_any_parameter_is_refused_or_works(estimator, name, make):
    for value in JUNK:
        try_parameter(make, estimator, name, value)


@examples(200, 4_000)
def test_any_value_for_any_parameter_is_refused_or_works(n, make):
    @settings(FIXED, max_examples=n)
    @given(st.sampled_from(parameters_of(ESTIMATORS)), junk)
    def check(parameter, value):
        try_parameter(make, *parameter, value)

    check()
