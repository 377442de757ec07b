import pytest

from sklearn_bert.comparison import default_candidates
from tests.models import PAIRS

SETTINGS = {"device": "cpu", "precision": "float32"}


def test_words_or_characters(saved_model):
    """By what most letters are, whatever the language of a few texts."""

    def first(texts):
        return next(iter(default_candidates(texts, model=saved_model(), **SETTINGS)))

    assert first(["A good film", "好"]) == "TF-IDF of words"
    assert first(["房间很好，服务也不错", "OK 好"]) == "TF-IDF of characters"
    assert first(["とても良い映画でした"]) == "TF-IDF of characters"
    assert first(["", "!"]) == "TF-IDF of words"


def test_pairs_have_no_tfidf_and_separate_features(saved_model):
    candidates = default_candidates(PAIRS, model=saved_model(), **SETTINGS)
    assert not [name for name in candidates if "TF-IDF" in name]
    (separate,) = [c for name, c in candidates.items() if "each half" in name]
    assert separate[0].pairs == "separate"


@pytest.mark.parametrize(("family", "depths"), [("bert", [-1, "none"]), ("albert", ["none"])])
def test_depths_are_those_that_the_model_has(saved_model, family, depths):
    candidates = default_candidates(["a"], model=saved_model(family), **SETTINGS)
    tuned = [c.freeze for name, c in candidates.items() if name.startswith("fine-tuning")]
    assert tuned == depths


@pytest.mark.parametrize(("n_texts", "epochs"), [(1, 10), (500, 6), (5000, 3)])
def test_few_texts_get_more_epochs(saved_model, n_texts, epochs):
    candidates = default_candidates(["a"] * n_texts, model=saved_model(), **SETTINGS)
    assert candidates["fine-tuning: all layers"].max_epochs == epochs


def test_parameters_are_handed_on(saved_model):
    candidates = default_candidates(
        ["a"], model=saved_model(), max_length=16, cache=None, random_state=5, **SETTINGS
    )
    tuned, featurizer = (
        candidates["fine-tuning: top layer"],
        candidates["features: cls, last layer"][0],
    )
    for estimator in (tuned, featurizer):
        assert (estimator.max_length, estimator.cache) == (16, None)
        assert estimator.model == str(saved_model())
    assert tuned.random_state == 5
