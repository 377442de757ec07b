"""Texts as one sequence: nothing lost, chunks as the model knows them, words kept together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sklearn_bert.encoder.corpus import CorpusTokenizer
from tests.models import FAMILIES, TEXTS

LONG = [*TEXTS, "a [MASK] story </s> [SEP]", *TEXTS]


@pytest.fixture(params=FAMILIES)
def both(request, saved_model):
    """The tokenizer of each family: ours, and as transformers has it."""
    plain = AutoTokenizer.from_pretrained(saved_model(request.param))
    return CorpusTokenizer(plain), plain


def joined(tokenizer, chunks):
    """Return the ids of chunks without the special tokens at their ends."""
    start, end = len(tokenizer.prefix), len(tokenizer.suffix)
    return np.concatenate([chunk.ids[start : len(chunk.ids) - end] for chunk in chunks]).tolist()


@pytest.mark.parametrize("chunk_length", [8, 13, 48])
def test_chunks_hold_every_token_once(chunk_length, both):
    tokenizer, plain = both
    chunks = tokenizer.chunks(tokenizer.corpus(LONG, False), chunk_length)
    of_texts = [plain.encode(text, add_special_tokens=False) for text in LONG]
    expected = []
    for ids in filter(None, of_texts):
        expected += ids if not expected else [plain.sep_token_id, *ids]
    assert joined(tokenizer, chunks) == expected
    *full, last = (len(chunk.ids) for chunk in chunks)
    assert set(full) == {chunk_length}
    assert last <= chunk_length


def test_each_chunk_has_the_ends_of_a_text(both):
    tokenizer, plain = both
    whole = plain.encode("good film")
    inner = plain.encode("good film", add_special_tokens=False)
    assert [*tokenizer.prefix, *inner, *tokenizer.suffix] == whole
    for chunk in tokenizer.chunks(tokenizer.corpus(LONG, False), 9):
        assert chunk.ids[: len(tokenizer.prefix)].tolist() == tokenizer.prefix.tolist()
        assert chunk.ids[-len(tokenizer.suffix) :].tolist() == tokenizer.suffix.tolist()


@pytest.mark.parametrize("whole_words", [False, True])
def test_special_tokens_belong_to_no_word(whole_words, both):
    tokenizer, plain = both
    chunks = tokenizer.chunks(tokenizer.corpus(LONG, whole_words), 11)
    ids = np.concatenate([chunk.ids for chunk in chunks])
    words = np.concatenate([chunk.words for chunk in chunks])
    np.testing.assert_array_equal(words < 0, np.isin(ids, plain.all_special_ids))
    assert not set(tokenizer.ordinary_ids) & set(plain.all_special_ids)
    assert len(tokenizer.ordinary_ids) == len(plain) - len(set(plain.all_special_ids))


def test_without_whole_words_each_token_has_a_number(both):
    tokenizer, _ = both
    words = tokenizer.corpus(LONG, False).words
    assert len(set(words[words >= 0])) == (words >= 0).sum()


def test_words_are_those_of_the_tokenizer(both):
    tokenizer, plain = both
    for text in ("wonderful good films", "naïve café, was it?"):
        ids = plain(text, add_special_tokens=False)
        known = ~np.isin(ids["input_ids"], plain.all_special_ids)
        expected = np.array(ids.word_ids())[known]
        found = tokenizer.corpus([text, text], True)
        words = found.words[: len(known)][known]
        np.testing.assert_array_equal(words[1:] == words[:-1], expected[1:] == expected[:-1])
    assert len(set(found.words)) >= 2 * len(set(expected))


def test_a_segmenter_says_what_chinese_words_are(saved_model):
    tokenizer = CorpusTokenizer(AutoTokenizer.from_pretrained(saved_model("bert-chinese")))
    text = "这部电影 很好看"
    apart = tokenizer.corpus([text], True).words
    assert len(set(apart)) == 7
    together = tokenizer.corpus([text, text], True, lambda _: ["这", "部", "电影", "很", "好看"])
    assert together.words.tolist() == [0, 1, 2, 2, 3, 4, 4, -1, 5, 6, 7, 7, 8, 9, 9]


@pytest.mark.parametrize("family", ["roberta", "albert", "bert"])
def test_a_segmenter_meets_tokens_that_carry_spaces(family, saved_model):
    tokenizer = CorpusTokenizer(AutoTokenizer.from_pretrained(saved_model(family)))
    text = "very good film 店"
    by_segmenter = tokenizer.corpus([text], True, str.split).words
    by_tokenizer = tokenizer.corpus([text], True).words
    np.testing.assert_array_equal(by_segmenter, by_tokenizer)


def test_a_segmenter_that_changes_the_text_is_named(saved_model):
    tokenizer = CorpusTokenizer(AutoTokenizer.from_pretrained(saved_model("bert")))
    with pytest.raises(ValueError, match=r"word_segmenter=.*'Good', which does not follow"):
        tokenizer.corpus(["good film"], True, lambda text: text.title().split())


def test_a_tokenizer_without_a_mask_is_named(saved_model):
    plain = AutoTokenizer.from_pretrained(saved_model("roberta"))
    plain.mask_token = None
    with pytest.raises(ValueError, match=r"model=.*mask token"):
        CorpusTokenizer(plain)


def test_texts_without_tokens_leave_nothing(both):
    tokenizer, _ = both
    corpus = tokenizer.corpus(["", "", ""], False)
    assert len(corpus.ids) == 0
    assert tokenizer.chunks(corpus, 8) == []


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text(max_size=30), min_size=1, max_size=6),
    length=st.integers(8, 48),
    whole=st.booleans(),
)
def test_any_text_is_kept_whole(tiny_tokenizer, texts, length, whole):
    corpus = tiny_tokenizer.corpus(texts, whole)
    chunks = tiny_tokenizer.chunks(corpus, length)
    assert len(corpus.ids) == len(corpus.words)
    assert (joined(tiny_tokenizer, chunks) if chunks else []) == corpus.ids.tolist()
    assert all(len(chunk.ids) <= length for chunk in chunks)


@pytest.fixture(scope="module")
def tiny_tokenizer(saved_model):
    return CorpusTokenizer(AutoTokenizer.from_pretrained(saved_model("bert")))


def test_special_tokens_in_texts_are_split_where_the_tokenizer_says_so():
    tokenizer = FAMILIES["bert"].tokenizer()
    tokenizer.split_special_tokens = True
    text = "[SEP] film [CLS] good"
    corpus = CorpusTokenizer(tokenizer).corpus([text], whole_words=True)
    assert corpus.ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(corpus.ids) > 4
