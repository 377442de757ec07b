import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer, strip_accents_unicode
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_bert.comparison import default_candidates
from sklearn_bert.comparison.recipe import code_of


def made_by(code):
    *lines, last = code.splitlines()
    assert last == "estimator.fit(X, y)"
    namespace = {}
    exec("\n".join(lines), namespace)
    return namespace["estimator"]


def params(estimator):
    """Return what tells two estimators apart; nested ones by their class."""
    return {
        name: type(value) if hasattr(value, "get_params") else value
        for name, value in estimator.get_params(deep=True).items()
        if name != "steps"
    }


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=0.5, class_weight={"a'b": 1.0, 'c"\n': 2.0}),
        make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), "passthrough", LogisticRegression()),
        Pipeline([("words", TfidfVectorizer()), ("linear", LogisticRegression(C=3))]),
        OneVsRestClassifier(LogisticRegression(C=3)),
        make_pipeline(TfidfVectorizer(stop_words=[f"word number {n}" for n in range(200)])),
        LogisticRegression(C=np.logspace(-1, 1, 3)[0], max_iter=np.int64(7), tol=float("inf")),
        TfidfVectorizer(preprocessor=strip_accents_unicode, dtype=np.float32),
        LogisticRegression(class_weight={np.int64(0): np.float32(0.5), "a": (1,)}),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_code_makes_the_estimator(estimator):
    made = made_by(code_of(estimator))
    assert type(made) is type(estimator)
    assert params(made) == params(estimator)


@pytest.mark.parametrize(
    "vocabulary", [np.array(["film", "plot"]), np.array([[0.5, np.nan], [np.inf, 1]], np.float32)]
)
def test_arrays_are_made_again(vocabulary):
    made = made_by(code_of(TfidfVectorizer(vocabulary=vocabulary))).vocabulary
    assert made.dtype == vocabulary.dtype
    np.testing.assert_array_equal(made, vocabulary)


def test_what_no_code_makes_is_to_be_defined_before():
    """A lambda, a class of a function's, and an object that does not say what it is."""

    class Local(LogisticRegression):
        pass

    halve, thing = lambda text: text[: len(text) // 2], object()
    words = TfidfVectorizer(preprocessor=halve, tokenizer=halve, stop_words=thing)
    code = code_of(make_pipeline(words, TfidfVectorizer(preprocessor=len), Local(C=3)))
    before = [line.split(" before: it was ") for line in code.splitlines() if line[0] == "#"]
    assert before == [
        ["# Define preprocessor", f"{halve!r}."],
        ["# Define stop_words", f"{thing!r}."],
        ["# Define preprocessor_2", "<built-in function len>."],
        ["# Define Local", f"{Local!r}."],
    ]
    names = {"preprocessor": halve, "stop_words": thing, "preprocessor_2": len, "Local": Local}
    exec(code.removesuffix("estimator.fit(X, y)"), names)
    made = names["estimator"]
    assert (made[0].preprocessor, made[0].tokenizer, made[0].stop_words) == (halve, halve, thing)
    assert made[1].preprocessor is len
    assert (type(made[2]), made[2].C) == (Local, 3)


class Lines:
    """Prints itself over several lines, as if it was code."""

    def __repr__(self):
        return "Lines(\n\r\x85\u2028raise SystemExit\n\0)" + "\ud800" * 1000


@pytest.mark.parametrize("value", [Lines(), np.array([[Lines()], ["film"]], dtype=object)])
def test_what_is_printed_over_several_lines_becomes_one_comment(value):
    code = code_of(TfidfVectorizer(stop_words=value))
    lines = [line for line in code.splitlines() if "Define stop_words before" in line]
    assert len(code.splitlines()) == 4
    assert len(lines[0]) < 250
    lines[0].encode()
    names = {"stop_words": value}
    exec(code.removesuffix("estimator.fit(X, y)"), names)
    assert names["estimator"].stop_words is value


@pytest.mark.skipif(repr(np.longdouble(3)) == "3.0", reason="NumPy 1 writes it as Python's own")
def test_numbers_that_python_has_none_for_are_to_be_defined_before():
    wide = np.longdouble(3)
    assert f"# Define C before: it was {wide!r}." in code_of(LogisticRegression(C=wide))


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_code_makes_each_default_candidate(saved_model, tmp_path, family):
    candidates = default_candidates(
        ["a film"],
        model=saved_model(family),
        cache=tmp_path,
        device="cpu",
        precision="float32",
        random_state=3,
    )
    for estimator in candidates.values():
        code = code_of(estimator)
        assert len(code.splitlines()) <= 6
        assert params(made_by(code)) == params(estimator)
