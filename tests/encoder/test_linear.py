"""Linear maps through oneDNN are the same maps: packed where frozen, differentiable where not."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from sklearn_bert.encoder import linear
from sklearn_bert.encoder.execution import has_native_bfloat16
from sklearn_bert.encoder.linear import OneDnnLinear, PackedLinear, pack_linear, use_onednn

SHAPES = [(7,), (3, 7), (2, 5, 7), (0, 7)]
ROUGH = pytest.param(
    torch.bfloat16,
    marks=pytest.mark.skipif(
        not has_native_bfloat16(torch.device("cpu")),
        reason="this processor does not compute bfloat16 natively",
    ),
)
needs_packing = pytest.mark.skipif(
    not linear._can_pack(), reason="this build of PyTorch packs no weights"
)


class Intermediate(nn.Module):
    """What a BERT layer has between its attention and its output."""

    def __init__(self, activation):
        super().__init__()
        self.dense = nn.Linear(3, 5)
        self.intermediate_act_fn = activation

    def forward(self, states):
        return self.intermediate_act_fn(self.dense(states))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
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


@pytest.fixture
def slow_mkl(monkeypatch):
    monkeypatch.setattr(linear, "has_slow_mkl", lambda: True)


def test_parameters_are_shared_and_named_the_same(slow_mkl):
    model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Sequential(nn.Linear(5, 2)))
    before = dict(model.named_parameters())
    use_onednn(model)
    assert sum(isinstance(module, OneDnnLinear) for module in model.modules()) == 2
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_maps_stay_where_mkl_is_the_faster(monkeypatch):
    monkeypatch.setattr(linear, "has_slow_mkl", lambda: False)
    model = nn.Sequential(nn.Linear(3, 5))
    use_onednn(model)
    assert type(model[0]) is nn.Linear


def test_gradients_are_those_of_linear():
    theirs = nn.Linear(3, 5)
    states = torch.randn(4, 3)
    gradients = []
    for module in (theirs, OneDnnLinear.sharing(theirs)):
        theirs.zero_grad()
        module(states).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in theirs.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


@needs_packing
@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 1000, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, ROUGH])
@torch.no_grad()
def test_packed_equals_linear(gelu, bias, shape, dtype):
    theirs = nn.Linear(7, 4, bias=bias, dtype=dtype)
    states = torch.randn(shape, dtype=dtype)
    expected = theirs.double()(states.double())
    expected = F.gelu(expected) if gelu else expected
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    mapped = PackedLinear(theirs.to(dtype), gelu)(states)
    assert mapped.dtype == dtype
    torch.testing.assert_close(mapped.double(), expected, atol=tolerance, rtol=tolerance)


@needs_packing
@torch.no_grad()
def test_packed_maps_a_slice_of_states_as_it_is():
    theirs = nn.Linear(7, 4)
    states = torch.randn(6, 9, 14)[::2, 1:5, ::2]
    torch.testing.assert_close(PackedLinear(theirs)(states), theirs(states))


@needs_packing
def test_packing_lets_go_of_the_weights():
    model = nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.Linear(5, 2), nn.LayerNorm(2)))
    pack_linear(model)
    assert [name for name, _ in model.named_parameters()] == ["1.1.weight", "1.1.bias"]


@needs_packing
@pytest.mark.parametrize(
    ("activation", "fused"),
    [
        (ACT2FN["gelu"], True),
        (nn.GELU(), True),
        (nn.GELU(approximate="tanh"), False),
        (ACT2FN["gelu_new"], False),
        (ACT2FN["gelu_python"], False),
        (ACT2FN["relu"], False),
        (F.gelu, False),
    ],
)
@torch.no_grad()
def test_an_exact_gelu_becomes_part_of_the_map(activation, fused):
    theirs = Intermediate(activation)
    states = torch.randn(4, 3)
    expected = theirs(states)
    ours = copy.deepcopy(theirs)
    pack_linear(ours)
    assert isinstance(ours.dense, PackedLinear)
    assert isinstance(ours.intermediate_act_fn, nn.Identity) == fused
    torch.testing.assert_close(ours(states), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_where_nothing_can_be_packed_the_maps_are_those_of_training(slow_mkl, monkeypatch):
    monkeypatch.setattr(linear, "_can_pack", lambda: False)
    theirs = Intermediate(nn.GELU())
    states = torch.randn(4, 3)
    expected = theirs(states)
    pack_linear(theirs)
    assert isinstance(theirs.dense, OneDnnLinear)
    torch.testing.assert_close(theirs(states), expected, atol=1e-6, rtol=1e-5)
