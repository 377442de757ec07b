"""Dropout on a CPU: the share, the scale, the gradient, the seed."""

import pytest
import torch
from torch import nn

from sklearn_bert.encoder.dropout import CpuDropout, draw_kept, dropout, use_cpu_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_and_scale(p, dtype):
    torch.manual_seed(0)
    dropped = dropout(torch.ones(401, 499, dtype=dtype), p)
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=0.005)
    scale = torch.tensor(1 / (1 - p), dtype=dtype)
    assert set(dropped.unique().tolist()) == {0, scale.item()}


def test_gradients_flow_where_values_do():
    values = torch.randn(33, 7, requires_grad=True)
    dropped = dropout(values, 0.4)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, (dropped != 0).float() / 0.6)


def test_the_seed_fixes_it_and_neighbours_are_independent():
    torch.manual_seed(1)
    first = dropout(torch.ones(1000, 1000), 0.5)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(torch.ones(1000, 1000), 0.5))
    assert not torch.equal(first, dropout(torch.ones(1000, 1000), 0.5))
    centred = first - 1
    for shift in (1, 2, 3, 4):
        assert abs((centred[:, shift:] * centred[:, :-shift]).mean().item()) < 0.01


def test_what_is_kept_is_a_factor_of_the_type_asked_for():
    torch.manual_seed(0)
    factors = draw_kept(torch.Size((200, 50)), 0.2)
    assert factors.dtype == torch.uint8
    assert set(factors.unique().tolist()) == {0, 1}
    torch.manual_seed(0)
    assert torch.equal(draw_kept(torch.Size((200, 50)), 0.2, torch.bfloat16), factors.bfloat16())


def test_a_share_next_to_all_is_not_none():
    torch.manual_seed(0)
    assert draw_kept(torch.Size((10_000,)), 1 - 1e-7).sum() < 10
    assert draw_kept(torch.Size((10_000,)), 1e-7).sum() > 9_990


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5,)])
def test_any_number_of_values(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_layers_drop_in_training_only():
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Dropout(0.5)), nn.Dropout(1.0)).eval()
    use_cpu_dropout(model)
    assert type(model[1][0]) is CpuDropout
    assert type(model[2]) is nn.Dropout
    values = torch.ones(100)
    assert torch.equal(model[1](values), values)
    assert (model[1].train()(values) == 0).any()
    assert torch.equal(CpuDropout(0.0).train()(values), values)
