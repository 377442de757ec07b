import numpy as np
import pytest
import torch

from sklearn_bert.encoder import work
from sklearn_bert.encoder.kept import Allowance
from sklearn_bert.encoder.pairs import halves
from sklearn_bert.training.batches import LabelledTexts
from sklearn_bert.training.inputs import (
    StateInputs,
    TokenInputs,
    VectorInputs,
    keep_frozen,
    make_inputs,
)
from tests.models import FAMILIES, HIDDEN, N_LAYERS, PAIRS, TEXTS

ROWS = np.array([4, 0, 3, 3, 9])
SOME = ["bert", "deberta-v2", "modernbert"]


@pytest.mark.parametrize(
    ("depth", "trains", "kind"),
    [(N_LAYERS, False, VectorInputs), (0, True, TokenInputs), (2, True, StateInputs)],
)
@pytest.mark.parametrize("limit", [None, 10**8])
def test_the_depth_says_what_a_batch_is_made_of(depth, trains, kind, limit, encoder_of):
    inputs = make_inputs(encoder_of(limit=limit), TEXTS, ["mean"], depth, trains)
    assert type(inputs) is kind
    assert len(inputs.lengths) == len(TEXTS)
    assert inputs.n_cut == 0


def assert_states(batch, rows, depth, reference, tolerance=1e-5):
    for i, row in enumerate(rows):
        expected, _ = reference.states(TEXTS[row])
        n = expected.shape[1]
        found = batch["states"][i]
        torch.testing.assert_close(
            found[:n].double(), expected[depth], atol=tolerance, rtol=tolerance
        )
        mask = batch.get("attention_mask", torch.ones(batch["states"].shape[:2]))[i]
        assert mask.sum() == n
        assert mask[:n].all()


@pytest.mark.parametrize("limit", [None, 3000, 10_000, 10**8])
@pytest.mark.parametrize("family", SOME)
def test_states_are_the_models_with_and_without_a_store(family, limit, encoder_of, reference):
    inputs = make_inputs(encoder_of(family, limit=limit), TEXTS, ["mean"], 2, True)
    for rows in (ROWS, np.arange(len(TEXTS))):
        assert_states(inputs.batch(rows), rows, 2, reference(family))


@pytest.mark.parametrize("depth", range(1, N_LAYERS))
def test_kept_states_are_not_computed_again(depth, encoder_of, reference):
    encoder = encoder_of()
    inputs = make_inputs(encoder, TEXTS, ["mean"], depth, True)
    before = work.counted()
    assert_states(inputs.batch(ROWS), ROWS, depth, reference())
    again = make_inputs(encoder, TEXTS[::-1], ["mean"], depth, True)
    rows = np.arange(3)
    assert_states(again.batch(rows), len(TEXTS) - 1 - rows, depth, reference())
    assert (work.counted() - before).texts == 0


def test_states_that_were_pushed_out_are_computed_again(encoder_of, reference):
    encoder = encoder_of()
    inputs = make_inputs(encoder, TEXTS, ["mean"], 2, True)
    kept = encoder.kept_states()
    keys = encoder.keys().of_texts(TEXTS)
    encoder.store.clear()
    padded = torch.zeros(1, 48, HIDDEN)
    states = reference().states(TEXTS[4])[0][2].float()
    padded[0, : len(states)] = states
    kept.write(keys[4:5], 2, padded, np.array([len(states)]), Allowance(10**6))
    before = work.counted()
    assert_states(inputs.batch(ROWS), ROWS, 2, reference())
    assert (work.counted() - before).texts == len(ROWS) - 1


@pytest.mark.parametrize("precision", ["bfloat16", "float32", "float64"])
def test_states_are_in_the_encoders_precision(precision, encoder_of):
    inputs = make_inputs(encoder_of(precision=precision), TEXTS, ["mean"], 2, True)
    assert inputs.batch(ROWS)["states"].dtype == getattr(torch, precision)


