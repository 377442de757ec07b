"""Pooling counts what counts, whatever lies beside it."""

import numpy as np
import pytest
import torch

from sklearn_bert.encoder.pooling import Counted, join_windows, pool

# The third text has a window's overlap at its start, the last one a single token.
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]]).bool()
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
EXPECTED = {
    "mean": lambda rows: rows.double().mean(dim=0),
    "max": lambda rows: rows.amax(dim=0).double(),
    "last": lambda rows: rows[-1].double(),
}


def random_states(dtype):
    # All below zero, so that a zero of padding would be the largest.
    return -1 - torch.rand((4, 5, 6), generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pooling", list(EXPECTED))
def test_only_what_counts_is_pooled(pooling, dtype):
    states = random_states(dtype)
    expected = torch.stack(
        [EXPECTED[pooling](rows[mask]) for rows, mask in zip(states, MASK, strict=True)]
    )
    states[~MASK] = 1e4

    pooled = pool(pooling, states, Counted(MASK))

    torch.testing.assert_close(pooled.double(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pooling", [*EXPECTED, "cls"])
def test_no_mask_means_that_all_count(pooling, dtype):
    states = random_states(dtype)
    everything = Counted(torch.ones(4, 5, dtype=torch.bool))

    torch.testing.assert_close(
        pool(pooling, states, None), pool(pooling, states, everything), atol=1e-6, rtol=1e-6
    )


def test_cls_is_the_first_token_even_if_it_does_not_count():
    states = random_states(torch.float32)

    assert torch.equal(pool("cls", states, Counted(MASK)), states[:, 0])


def test_means_of_rough_states_are_exact():
    states = torch.full((1, 300, 2), 1.0078125, dtype=torch.bfloat16)

    for counted in (None, Counted(torch.ones(1, 300, dtype=torch.bool))):
        assert pool("mean", states, counted).tolist() == [[1.0078125] * 2]


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
def test_what_is_found_out_once_serves_all_layers(pooling):
    counted = Counted(MASK)
    states = random_states(torch.float32)

    first = pool(pooling, states, counted)

    torch.testing.assert_close(pool(pooling, 2 * states, counted), 2 * first)


@pytest.mark.parametrize(
    ("pooling", "joined"),
    [("cls", [1, 9]), ("mean", [2.5, 3]), ("max", [3, 9]), ("last", [3, 1]), ("pooler", [1, 9])],
)
def test_windows_are_joined_by_what_they_count(pooling, joined):
    vectors = np.array([[1, 9], [3, 1]], dtype=np.float32)

    np.testing.assert_allclose(join_windows(pooling, vectors, np.array([2, 6])), joined)
    np.testing.assert_array_equal(join_windows(pooling, vectors[:1], np.array([2])), vectors[0])
