"""Texts to measure with: distinct, as many as asked for, of the length asked for."""

import pytest

from benchmarks.texts import corpus_texts, texts_of_length
from tests import needs

pytestmark = needs.corpora


def test_a_corpus_has_no_repeats():
    texts, n_made = corpus_texts("sst2")

    assert len(set(texts)) == len(texts) == 6911
    assert n_made == 0
    assert corpus_texts("sst2", 10) == (texts[:10], 0)


def test_where_a_corpus_has_fewer_texts_more_are_made_the_same_each_time():
    own, _ = corpus_texts("imdb")
    texts, n_made = corpus_texts("imdb", 2500)

    assert len(set(texts)) == len(texts) == 2500
    assert n_made == 500
    assert texts[:2000] == own
    assert corpus_texts("imdb", 2500) == (texts, n_made)
    words = [len(text.split()) for text in texts]
    assert sum(words[2000:]) / 500 == pytest.approx(sum(words[:2000]) / 2000, rel=0.1)


@pytest.mark.parametrize("n", [9, 10, 11])
def test_the_mixture_has_as_many_of_each_corpus(n):
    texts, _ = corpus_texts("mixed", n)

    parts = [set(corpus_texts(corpus, n)[0]) for corpus in ("sst2", "emotion", "imdb")]
    counts = [len(part & set(texts)) for part in parts]
    assert sum(counts) == len(texts) == n
    assert max(counts) - min(counts) <= 1


def test_texts_have_almost_the_length_asked_for():
    from transformers import AutoTokenizer

    from benchmarks.embedded import model_folder

    texts, labels, tokens = texts_of_length(50, 32)

    encoded = AutoTokenizer.from_pretrained(model_folder())(texts)["input_ids"]
    lengths = [len(ids) for ids in encoded]
    assert sum(lengths) == tokens
    assert max(lengths) <= 32
    assert min(lengths) > 20
    assert len(set(texts)) == len(labels) == 50
