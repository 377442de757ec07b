import numpy as np
import pytest
import torch

from sklearn_bert.encoder.kept import Allowance, KeptStates, KeptVectors, Kind
from sklearn_bert.store import DiskStore, MemoryStore

HIDDEN = 8
KEYS = [bytes([number]) * 20 for number in range(5)]
LENGTHS = np.array([7, 5, 5, 2, 1])
KINDS = [Kind(0, "cls"), Kind(3, "mean"), Kind(3, "max")]
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
PLENTY = 10**9


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    store = MemoryStore(10**7) if request.param == "memory" else DiskStore(tmp_path, 10**7)
    yield store
    if request.param == "disk":
        store.close()


def random_states(dtype, length=9):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((len(KEYS), length, HIDDEN), generator=generator).to(dtype)


def random_vectors(n_texts=5):
    generator = np.random.default_rng(0)
    return generator.standard_normal((n_texts, len(KINDS), HIDDEN)).astype(np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_states_come_back_bit_for_bit_without_padding(store, dtype):
    kept = KeptStates(store, HIDDEN, dtype)
    states = random_states(dtype)
    kept.write(KEYS, 2, states, LENGTHS, Allowance(PLENTY))
    rows = kept.read(KEYS, 2)
    assert [row.shape for row in rows] == [(n, HIDDEN * dtype.itemsize) for n in LENGTHS]
    padded = kept.pad(rows, 10)
    assert padded.dtype == dtype
    assert padded.shape == (len(KEYS), 10, HIDDEN)
    for found, given, n in zip(padded, states, LENGTHS, strict=True):
        assert torch.equal(found[:n], given[:n])
        assert not found[n:].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_hold_nothing_but_tokens(dtype):
    store = MemoryStore(10**7)
    kept = KeptStates(store, HIDDEN, dtype)
    kept.write(KEYS, 1, random_states(dtype), LENGTHS, Allowance(PLENTY))
    per_entry = store.overhead + len(KEYS[0]) + len(b"states@1")
    values = LENGTHS.sum() * HIDDEN * dtype.itemsize
    assert store.info().size == values + per_entry * len(KEYS)
    assert store.info().size <= kept.text_bytes(KEYS, LENGTHS).sum()


def test_special_values_survive(store):
    kept = KeptStates(store, 4, torch.float32)
    states = torch.tensor([[[torch.nan, torch.inf, -torch.inf, -0.0]]])
    kept.write(KEYS[:1], 3, states, np.array([1]), Allowance(PLENTY))
    found = kept.pad(kept.read(KEYS[:1], 3), 1)
    assert torch.equal(found.view(torch.uint8), states.view(torch.uint8))


def test_states_of_each_depth_lie_apart(store):
    kept = KeptStates(store, HIDDEN, torch.float32)
    states = random_states(torch.float32)
    kept.write(KEYS, 1, states, LENGTHS, Allowance(PLENTY))
    kept.write(KEYS[:2], 11, -states[:2], LENGTHS[:2], Allowance(PLENTY))
    assert kept.has(KEYS, 1).tolist() == [True] * 5
    assert kept.has(KEYS, 11).tolist() == [True, True, False, False, False]
    assert kept.has(KEYS, 2).tolist() == [False] * 5
    assert [row is None for row in kept.read(KEYS, 11)] == [False, False, True, True, True]
    torch.testing.assert_close(kept.pad(kept.read(KEYS[:1], 11), 7)[0], -states[0, :7])


def test_views_and_tensors_of_inference_are_kept_as_well(store):
    kept = KeptStates(store, HIDDEN, torch.float32)
    states = random_states(torch.float32)
    with torch.inference_mode():
        turned = states.clone().transpose(1, 2).contiguous().transpose(1, 2)
        assert not turned.is_contiguous()
        kept.write(KEYS, 1, turned, LENGTHS, Allowance(PLENTY))
    torch.testing.assert_close(kept.pad(kept.read(KEYS, 1), 9)[0, :7], states[0, :7])


def test_looking_counts_neither_hit_nor_miss(store):
    kept = KeptStates(store, HIDDEN, torch.float32)
    kept.write(KEYS, 1, random_states(torch.float32), LENGTHS, Allowance(PLENTY))
    kept.has(KEYS, 1)
    kept.has(KEYS, 2)
    assert (store.info().hits, store.info().misses) == (0, 0)


@pytest.mark.parametrize("n_fit", range(6))
def test_states_keep_to_the_allowance(store, n_fit):
    kept = KeptStates(store, HIDDEN, torch.float32)
    sizes = kept.text_bytes(KEYS, LENGTHS)
    allowance = Allowance(int(sizes[:n_fit].sum()))
    kept.write(KEYS, 1, random_states(torch.float32), LENGTHS, allowance)
    assert kept.has(KEYS, 1).tolist() == [number < n_fit for number in range(5)]
    assert store.info().entries == n_fit
    assert allowance.left == 0
    kept.write(KEYS[:1], 2, random_states(torch.float32)[:1], LENGTHS[:1], allowance)
    assert not kept.has(KEYS, 2).any()


def test_an_allowance_is_used_up_by_several_writes(store):
    kept = KeptStates(store, HIDDEN, torch.float32)
    states = random_states(torch.float32)
    sizes = kept.text_bytes(KEYS, LENGTHS)
    allowance = Allowance(int(sizes[:3].sum()) - 1)
    for row in range(len(KEYS)):
        part = slice(row, row + 1)
        kept.write(KEYS[part], 1, states[part], LENGTHS[part], allowance)
    assert kept.has(KEYS, 1).tolist() == [True, True, False, True, False]
    assert 0 <= allowance.left < sizes[2] - sizes[3]


@pytest.mark.parametrize(
    ("left", "sizes", "fit", "rest"),
    [
        (10, [4, 4, 4], 2, 2),
        (12, [4, 4, 4], 3, 0),
        (3, [4, 1], 0, 3),
        (0, [1], 0, 0),
        (-5, [1], 0, -5),
        (10, [], 0, 10),
    ],
)
def test_an_allowance_counts_what_fits_one_after_another(left, sizes, fit, rest):
    allowance = Allowance(left)
    assert allowance.take(np.array(sizes, dtype=int)) == fit
    assert allowance.left == rest


def test_vectors_come_back_bit_for_bit_with_their_flags(store):
    kept = KeptVectors(store, HIDDEN)
    vectors, cut = random_vectors(), np.array([True, False, False, True, False])
    kept.write(KEYS, KINDS, vectors, cut, Allowance(PLENTY))
    found, read, flags = kept.read(KEYS, KINDS)
    np.testing.assert_array_equal(found, np.arange(5))
    np.testing.assert_array_equal(read, vectors)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(flags, cut)


def test_vectors_are_found_kind_by_kind(store):
    kept = KeptVectors(store, HIDDEN)
    vectors, cut = random_vectors(), np.zeros(5, dtype=bool)
    kept.write(KEYS, KINDS, vectors, cut, Allowance(PLENTY))
    _, read, _ = kept.read(KEYS, [KINDS[2], KINDS[0]])
    np.testing.assert_array_equal(read, vectors[:, [2, 0]])


def test_only_texts_with_all_kinds_are_found(store):
    kept = KeptVectors(store, HIDDEN)
    vectors, cut = random_vectors(), np.zeros(5, dtype=bool)
    kept.write(KEYS[1:4], KINDS[:2], vectors[1:4, :2], cut[1:4], Allowance(PLENTY))
    kept.write(KEYS[3:], KINDS[2:], vectors[3:, 2:], cut[3:], Allowance(PLENTY))
    found, read, flags = kept.read(KEYS, KINDS)
    assert found.tolist() == [3]
    np.testing.assert_array_equal(read, vectors[3:4])
    assert flags.tolist() == [False]


def test_no_text_is_found_in_an_empty_store(store):
    found, read, flags = KeptVectors(store, HIDDEN).read(KEYS, KINDS)
    assert len(found) == len(flags) == 0
    assert read.shape == (0, len(KINDS), HIDDEN)


def test_more_vectors_than_one_look_up_takes():
    kept = KeptVectors(MemoryStore(10**9), HIDDEN)
    keys = [b"%020d" % number for number in range(5000)]
    vectors = random_vectors(len(keys))
    kept.write(keys[::2], KINDS, vectors[::2], np.zeros(2500, dtype=bool), Allowance(PLENTY))
    found, read, _ = kept.read(keys, KINDS)
    np.testing.assert_array_equal(found, np.arange(0, 5000, 2))
    np.testing.assert_array_equal(read, vectors[::2])


@pytest.mark.parametrize("n_fit", range(6))
def test_vectors_keep_to_the_allowance(store, n_fit):
    kept = KeptVectors(store, HIDDEN)
    allowance = Allowance(n_fit * kept.text_bytes(KEYS, len(KINDS)) + 3)
    kept.write(KEYS, KINDS, random_vectors(), np.zeros(5, dtype=bool), allowance)
    assert kept.read(KEYS, KINDS)[0].tolist() == list(range(n_fit))
    assert store.info().entries == n_fit * len(KINDS)
    assert allowance.left == 3


def test_what_an_entry_is_said_to_take_is_no_less_than_it_takes():
    store = MemoryStore(10**7)
    kept = KeptVectors(store, HIDDEN)
    kinds = [Kind(24, "pooler"), Kind(24, "last")]
    kept.write(KEYS, kinds, random_vectors()[:, :2], np.zeros(5, dtype=bool), Allowance(PLENTY))
    assert store.info().size <= 5 * kept.text_bytes(KEYS, 2)
