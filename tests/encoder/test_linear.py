"""The linear map through oneDNN is the same map, with the same parameters."""

import pytest
import torch
from torch import nn

from sklearn_bert.encoder.linear import OneDnnLinear, use_onednn


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 5, 7), (0, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equals_linear(bias, shape, dtype):
    theirs = nn.Linear(7, 4, bias=bias, dtype=dtype)
    states = torch.randn(shape, dtype=dtype)
    ours = OneDnnLinear.sharing(theirs)
    torch.testing.assert_close(ours(states), theirs(states), atol=1e-6, rtol=1e-5)


def test_a_slice_of_states_is_mapped_as_it_is():
    theirs = nn.Linear(7, 4)
    states = torch.randn(6, 9, 14)[::2, 1:5, ::2]
    torch.testing.assert_close(OneDnnLinear.sharing(theirs)(states), theirs(states))


def test_parameters_are_shared_and_named_the_same():
    model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Sequential(nn.Linear(5, 2)))
    before = dict(model.named_parameters())
    use_onednn(model)
    assert sum(isinstance(module, OneDnnLinear) for module in model.modules()) == 2
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_gradients_are_those_of_linear():
    theirs = nn.Linear(3, 5)
    states = torch.randn(4, 3)
    gradients = []
    for linear in (theirs, OneDnnLinear.sharing(theirs)):
        theirs.zero_grad()
        linear(states).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in theirs.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])
