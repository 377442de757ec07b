"""Windows, their spans, and batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from sklearn_bert.encoder import tokenization
from sklearn_bert.encoder.tokenization import (
    TextTokenizer,
    batch_size,
    padded_length,
    portions,
)
from tests.models import FAMILIES, PAIRS, TEXTS

TOKENIZERS = {name: FAMILIES[name].tokenizer() for name in ("bert", "roberta", "albert")}


class CountedTokenizer:
    """One of the library that counts the windows it makes."""

    n_windows = 0

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    @classmethod
    def from_str(cls, serialized):
        return cls(Tokenizer.from_str(serialized))

    def encode_batch_fast(self, texts):
        encodings = self.tokenizer.encode_batch_fast(texts)
        CountedTokenizer.n_windows += sum(1 + len(each.overflowing) for each in encodings)
        return encodings


@given(st.sampled_from(list(TOKENIZERS)), st.integers(0, 150), st.integers(7, 40))
def test_chunks_count_each_token_once(name, n_words, max_length):
    tokenizer = TOKENIZERS[name]
    text = " ".join("x" if n % 3 else "good" for n in range(n_words))
    serialized = tokenizer.backend_tokenizer.to_str()
    chunked = TextTokenizer(serialized, max_length, "chunk", tokenizer.pad_token_id, False)
    windows = chunked.windows([text])
    counted = [
        ids[start:stop] for ids, (start, stop) in zip(windows.ids, windows.counted, strict=True)
    ]
    expected = tokenizer(text, truncation=False)["input_ids"]
    np.testing.assert_array_equal(np.concatenate(counted), expected)
    assert windows.lengths.max() <= max_length
    assert not windows.cut.any()


@given(st.lists(st.integers(1, 60), min_size=1), st.integers(1, 300))
def test_batches_cover_all_and_keep_to_the_budget(lengths, budget):
    lengths = np.sort(lengths)[::-1]
    serialized = TOKENIZERS["bert"].backend_tokenizer.to_str()
    tokenizer = TextTokenizer(serialized, 60, "truncate", 0, False)
    start = 0
    while start < len(lengths):
        stop = tokenizer.batch_end(lengths, start, budget)
        assert start < stop <= len(lengths)
        assert stop - start == 1 or (stop - start) * lengths[start] <= budget
        start = stop


@given(st.lists(st.integers(1, 512), min_size=1), st.sampled_from([1, 8]))
def test_large_batches_waste_little(lengths, multiple):
    lengths = np.sort(np.repeat(lengths, 400))[::-1]
    serialized = TOKENIZERS["bert"].backend_tokenizer.to_str()
    tokenizer = TextTokenizer(serialized, 512, "truncate", 0, False, multiple=multiple)
    start = 0
    while start < len(lengths):
        stop = tokenizer.batch_end(lengths, start, 131_072)
        longest = tokenizer.padded_length(int(lengths[start]))
        enough = (stop - start) * longest < 16_384 + longest
        assert enough or lengths[stop - 1] >= 0.9 * lengths[start]
        start = stop


@pytest.mark.parametrize("length", range(1, 200))
def test_lengths_are_a_multiple_or_the_limit(length):
    serialized = TOKENIZERS["bert"].backend_tokenizer.to_str()
    tokenizer = TextTokenizer(serialized, 150, "truncate", 0, False, multiple=8)
    for coarse in (True, False):
        padded = tokenizer.padded_length(min(length, 150), coarse)
        assert min(length, 150) <= padded <= 150
        assert padded % 8 == 0 or padded == 150


@given(st.integers(1, 8192), st.integers(0, 100))
def test_lengths_are_padded_a_little_and_never_beyond_the_limit(length, room):
    padded = padded_length(length, length + room)
    assert length <= padded <= length + room
    assert padded <= 1.07 * length
    assert padded == length or length > 32


def test_few_shapes_occur():
    budget = 2048
    shapes = {(batch_size(n, budget), n) for n in (padded_length(n, 512) for n in range(3, 513))}
    rows = {size * length for size, length in shapes}
    assert max(rows) <= budget
    assert min(rows) >= budget / 2
    assert len(rows) <= budget / 2 / 64 + 1


def test_the_tokenizers_own_side_is_cut():
    tokenizer = TOKENIZERS["bert"]
    serialized = tokenizer.backend_tokenizer.to_str()
    pad_id = tokenizer.pad_token_id
    left = TextTokenizer(serialized, 4, "truncate", pad_id, False, truncation_side="left")
    right = TextTokenizer(serialized, 4, "truncate", pad_id, False)
    text = "the film was good"
    for windows, kept in ((left.windows([text]), "was good"), (right.windows([text]), "the film")):
        np.testing.assert_array_equal(windows.ids[0], tokenizer(kept)["input_ids"])
        assert windows.cut.all()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", FAMILIES)
def test_texts_and_pairs_are_cut_as_the_library_cuts_them(name, side):
    tokenizer = FAMILIES[name].tokenizer()
    tokenizer.add_tokens(["<new>"])
    serialized = tokenizer.backend_tokenizer.to_str()
    library = Tokenizer.from_str(serialized)
    words = ["the", "wonderful", "x", "<new>", tokenizer.sep_token]
    generator = np.random.default_rng(0)
    pairs = [
        tuple(" ".join(generator.choice(words, n)) for n in generator.integers(0, 16, 2))
        for _ in range(30)
    ]
    for max_length in (6, 7, 17):
        library.enable_truncation(max_length, direction=side)
        cutting = TextTokenizer(
            serialized, max_length, "truncate", tokenizer.pad_token_id, True, truncation_side=side
        )
        for texts in (pairs, [first for first, _ in pairs if first]):
            windows = cutting.windows(texts)
            expected = library.encode_batch(texts)
            assert [ids.tolist() for ids in windows.ids] == [each.ids for each in expected]
            assert windows.cut.tolist() == [bool(each.overflowing) for each in expected]
            np.testing.assert_array_equal(windows.counted[:, 1], windows.lengths)
            if texts is pairs:
                types = [row.tolist() for row in windows.type_ids]
                assert types == [each.type_ids for each in expected]


def test_single_texts_have_types_where_they_are_not_all_0():
    tokenizer = FAMILIES["bert"].tokenizer()
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:1 $A:0 [SEP]:0",
        pair="[CLS]:1 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    typed = TextTokenizer(backend.to_str(), 5, "truncate", 0, True)
    found = typed.all_windows(["good", "good film", "good film " * 9])
    assert [row.tolist() for row in found.type_ids] == [[1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert TextTokenizer(backend.to_str(), 5, "truncate", 0, False).windows(["a"]).type_ids is None
    assert text_tokenizer().windows(["good"]).type_ids is None


def test_no_windows_are_made_of_what_is_cut(monkeypatch):
    monkeypatch.setattr(tokenization, "Tokenizer", CountedTokenizer)
    monkeypatch.setattr(CountedTokenizer, "n_windows", 0)
    assert text_tokenizer().windows([("good " * 400, "film " * 400)]).cut.all()
    assert CountedTokenizer.n_windows == 1


@pytest.mark.parametrize("size", [0, 10, 3_000_000, 9_000_000])
def test_portions_cover_all_in_order(size):
    order = np.arange(5000)[::-1] if size < 1000 else np.arange(7)
    sizes = np.full(len(order), size)
    parts = list(portions(order, sizes))
    np.testing.assert_array_equal(np.concatenate(parts), order)
    assert len(parts) > 1


def test_portions_grow_from_the_first():
    sizes = np.full(9000, 10)
    parts = list(portions(np.arange(9000), sizes, first=300))
    assert [len(part) for part in parts] == [300, 600, 1200, 2048, 2048, 2048, 756]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(9000))
    # A part that holds fewer, because they are long, does not make the next smaller.
    long = list(portions(np.arange(6), np.array([900_000] * 3 + [1] * 3), first=2))
    assert [len(part) for part in long] == [1, 1, 4]


def text_tokenizer(name="bert", max_length=12, long_text="truncate"):
    tokenizer = TOKENIZERS[name]
    with_types = "token_type_ids" in tokenizer.model_input_names
    serialized = tokenizer.backend_tokenizer.to_str()
    return TextTokenizer(serialized, max_length, long_text, tokenizer.pad_token_id, with_types)


def assert_same_windows(found, expected):
    for name in ("ids", "type_ids"):
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None)
        for x, y in zip(a or (), b or (), strict=True):
            np.testing.assert_array_equal(x, y)
    for name in ("owner", "counted", "cut", "lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
@pytest.mark.parametrize("long_text", ["truncate", "chunk"])
@pytest.mark.parametrize("n_texts", [1, 5, 2048, 2049, 5000])
def test_windows_of_many_texts_are_those_of_all_at_once(texts, long_text, n_texts):
    texts = [texts[number % len(texts)] for number in range(n_texts)]
    tokenizer = text_tokenizer(long_text=long_text)
    found = tokenizer.all_windows(texts)
    assert_same_windows(found, tokenizer.windows(texts))
    assert len(found.cut) == n_texts
    np.testing.assert_array_equal(np.unique(found.owner), np.arange(n_texts))


def test_windows_of_long_texts_are_those_of_all_at_once():
    texts = ["good " * 105_000, "a", "film " * 105_000, "", "the " * 100, "bad"]
    tokenizer = text_tokenizer(long_text="chunk", max_length=40)
    found = tokenizer.all_windows(texts)
    assert_same_windows(found, tokenizer.windows(texts))
    assert (np.diff(found.owner) >= 0).all()
    cut = text_tokenizer().all_windows(texts).cut
    assert cut.tolist() == [True, False, True, False, True, False]


def test_any_rows_of_all_windows_make_a_batch():
    texts = [f"{text} {number}" for number in range(300) for text in TEXTS]
    tokenizer = text_tokenizer(max_length=48)
    windows = tokenizer.all_windows(texts)
    rows = np.array([2999, 0, 2100, 7])
    batch = tokenizer.batch(windows, rows)
    plain = TOKENIZERS["bert"]
    expected = plain([texts[row] for row in rows], padding=True, return_tensors="np")
    length = expected["input_ids"].shape[1]
    np.testing.assert_array_equal(batch.inputs["input_ids"][:, :length], expected["input_ids"])
    mask = batch.inputs["attention_mask"]
    np.testing.assert_array_equal(mask[:, :length], expected["attention_mask"])
    assert not mask[:, length:].any()


@pytest.mark.parametrize("length", range(1, 200))
def test_coarse_lengths_are_few_and_waste_little(length):
    padded = padded_length(length, 150, coarse=True)
    assert min(length, 150) <= padded <= min(150, max(length, 1.25 * length))
    assert len({padded_length(n, 512, coarse=True) for n in range(1, 65)}) == 20
