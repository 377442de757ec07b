"""The gradient of a softmax in place, and in which precision a softmax is taken."""

import pytest
import torch

from sklearn_bert.encoder.softmax import change_to_gradient, softmax_dtype


def drawn(width, dtype):
    generator = torch.Generator().manual_seed(width)
    scores, gradient = torch.randn(2, 3, 5, width, generator=generator, dtype=torch.float64)
    return scores.to(dtype), gradient.to(dtype)


@pytest.mark.parametrize("width", [1, 7, 16, 31, 32, 33, 64, 257])
@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 8e-3)]
)
def test_the_gradient_is_that_of_autograd_in_the_same_place(width, dtype, most):
    scores, gradient = drawn(width, dtype)
    weights = scores.softmax(-1)
    exact = weights.double()
    along = (gradient.double() * exact).sum(-1, keepdim=True)
    expected = exact * (gradient.double() - along)
    found = change_to_gradient(gradient, weights)
    assert found.data_ptr() == gradient.data_ptr()
    torch.testing.assert_close(found.double(), expected, rtol=most, atol=most * 1e-2)
    torch.testing.assert_close(exact, weights.double(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("width", "fastest"), [(8, "float32"), (32, "float32"), (48, "float32"), (64, "bfloat16")]
)
def test_ragged_rows_of_16_bits_have_their_softmax_in_float32(width, fastest):
    assert softmax_dtype(torch.bfloat16, width) == getattr(torch, fastest)
    assert softmax_dtype(torch.float32, width) == torch.float32
    assert softmax_dtype(torch.float64, width) == torch.float64
