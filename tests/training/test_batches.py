import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearn_bert.training.batches import Batches, LabelledTexts
from sklearn_bert.training.inputs import Inputs


class Numbers(Inputs):
    """Each text is its own number, of any length."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths)
        self.n_cut = 0

    def batch(self, rows):
        return {"number": torch.from_numpy(rows)}


def dataset(lengths, rows=None):
    rows = np.arange(len(lengths)) if rows is None else rows
    return LabelledTexts(Numbers(lengths), rows, 10 * rows, 0.5 * rows)


def numbers(batches):
    return [inputs["number"].tolist() for inputs, _ in batches]


def random_lengths(n, seed=0):
    return np.random.default_rng(seed).integers(3, 200, n)


@given(st.integers(1, 200), st.integers(1, 70), st.integers(0, 5))
def test_each_row_comes_once_an_epoch(n, batch_size, seed):
    generator = np.random.default_rng(seed)
    batches = Batches(dataset(random_lengths(n)), batch_size, generator)
    for _ in range(2):
        found = numbers(batches)
        assert sorted(row for rows in found for row in rows) == list(range(n))
        assert len(found) == len(batches)
        assert max(map(len, found)) <= batch_size


def test_without_a_generator_the_order_stays():
    batches = Batches(dataset(random_lengths(23)), 5)
    expected = [list(range(start, min(23, start + 5))) for start in range(0, 23, 5)]
    assert numbers(batches) == numbers(batches) == expected


def test_the_generator_fixes_the_order_which_differs_between_epochs():
    def epochs(seed):
        batches = Batches(dataset(random_lengths(100)), 8, np.random.default_rng(seed))
        return [numbers(batches) for _ in range(3)]

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)
    first, second, third = epochs(0)
    assert first != second != third != first
    # Not only the order of the batches differs, but what is in them where lengths are alike.
    assert set(map(frozenset, first)) != set(map(frozenset, second))


@pytest.mark.parametrize(("n", "batch_size"), [(400, 8), (3000, 16), (5000, 4)])
def test_batches_hold_texts_of_like_length(n, batch_size):
    lengths = random_lengths(n)
    batches = Batches(dataset(lengths), batch_size, np.random.default_rng(0))
    padded = sum(lengths[rows].max() * len(rows) for rows in numbers(batches))
    assert padded < 1.06 * lengths.sum()


def test_the_batch_that_is_not_full_has_texts_of_any_length():
    lengths = np.arange(17, 0, -1)
    batches = Batches(dataset(lengths), 4, np.random.default_rng(0))
    odd = [rows for _ in range(300) for rows in numbers(batches) if len(rows) < 4]
    assert all(len(rows) == 1 for rows in odd)
    # One of five places each time, at each of which the same text is alone.
    counts = np.bincount([rows[0] for rows in odd], minlength=17)[::4]
    assert counts.sum() == 300
    assert counts.min() > 30


def test_batches_are_in_no_order_of_length():
    lengths = random_lengths(2000)
    batches = Batches(dataset(lengths), 10, np.random.default_rng(0))
    means = [lengths[rows].mean() for rows in numbers(batches)]
    ranks = np.argsort(np.argsort(means))
    assert abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) < 0.2


def test_targets_and_weights_go_with_their_rows():
    rows = np.array([7, 3, 11, 0, 5])
    data = dataset(random_lengths(12), rows)
    np.testing.assert_array_equal(data.lengths, random_lengths(12)[rows])
    for generator in (None, np.random.default_rng(0)):
        for inputs, targets in Batches(data, 2, generator):
            assert torch.equal(targets, 10 * inputs["number"])
            assert torch.equal(inputs["sample_weight"], 0.5 * inputs["number"])


def test_one_sample():
    data = dataset(random_lengths(12), np.array([7, 3]))
    inputs, target = data[1]
    assert len(data) == 2
    assert inputs["number"].item() == 3
    assert inputs["sample_weight"].item() == 1.5
    assert target.item() == 30


def test_without_targets_and_weights():
    data = LabelledTexts(Numbers([3, 4]), np.arange(2))
    [(inputs, targets)] = Batches(data, 8)
    assert list(inputs) == ["number"]
    assert targets.tolist() == [0, 0]
