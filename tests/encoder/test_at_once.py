"""Attention with all scores at once: results, gradients, and how many scores are kept for them."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from sklearn_bert.encoder import at_once
from sklearn_bert.encoder.at_once import HIDDEN, attend_at_once
from sklearn_bert.encoder.randomness import same_draws

BATCH, HEADS, SIZE = 3, 2, 4


def drawn(length, mask_rows=None, dtype=torch.float64):
    """Return query, key and value, laid out as linear maps leave them, and numbers to be added."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(3, BATCH, length, HEADS, SIZE, generator=generator).to(dtype)
    qkv = [each.transpose(1, 2).detach().requires_grad_() for each in states]
    mask = torch.zeros(BATCH, 1, mask_rows or length, length)
    mask[1, :, :, length // 2 + 1 :] = HIDDEN
    return qkv, mask


@pytest.fixture(params=[False, True], ids=["vectors", "matrix units"])
def processor(request, monkeypatch):
    monkeypatch.setattr(at_once, "has_matrix_units", lambda: request.param)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("length", [1, 7, 16, 40])
@pytest.mark.parametrize("mask_rows", [1, None])
def test_results_are_those_of_a_softmax(length, mask_rows):
    (query, key, value), mask = drawn(length, mask_rows)
    for added in (mask, mask[:1], None):
        attended = attend_at_once(query, key, value, added, 0.3)
        scores = query @ key.mT * 0.3 + (0 if added is None else added)
        expected = (scores.softmax(dim=-1) @ value).transpose(1, 2)
        torch.testing.assert_close(attended, expected)


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("length", [7, 20])
@pytest.mark.parametrize("dropout", [0.0, 0.4, 1.0])
def test_gradients_are_those_of_differences(length, dropout):
    qkv, mask = drawn(length)

    def attend(*qkv):
        torch.manual_seed(0)
        return attend_at_once(*qkv, mask, 0.3, dropout)

    with torch.random.fork_rng(devices=[]):
        assert torch.autograd.gradcheck(attend, qkv, fast_mode=True)


@pytest.mark.parametrize(
    ("units", "length", "width"),
    [(False, 7, 16), (True, 7, 16), (False, 24, 24), (True, 24, 32), (True, 32, 32)],
)
def test_rows_are_filled_up_where_it_pays(units, length, width, monkeypatch):
    widths = []

    def softmax(scores, mask):
        widths.append(scores.shape[-1])
        return real(scores, mask)

    real = at_once._softmax
    monkeypatch.setattr(at_once, "_softmax", softmax)
    monkeypatch.setattr(at_once, "has_matrix_units", lambda: units)
    qkv, mask = drawn(length)
    # What is dropped is drawn for each score: there are no more of them than there must be.
    for dropout in (0.0, 0.1):
        attend_at_once(*qkv, mask, 0.3, dropout)
    assert widths == [width, length]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("dropout", "most"), [(0.0, 1), (0.1, 2)])
def test_no_more_scores_are_kept_than_weights_and_what_is_dropped(
    dtype, dropout, most, monkeypatch
):
    monkeypatch.setattr(at_once, "has_matrix_units", lambda: False)
    length = 24
    qkv, mask = drawn(length, dtype=dtype)
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attended = attend_at_once(*qkv, mask, 0.3, dropout)
        assert sum(n == BATCH * HEADS * length**2 for n in kept.values()) == most
        attended.sum().backward()


def test_what_is_computed_again_drops_the_same():
    gradients = []
    for again in (False, True):
        (query, key, value), mask = drawn(20)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            arguments = (query, key, value, mask, 0.3, 0.4)
            attended = (
                checkpoint(attend_at_once, *arguments, use_reentrant=False, context_fn=same_draws)
                if again
                else attend_at_once(*arguments)
            )
            attended.square().sum().backward()
        gradients.append(query.grad)
    torch.testing.assert_close(*gradients)
