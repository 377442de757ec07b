"""Bad input, each by its message: parameter, value, what is accepted, the remedy."""

import re

import numpy as np
import pytest
from scipy import sparse

from sklearn_bert import BertFeaturizer
from sklearn_bert.validation import are_pairs, check_texts, well_formed

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT],
)
@pytest.mark.parametrize("container", [list, tuple, lambda x: np.array(x, dtype=object), pd.Series])
def test_missing_values_are_counted_and_placed(missing, container):
    X = container(["a", missing, "b", missing])
    message = "X has 2 missing value(s), the first at position(s) 1, 3. Drop these rows, or fill"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_texts(X)


@pytest.mark.parametrize("container", [pl.Series, pa.array, lambda x: pd.Series(x, dtype="string")])
def test_missing_values_of_columnar_libraries(container):
    with pytest.raises(ValueError, match=r"1 missing value\(s\), the first at position\(s\) 1\."):
        check_texts(container(["a", None]))


def test_many_missing_values_show_the_first_positions():
    with pytest.raises(ValueError, match=r"100 missing.*position\(s\) 0, 1, 2, 3, 4, \.\.\.\."):
        check_texts([None] * 100)


def test_a_missing_value_in_a_pair():
    with pytest.raises(ValueError, match=r"X has 1 missing value\(s\).*position\(s\) 1\."):
        check_texts([("a", "b"), ("c", None)])


@pytest.mark.parametrize(
    ("item", "kind", "remedy"),
    [
        (1, "int", "Convert first: str(value)."),
        (1.5, "float", "Convert first: str(value)."),
        (b"bytes", "bytes", "Decode bytes first: text.decode('utf-8')."),
        (["a", "word"], "list", "Join lists of words first: ' '.join(words). Pairs are 2-tuples."),
        (
            {"label": 1, "sentence": "text"},
            "dict",
            "Pass the texts of the items: [item['sentence'] for item in X].",
        ),
    ],
)
def test_items_that_are_no_strings(item, kind, remedy):
    message = f"the first at position(s) 1: X[1]={item!r} is a {kind}. Accepted: a list, tuple"
    with pytest.raises(TypeError, match=re.escape(message)) as error:
        check_texts(["text", item])
    assert str(error.value).endswith(remedy)


@pytest.mark.parametrize(
    "X", [[["a", "b"], ["c", "d"]], pd.Series([["a", "b"]]), pd.Series([("a", "b"), ("c", "d")])]
)
def test_pairs_in_lists_and_in_a_series_say_how_pairs_are_passed(X):
    with pytest.raises(TypeError, match=re.escape("pairs, pass [tuple(pair) for pair in X]; if")):
        check_texts(X)
    assert check_texts([tuple(pair) for pair in X])[0] == ("a", "b")


@pytest.mark.parametrize(
    ("X", "column", "selected"),
    [
        (pd.DataFrame({"text": ["a", "b"], "stars": [5, 4]}), "'stars'", "X['text']"),
        (pd.DataFrame({"stars": [None, 5], "text": ["a", None]}), "'stars'", "X['text']"),
        (pd.DataFrame([["a", 5]]), "1", "X[0]"),
        (pl.DataFrame({"text": ["a"], "stars": [5]}), "'stars'", "X['text']"),
        (pa.table({"text": ["a"], "stars": [5]}), "'stars'", "X['text']"),
        (np.array([["a", 5]], dtype=object), "1", "X[:, 0]"),
        ([(5, "a")], "0", "[pair[1] for pair in X]"),
    ],
)
def test_a_column_beside_the_texts_is_no_half_of_pairs(X, column, selected):
    message = f"read as text pairs, and column {column} has no texts: its first item 5"
    with pytest.raises(TypeError, match=re.escape(message)) as error:
        check_texts(X)
    assert str(error.value).endswith(f"select their column, for example {selected}.")


@pytest.mark.parametrize("half", [b"bytes", ["word"], None])
def test_halves_that_can_become_texts_say_how(half):
    with pytest.raises((TypeError, ValueError), match=r"Decode bytes|Join lists|fill them"):
        check_texts([("a", half)])


@pytest.mark.parametrize("X", [np.arange(3), np.eye(2), np.array([b"a"]), np.array([True])])
def test_arrays_of_other_kinds(X):
    with pytest.raises(TypeError, match=f"X is an array of {re.escape(str(X.dtype))}, not of str"):
        check_texts(X)


@pytest.mark.parametrize("X", [np.eye(2), sparse.csr_matrix(np.eye(2)), sparse.coo_array([[1]])])
def test_vectors_are_told_that_texts_are_wanted(X):
    with pytest.raises(TypeError, match=r"Accepted: .*Pass the texts themselves: no vectorizer"):
        check_texts(X)


@pytest.mark.parametrize(
    "X", ["a text", b"bytes", 5, None, {"a": "b"}, {"a"}, iter(["a"]), object()]
)
def test_what_is_no_container(X):
    with pytest.raises(TypeError, match=f"X is a {type(X).__name__}. Accepted: a list, tuple"):
        check_texts(X)


def test_a_single_text_says_how_to_pass_it():
    with pytest.raises(TypeError, match=re.escape("Pass [text] for a single text.")):
        check_texts("a text")


