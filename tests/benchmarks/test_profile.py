"""A profile counts the operations of products as they are, and all of the time."""

import pytest
import torch

from benchmarks.profile import _ATTENTION, _FUSED, _LINEAR, _OUTSIDE, _REST, _kind, _profiled
from sklearn_bert.encoder.linear import OneDnnLinear, PackedLinear

ROWS, INNER, OUTER = 7, 32, 48
STATES = torch.randn(1, ROWS, INNER)


@torch.inference_mode()
def products(linear):
    linear(STATES)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not there")
@pytest.mark.parametrize("kind", [torch.nn.Linear, PackedLinear, OneDnnLinear])
def test_linear_maps_are_counted_however_they_are_computed(kind):
    linear = torch.nn.Linear(INNER, OUTER)
    if kind is not torch.nn.Linear:
        linear = PackedLinear(linear) if kind is PackedLinear else OneDnnLinear.sharing(linear)
    found = _profiled(lambda: products(linear))
    assert found["flop"] == {_LINEAR: 2 * ROWS * INNER * OUTER}


@pytest.mark.parametrize("rows", [ROWS, 1000])
def test_gradients_of_float32_maps_are_counted(rows):
    linear = OneDnnLinear.sharing(torch.nn.Linear(INNER, OUTER))
    states = torch.randn(1, rows, INNER, requires_grad=True)
    found = _profiled(lambda: linear(states).sum().backward())
    assert found["flop"][_LINEAR] == 3 * 2 * rows * INNER * OUTER


def test_gradients_of_a_product_are_products():
    weight = torch.randn(INNER, OUTER, requires_grad=True)
    states = torch.randn(ROWS, INNER, requires_grad=True)
    found = _profiled(lambda: (states @ weight).sum().backward())
    assert found["flop"] == {_LINEAR: 3 * 2 * ROWS * INNER * OUTER}


def test_batched_products_are_those_of_attention():
    left, right = torch.randn(3, ROWS, INNER), torch.randn(3, INNER, OUTER)
    found = _profiled(lambda: torch.bmm(left, right))
    assert found["flop"] == {_ATTENTION: 3 * 2 * ROWS * INNER * OUTER}


@pytest.mark.parametrize(("gradients", "products"), [(False, 2), (True, 2 + 5)])
def test_attention_in_one_kernel_is_counted_there_and_back(gradients, products):
    query = torch.randn(2, 3, ROWS, INNER, requires_grad=gradients)
    key = torch.randn(2, 3, OUTER, INNER)

    def attend():
        attended = torch.nn.functional.scaled_dot_product_attention(query, key, key)
        if gradients:
            attended.sum().backward()

    assert _profiled(attend)["flop"] == {_FUSED: products * 2 * query.numel() * OUTER}


def test_kinds_are_all_of_the_time():
    found = _profiled(lambda: [torch.randn(200, 200).softmax(-1) for _ in range(20)])
    assert sum(found["by_kind"].values()) == pytest.approx(found["seconds"])
    assert found["by_kind"]["softmax"] > 0
    assert found["by_kind"][_OUTSIDE] >= 0


@pytest.mark.parametrize(
    ("operator", "kind"),
    [("aten::mm", _LINEAR), ("aten::mul_", "sums and factors"), ("aten::view", _REST)],
)
def test_an_operator_has_one_kind(operator, kind):
    assert _kind(operator) == kind
