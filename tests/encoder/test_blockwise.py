"""Attention in blocks: the same results and gradients, whatever the blocks are."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from sklearn_bert.encoder import blockwise
from sklearn_bert.encoder.blockwise import attend_in_blocks
from sklearn_bert.encoder.randomness import same_draws

BATCH, HEADS, LENGTH, SIZE = 3, 2, 7, 4
# All at once; one text at a time; two, then one; some positions of a text.
BLOCKS = [10**6, HEADS * LENGTH**2, 2 * HEADS * LENGTH**2, HEADS * LENGTH * 3]


@pytest.fixture(params=BLOCKS)
def scores_of_a_block(request, monkeypatch):
    monkeypatch.setattr(blockwise, "_SCORES_OF_A_BLOCK", request.param)


def drawn(mask_rows=LENGTH):
    generator = torch.Generator().manual_seed(0)
    # Laid out as linear maps leave them.
    states = torch.randn(3, BATCH, LENGTH, HEADS, SIZE, generator=generator, dtype=torch.float64)
    qkv = [each.transpose(1, 2).detach().requires_grad_() for each in states]
    mask = torch.zeros(BATCH, 1, mask_rows, LENGTH, dtype=torch.float64)
    mask[1, :, :, 5:] = -1e30
    return qkv, mask


@pytest.mark.parametrize("mask_rows", [1, LENGTH])
@pytest.mark.usefixtures("scores_of_a_block")
def test_results_are_those_of_a_softmax(mask_rows):
    (query, key, value), mask = drawn(mask_rows)
    for added in (mask, mask[:1], None):
        attended = attend_in_blocks(query, key, value, added, 0.3)
        scores = query @ key.mT * 0.3 + (0 if added is None else added)
        expected = (scores.softmax(dim=-1) @ value).transpose(1, 2)
        torch.testing.assert_close(attended, expected)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.usefixtures("scores_of_a_block")
def test_gradients_are_those_of_differences(dropout):
    qkv, mask = drawn()

    def attend(*qkv):
        torch.manual_seed(0)
        return attend_in_blocks(*qkv, mask, 0.3, dropout)

    with torch.random.fork_rng(devices=[]):
        assert torch.autograd.gradcheck(attend, qkv, fast_mode=True)


def test_no_more_scores_at_once_than_a_block_has(monkeypatch):
    monkeypatch.setattr(blockwise, "_SCORES_OF_A_BLOCK", 60)
    sizes = []
    softmax = torch.softmax
    monkeypatch.setattr(
        torch,
        "softmax",
        lambda scores, **kwargs: sizes.append(scores.numel()) or softmax(scores, **kwargs),
    )
    qkv, mask = drawn()
    attend_in_blocks(*qkv, mask, 1.0).sum().backward()
    assert sum(sizes) == 2 * BATCH * HEADS * LENGTH**2
    assert max(sizes) <= 60


def test_what_is_computed_again_drops_the_same():
    gradients = []
    for again in (False, True):
        (query, key, value), mask = drawn()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            arguments = (query, key, value, mask, 0.3, 0.4)
            attended = (
                checkpoint(attend_in_blocks, *arguments, use_reentrant=False, context_fn=same_draws)
                if again
                else attend_in_blocks(*arguments)
            )
            attended.square().sum().backward()
        gradients.append(query.grad)
    torch.testing.assert_close(*gradients)
