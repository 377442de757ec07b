import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.metrics.pairwise import cosine_similarity

from sklearn_bert.comparison import duplicates
from sklearn_bert.comparison.duplicates import SIMILARITY, find_duplicates
from sklearn_bert.datasets import load_sample_reviews

LONG = "The delivery of order {} was late, and nobody at the counter could tell me why it was so."


def found(texts, folds, y=None):
    y = np.zeros(len(texts), dtype=int) if y is None else np.array(y)
    return find_duplicates(texts, y, np.array(folds))


def test_the_same_text_counts_in_another_fold_only():
    # Case, width and white space do not tell texts apart.
    result = found(["A  film", "ａ Film", "B", "B", "C"], [0, 1, 0, 0, 1])
    assert result.exact.tolist() == [True, True, False, False, False]
    assert not result.near.any()


def test_nearly_the_same_text():
    texts = [LONG.format(17), LONG.format(18), "Something else altogether, in short."]
    result = found(texts, [0, 1, 0], y=[0, 1, 1])
    assert result.near.tolist() == [True, True, False]
    assert not result.exact.any()
    (pair,) = result.pairs
    assert pair["rows"] == (0, 1)
    assert pair["folds"] == (0, 1)
    assert SIMILARITY <= pair["similarity"] < 1
    assert not pair["same_label"]
    assert not found(texts, [1, 1, 0]).near.any()


def test_a_near_duplicate_of_a_duplicate():
    texts = [LONG.format(17), LONG.format(17), LONG.format(18)]
    result = found(texts, [0, 1, 1])
    assert result.exact.tolist() == [True, True, False]
    # The third has its near-duplicate in fold 0.
    assert result.near.tolist() == [False, False, True]


def test_contradictions():
    assert found(["a b", "A b", "c", "c"], [0, 0, 0, 1], y=[0, 1, 1, 1]).n_contradictions == 1


def test_characters_that_no_encoding_has():
    assert found(["cut \ud83d", "other", "cut \ud83d"], [0, 0, 1]).exact.tolist() == [
        True,
        False,
        True,
    ]


def test_pairs_and_empty_texts():
    result = found([("", ""), ("a", "b"), ("a", "b")], [0, 1, 0])
    assert result.exact.tolist() == [False, True, True]


@pytest.mark.parametrize("entries", [1, 50, 10**6])
def test_all_near_duplicates_are_found_whatever_the_blocks(entries, monkeypatch):
    """Against comparing all with all."""
    monkeypatch.setattr(duplicates, "_BLOCK_ENTRIES", entries)
    random = np.random.default_rng(0)
    texts = list(dict.fromkeys(load_sample_reviews().data))[:60]
    for text in texts[:40]:
        letters = list(text)
        letters[random.integers(len(letters))] = "x"
        texts.append("".join(letters))
    texts = list(dict.fromkeys(texts))
    pairs = [
        (one, other)
        for a, b, _ in duplicates._alike(texts)
        for one, other in zip(a, b, strict=True)
    ]
    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=2**20, alternate_sign=False
    )
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(vectorizer.transform(texts))
    expected = np.argwhere(np.triu(cosine_similarity(weighted) >= SIMILARITY, k=1))
    assert len(expected) > 10
    assert sorted(pairs) == sorted(map(tuple, expected))


def test_memory_is_bounded_by_looking_at_the_first_characters(monkeypatch):
    one, *_, other = load_sample_reviews().data[:300]
    texts = [f"{LONG.format(17)} {text * 2}" for text in (one, other)]
    assert not found(texts, [0, 1]).near.any()
    monkeypatch.setattr(duplicates, "_CHARACTERS", 1)
    assert found(texts, [0, 1]).near.all()


@pytest.mark.parametrize(
    ("lengths", "characters", "each"),
    [
        # Nothing is cut that fits, however long one is.
        ([100] * 9 + [5000], 5900, 5000),
        ([100] * 9 + [5000], 5899, 4999),
        # What the shorter ones leave is for the longer ones.
        ([70, 300, 500, 900], 1000, 315),
        ([900, 70, 500, 300], 969, 299),
        ([500, 500], 1, 60),
        ([0], 10, 0),
    ],
)
def test_only_as_much_is_cut_as_has_to_be(lengths, characters, each, monkeypatch):
    monkeypatch.setattr(duplicates, "_CHARACTERS", characters)
    assert duplicates._looked_at(np.array(lengths)) == each
    if each > 60:
        assert np.minimum(lengths, each).sum() <= characters
        assert each == max(lengths) or np.minimum(lengths, each + 1).sum() > characters


def test_long_texts_among_short_ones_are_looked_at_as_a_whole(monkeypatch):
    """Two that begin alike are no near-duplicates where all characters are looked at."""
    monkeypatch.setattr(duplicates, "_CHARACTERS", 20_000)
    one, *_, other = load_sample_reviews().data[:300]
    begun = [f"{LONG.format(17)} {text * 2}" for text in (one, other)]
    short = [f"{number}" for number in range(300)]
    assert 20_000 // 302 < len(LONG) < 20_000 - len("".join(short))
    assert not found([*begun, *short], [0, 1] * 151).near.any()
