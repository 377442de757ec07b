"""Word embeddings on a CPU: the same rows, the same gradients, over steps, ties and padding."""

import pytest
import torch
from torch import nn

from sklearn_bert.encoder import embedding as module
from sklearn_bert.encoder.embedding import CpuEmbedding, use_cpu_embeddings


def pair(padding_idx=None):
    """Return an embedding of PyTorch and ours, with weights that are equal but not shared."""
    theirs = nn.Embedding(50, 8, padding_idx=padding_idx)
    ours = CpuEmbedding.sharing(nn.Embedding(50, 8, padding_idx=padding_idx))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def losses(embedding, ids):
    return (embedding(ids) * torch.arange(8.0)).square().sum()


@pytest.mark.parametrize("padding_idx", [None, 0])
@pytest.mark.parametrize("n_added", [1, 3])
def test_steps_are_those_of_an_embedding(padding_idx, n_added):
    generator = torch.Generator().manual_seed(0)
    both = pair(padding_idx)
    optimizers = [torch.optim.AdamW(each.parameters(), lr=0.1) for each in both]
    for _ in range(4):
        batches = [torch.randint(0, 20, (4, 6), generator=generator) for _ in range(n_added)]
        for each, optimizer in zip(both, optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            for ids in batches:
                losses(each, ids).backward()
            optimizer.step()
        torch.testing.assert_close(both[1].weight.grad, both[0].weight.grad)
    torch.testing.assert_close(both[1].weight, both[0].weight)


def test_a_matrix_that_is_shared_with_a_head_gets_both_gradients():
    gradients = []
    for each in pair():
        each.weight.data = torch.arange(400.0).view(50, 8) / 400
        for ids in (torch.tensor([[1, 2]]), torch.tensor([[7, 2]])):
            each.weight.grad = None
            (each(ids) @ each.weight.T).square().sum().backward()
        gradients.append(each.weight.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0])


def test_one_gradient_is_kept_while_it_trains():
    _, ours = pair()
    losses(ours, torch.tensor([1, 2])).backward()
    first = ours.weight.grad
    ours.zero_grad(set_to_none=True)
    losses(ours, torch.tensor([3])).backward()
    assert ours.weight.grad is first
    assert ours.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist() == [3]
    ours.eval().zero_grad(set_to_none=True)
    assert ours._gradient is None


def test_frozen_or_without_gradients_it_is_an_embedding():
    theirs, ours = pair()
    ids = torch.tensor([[4, 5]])
    with torch.no_grad():
        assert torch.equal(ours(ids), theirs(ids))
    ours.weight.requires_grad_(False)
    assert not ours(ids).requires_grad


def test_large_and_plain_ones_are_replaced(monkeypatch):
    monkeypatch.setattr(module, "_LARGE", 100)
    model = nn.Sequential(nn.Embedding(20, 8), nn.Embedding(3, 8), nn.Embedding(20, 8, sparse=True))
    weight = model[0].weight
    use_cpu_embeddings(model)
    assert [type(each) for each in model] == [CpuEmbedding, nn.Embedding, nn.Embedding]
    assert model[0].weight is weight