def test_no_mask_where_nothing_is_padded(encoder_of):
    for depth in (0, 2):
        inputs = make_inputs(encoder_of(), TEXTS, ["mean"], depth, True)
        assert "attention_mask" not in inputs.batch(np.array([1, 1]))
        assert "attention_mask" in inputs.batch(np.array([1, 4]))


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_tokens_are_the_tokenizers(texts, encoder_of, reference):
    inputs = make_inputs(encoder_of(), texts, ["mean"], 0, True)
    for row, text in enumerate(texts):
        expected = reference().tokenize(text)
        found = inputs.batch(np.array([row]))
        n = inputs.lengths[row]
        assert n == expected["input_ids"].shape[1]
        for name in ["input_ids"] + ["token_type_ids"] * (texts is PAIRS):
            assert torch.equal(found[name][:, :n], expected[name])
        if "attention_mask" in found:
            assert found["attention_mask"].sum() == n
        else:
            assert found["input_ids"].shape[1] == n


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_the_pooled_states(family, encoder_of, reference):
    poolings = ["cls", "mean"] + ["pooler"] * FAMILIES[family].has_pooler
    inputs = make_inputs(encoder_of(family), TEXTS, poolings, N_LAYERS, False)
    found = inputs.batch(ROWS)["vectors"]
    texts = [TEXTS[row] for row in ROWS]
    expected = [reference(family).vectors(texts, pooling) for pooling in poolings]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-5)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("depth", [0, 2, N_LAYERS])
def test_separate_pairs_are_two_texts_a_row(depth, encoder_of):
    encoder, trains = encoder_of(max_length=8), depth < N_LAYERS
    pairs = make_inputs(encoder, PAIRS, ["mean"], depth, trains, "separate")
    single = make_inputs(encoder, halves(PAIRS), ["mean"], depth, trains)
    n = len(PAIRS)
    found = pairs.batch(np.array([3, 0, 3]))
    expected = single.batch(np.array([3, n + 3, 0, n, 3, n + 3]))
    assert set(found) == set(expected)
    for name, of_halves in expected.items():
        assert torch.equal(found[name], of_halves.reshape(3, 2, *of_halves.shape[1:]))
    sample, _ = LabelledTexts(pairs, np.arange(n))[3]
    assert all(torch.equal(sample[name], pairs.batch(np.array([3]))[name][0]) for name in sample)
    longer = np.maximum(single.lengths[:n], single.lengths[n:])
    assert pairs.lengths.tolist() == (2 * longer).tolist()
    assert (pairs.n_texts, pairs.n_cut) == (2 * n, single.n_cut)
    ids = [inputs.ids() for inputs in (pairs, single)]
    assert ids == [None, None] if depth else torch.equal(*ids)


@pytest.mark.parametrize("depth", [0, 2, N_LAYERS])
def test_texts_that_lose_their_ends_are_counted(depth, encoder_of):
    texts = ["good " * 20, "good", "bad " * 6, "bad " * 7]
    inputs = make_inputs(encoder_of(max_length=8), texts, ["mean"], depth, depth < N_LAYERS)
    assert inputs.n_cut == 2
    assert inputs.lengths.max() <= 8


def test_duplicates_are_encoded_once(encoder_of):
    before = work.counted()
    inputs = make_inputs(encoder_of(), [TEXTS[0]] * 5 + [TEXTS[1]], ["mean"], 2, True)
    inputs.batch(np.arange(6))
    assert (work.counted() - before).texts == 2


@pytest.mark.parametrize(("depth", "trains"), [(N_LAYERS, False), (0, True), (2, True)])
@pytest.mark.parametrize("pairs", ["joint", "separate"])
def test_what_was_kept_before_is_all_that_inputs_need(depth, trains, pairs, encoder_of):
    encoder = encoder_of()
    settings = (["mean", "cls"], depth, trains, pairs)
    n_texts = len(set(halves(PAIRS))) if pairs == "separate" else len(PAIRS)
    begin = work.counted()
    keep_frozen(encoder, PAIRS, *settings)
    kept = work.counted()
    assert (kept - begin).texts == (0 if depth == 0 else n_texts)
    make_inputs(encoder, PAIRS, *settings).batch(np.arange(len(PAIRS)))
    assert (work.counted() - kept).texts == 0


def test_without_a_store_nothing_is_computed_to_be_kept(encoder_of):
    before = work.counted()
    keep_frozen(encoder_of(limit=None), TEXTS, ["mean"], N_LAYERS, False)
    assert work.counted() == before
