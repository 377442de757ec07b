"""Masks: how many, of what, by what, and when they are drawn anew."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from sklearn_bert.encoder.corpus import Chunk, CorpusTokenizer
from sklearn_bert.training.masking import MaskedChunks, Masking
from tests.models import FAMILIES, TEXTS

MASK = 4
ORDINARY = np.arange(10, 60)


def chunk_of(words):
    """Return a chunk with special tokens 0 where there is no word."""
    words = np.array(words)
    return Chunk(np.where(words >= 0, 10 + np.arange(len(words)) % 50, 0), words)


def many(masking, chunk, times=300):
    generator = np.random.default_rng(0)
    drawn = [masking.draw(chunk, generator) for _ in range(times)]
    return np.array([ids for ids, _ in drawn]), np.array([chosen for _, chosen in drawn])


def test_shares_are_those_of_the_paper():
    chunk = chunk_of([-1, *range(98), -1])
    ids, chosen = many(Masking(0.15, MASK, ORDINARY), chunk)
    assert set(chosen.sum(axis=1)) == {15}
    hidden = (ids == MASK)[chosen]
    same = (ids == chunk.ids)[chosen]
    assert hidden.mean() == pytest.approx(0.8, abs=0.02)
    # A random token can be the one that was there.
    assert same.mean() == pytest.approx(0.1 + 0.1 / 50, abs=0.015)
    replacements = ids[chosen][~hidden & ~same]
    assert len(replacements) / chosen.sum() == pytest.approx(0.1 * 49 / 50, abs=0.015)
    assert set(replacements) == set(ORDINARY)
    np.testing.assert_array_equal(ids[~chosen], np.tile(chunk.ids, (len(ids), 1))[~chosen])


def test_every_token_has_its_turn_and_special_ones_never():
    _, chosen = many(Masking(0.15, MASK, ORDINARY), chunk_of([-1, *range(30), -1, *range(30, 50)]))
    assert not chosen[:, [0, 31]].any()
    turns = np.delete(chosen.mean(axis=0), [0, 31])
    assert turns.min() > 0.08
    assert turns.max() < 0.23


def test_words_are_masked_whole():
    words = np.array([-1, 0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, -1])
    _, chosen = many(Masking(0.3, MASK, ORDINARY), chunk_of(words))
    for word in range(12):
        of_word = chosen[:, words == word]
        assert (of_word.all(axis=1) == of_word.any(axis=1)).all()
        assert of_word.any()
    # 30 % of 16 tokens, or one less where no word of the right size is left.
    assert chosen.sum(axis=1).max() == round(0.3 * 16)
    assert chosen.sum(axis=1).mean() > 0.9 * round(0.3 * 16)


@pytest.mark.parametrize("words", [[-1, 0, -1], [-1, 0, 0, 0, 0, -1], [3]])
def test_at_least_one_word_is_masked(words):
    _, chosen = many(Masking(0.01, MASK, ORDINARY), chunk_of(words), times=20)
    np.testing.assert_array_equal(chosen, np.tile(np.array(words) >= 0, (20, 1)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("whole_words", [False, True])
def test_special_tokens_of_real_tokenizers(family, whole_words, saved_model):
    plain = AutoTokenizer.from_pretrained(saved_model(family))
    tokenizer = CorpusTokenizer(plain)
    assert tokenizer.mask_id == plain.mask_token_id
    masking = Masking(0.5, tokenizer.mask_id, tokenizer.ordinary_ids)
    generator = np.random.default_rng(0)
    special = np.array(plain.all_special_ids)
    for chunk in tokenizer.chunks(tokenizer.corpus(TEXTS * 5, whole_words), 16):
        if not (chunk.words >= 0).any():
            continue
        ids, chosen = masking.draw(chunk, generator)
        assert not np.isin(chunk.ids[chosen], special).any()
        new = ids[ids != chunk.ids]
        assert not np.isin(new[new != plain.mask_token_id], special).any()


@pytest.fixture
def chunks():
    return [chunk_of([-1, *range(6), -1]), chunk_of([-1, -1]), chunk_of([-1, *range(3), -1])]


def data(chunks, seed):
    generator = None if seed is None else np.random.default_rng(seed)
    return MaskedChunks(chunks, Masking(0.5, MASK, ORDINARY), 99, generator)


def test_a_batch_is_padded_and_says_so(chunks):
    inputs, targets = data(chunks, 0).batch(np.array([1, 0]))
    assert inputs["attention_mask"].tolist() == [[1] * 5 + [0] * 3, [1] * 8]
    assert inputs["input_ids"][0, 5:].tolist() == [99] * 3
    originals = torch.tensor([[*chunks[2].ids, 99, 99, 99], chunks[0].ids.tolist()])
    assert inputs["masked"].sum(dim=1).tolist() == [2, 3]
    assert targets.tolist() == originals[inputs["masked"]].tolist()
    assert "attention_mask" not in data(chunks, 0).batch(np.array([0]))[0]


def test_chunks_with_nothing_to_predict_are_left_out(chunks):
    dataset = data(chunks, 0)
    assert len(dataset) == 2
    assert dataset.lengths.tolist() == [8, 5]


def test_masks_are_drawn_anew_each_time_by_the_seed(chunks):
    def drawn(dataset):
        return [dataset.batch(np.array([0]))[0]["input_ids"].tolist() for _ in range(8)]

    assert len({str(ids) for ids in drawn(data(chunks, 0))}) > 1
    assert drawn(data(chunks, 0)) == drawn(data(chunks, 0))
    assert drawn(data(chunks, 0)) != drawn(data(chunks, 1))


def test_fixed_masks_do_not_depend_on_what_else_is_in_the_batch(chunks):
    dataset = data(chunks, None)
    alone = dataset.batch(np.array([0]))[0]["input_ids"][0]
    again = dataset.batch(np.array([1, 0]))[0]["input_ids"][1]
    assert alone.tolist() == again.tolist()
    assert any(data([chunk], None).batch(np.array([0]))[0]["masked"].any() for chunk in chunks[:1])


def test_a_sample_alone(chunks):
    inputs, target = data(chunks, None)[1]
    assert inputs["input_ids"].shape == inputs["masked"].shape == (5,)
    assert len(target) == 2
