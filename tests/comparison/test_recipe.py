import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
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
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_code_makes_the_estimator(estimator):
    made = made_by(code_of(estimator))
    assert type(made) is type(estimator)
    assert params(made) == params(estimator)


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
