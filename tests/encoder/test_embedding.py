"""Word embeddings on a CPU: the same rows, the same gradients, over steps, ties and padding."""

import pytest
import torch
from torch import nn

from sklearn_bert.encoder import embedding as module
from sklearn_bert.encoder.embedding import CpuEmbedding, RowsInUse, is_plain, use_cpu_embeddings
from tests.models import ScaledEmbedding


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


def test_rows_in_use_take_the_steps_that_all_rows_would():
    """But for those not in use, which AdamW would only decay."""
    generator = torch.Generator().manual_seed(0)
    used = torch.tensor([3, 0, 17, 40, 8])
    whole, narrowed = pair(padding_idx=0)
    before = narrowed.weight.detach().clone()
    rows = RowsInUse(narrowed, used)
    optimizers = [torch.optim.AdamW(each.parameters(), lr=0.1) for each in (whole, rows)]
    for _ in range(4):
        ids = used[torch.randint(0, len(used), (4, 6), generator=generator)]
        for each, optimizer in zip((whole, rows), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            losses(each, ids).backward()
            optimizer.step()
    expected = before.clone()
    expected[used] = whole.weight.detach()[used]
    torch.testing.assert_close(rows.whole(), expected)
    with torch.no_grad():
        everything = torch.arange(50)
        torch.testing.assert_close(rows(everything), expected)
    assert rows.weight.shape == (5, 8)
    assert rows.n_left_out == 45 * 8


@pytest.mark.parametrize("kind", [nn.Embedding, CpuEmbedding])
def test_a_padding_row_in_use_has_no_gradient(kind):
    embedding = nn.Embedding(9, 3, padding_idx=4)
    embedding = embedding if kind is nn.Embedding else kind.sharing(embedding)
    rows = RowsInUse(embedding, torch.tensor([7, 4]))
    rows(torch.tensor([[7, 4, 4]])).sum().backward()
    assert rows.weight.grad.tolist() == [[0.0] * 3, [1.0] * 3]


def test_frozen_rows_are_looked_up_and_stay_frozen():
    embedding = nn.Embedding(9, 3).requires_grad_(False)
    rows = RowsInUse(embedding, torch.tensor([7, 4]))
    torch.testing.assert_close(rows(torch.arange(9)), embedding.weight.detach())
    assert not rows.weight.requires_grad
    assert rows.n_left_out == 0


def test_the_state_of_rows_in_use_is_that_of_all():
    whole = nn.Embedding(9, 3)
    rows = RowsInUse(whole, torch.tensor([7, 4]))
    rows.weight.data += 1
    state = rows.state_dict()
    expected = whole.weight.detach().clone()
    expected[[4, 7]] += 1
    assert list(state) == ["weight"]
    torch.testing.assert_close(state["weight"], expected)
    other = RowsInUse(nn.Embedding(9, 3), torch.tensor([1, 2, 8]))
    other.load_state_dict(state)
    torch.testing.assert_close(other.whole(), expected)
    torch.testing.assert_close(other(torch.tensor([8])).detach(), expected[[8]])
    whole.load_state_dict(state)


def test_a_state_of_another_vocabulary_is_refused():
    rows = RowsInUse(nn.Embedding(9, 3), torch.tensor([7, 4]))
    with pytest.raises(RuntimeError, match="size mismatch"):
        rows.load_state_dict({"weight": torch.ones(8, 3)})
    with pytest.raises(RuntimeError, match="Missing key"):
        rows.load_state_dict({})


def test_padding_is_always_in_use():
    rows = RowsInUse(nn.Embedding(9, 3, padding_idx=0), torch.tensor([7, 4]))
    assert rows.num_embeddings == 3
    assert rows(torch.tensor([7, 0])).shape == (2, 3)


def test_plain_ones_only_look_up():
    assert is_plain(nn.Embedding(2, 3))
    assert is_plain(CpuEmbedding(2, 3))
    others = [{"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}]
    assert not any(is_plain(nn.Embedding(2, 3, **settings)) for settings in others)
    assert not is_plain(ScaledEmbedding(2, 3))
    assert not is_plain(nn.Linear(2, 3))