@pytest.mark.parametrize(
    "X",
    [
        [("a", "b", "c")],
        np.array([["a", "b", "c"]]),
        pd.DataFrame([["a", "b", "c"]]),
        pl.DataFrame({"a": ["x"], "b": ["y"], "c": ["z"]}),
        pa.table({"a": ["x"], "b": ["y"], "c": ["z"]}),
    ],
)
def test_three_columns(X):
    with pytest.raises(ValueError, match=r"X has 3 columns\. Accepted: one column.*Select them"):
        check_texts(X)


def test_three_dimensions():
    with pytest.raises(ValueError, match="X is an array with 3 dimensions"):
        check_texts(np.full((2, 2, 2), "a"))


@pytest.mark.parametrize(
    "X",
    [
        [],
        (),
        np.array([], dtype=object),
        np.empty((0, 2), dtype=object),
        pd.Series([], dtype=str),
        pl.Series([], dtype=pl.String),
        pa.array([], pa.string()),
    ],
)
def test_nothing(X):
    with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1.*an empty string counts"):
        check_texts(X)


@pytest.mark.parametrize(
    "X",
    [
        [("a", "b"), "c"],
        ["c", ("a", "b")],
        [("a", "b"), ("c",)],
        ["c", ()],
        [(), "c"],
    ],
)
def test_pairs_that_are_not_all_pairs(X):
    with pytest.raises(ValueError, match=r"X\[1\]=.* does not match X\[0\].*2-tuple"):
        check_texts(X)


def test_pairs_are_told_from_single_texts():
    assert are_pairs(check_texts([("a", "b")]))
    assert not are_pairs(check_texts(np.array([["a"], ["b"]])))


def test_what_no_encoding_has_is_replaced():
    assert well_formed("很好 ok") == "很好 ok"
    assert well_formed("cut \ud83d") == "cut \ufffd"
    assert well_formed("\ud83d\ude00") == "\U0001f600"


def test_strings_come_out_plain():
    texts = check_texts(np.array(["a", "b"]))
    assert [type(text) for text in texts] == [str, str]
    assert check_texts([np.str_("a")]) == ["a"]
    assert type(check_texts([np.str_("a")])[0]) is str


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pooling": "average"}, "pooling='average' can't be used. Accepted: 'cls', 'mean', 'max'"),
        ({"pooling": ["mean", 3]}, "pooling=3 can't be used. Accepted: 'cls'"),
        (
            {"pooling": ["mean", "cls", "mean"]},
            "can't be used. Accepted: a list without duplicates",
        ),
        ({"layers": [4, -1]}, "layers=[4, -1] can't be used. Accepted: a list without duplicates"),
        ({"pooling": []}, "pooling=[] can't be used. Accepted: one item, or a list"),
        ({"layers": 5}, "layers=5 can't be used. Accepted: 0 (embeddings) to 4 (last layer)"),
        ({"layers": [0, -6]}, "layers=-6 can't be used. Accepted: 0 (embeddings) to 4"),
        ({"layers": "all"}, "layers='all' can't be used. Accepted: an integer, or a list"),
        ({"layers": []}, "layers=[] can't be used. Accepted: one item, or a list"),
        ({"pooling": "pooler", "layers": 2}, "layers=2 can't be used. Accepted: -1 with"),
        (
            {"layer_reduction": "max"},
            "layer_reduction='max' can't be used. Accepted: 'mean'",
        ),
        ({"normalize": "l2"}, "normalize='l2' can't be used. Accepted: True, False"),
        ({"long_text": "split"}, "long_text='split' can't be used. Accepted: 'truncate', 'chunk'"),
        ({"max_length": 49}, "max_length=49 can't be used. Accepted: 5 to 48 tokens, or None"),
        ({"max_length": 0}, "max_length=0 can't be used. Accepted: 5 to 48 tokens, or None"),
        ({"max_length": 20.0}, "max_length=20.0 can't be used. Accepted: 5 to 48 tokens"),
        ({"batch_tokens": 0}, "batch_tokens=0 can't be used. Accepted: 'auto', or a number"),
        ({"batch_tokens": "big"}, "batch_tokens='big' can't be used. Accepted: 'auto', or a"),
        ({"device": "gpu"}, "device='gpu' can't be used. Accepted: 'auto', 'cpu'"),
        ({"precision": "int8"}, "precision='int8' can't be used. Accepted: 'auto', 'float32'"),
        ({"cache": 5}, "cache=5 can't be used. Accepted: 'memory', None, or the path"),
        ({"cache": ""}, "cache='' can't be used. Accepted: 'memory', None, or the path"),
        ({"model": None}, "model=None can't be used. Accepted: a folder, or a name"),
        ({"model": ""}, "model='' can't be used. Accepted: a folder, or a name"),
        ({"verbose": -1}, "verbose=-1 can't be used. Accepted: 0 or 1"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_parameters(parameters, message, method, saved_model):
    estimator = BertFeaturizer(**({"model": saved_model("bert")} | parameters))
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(estimator, method)(["text"])


def test_max_length_beyond_the_model_names_the_remedy(saved_model):
    with pytest.raises(ValueError, match=r"The limit of the model is 48.*long_text='chunk'"):
        BertFeaturizer(saved_model("bert"), max_length=512).fit(["text"])
