import pytest
import torch

from sklearn_bert.encoder.attention import cpu_attention


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [1, 7, 60, 400])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 2e-2)],
)
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_equals_plain_attention(masked, length, dtype, tolerance, scaling):
    generator = torch.Generator().manual_seed(length)
    shape = (2, 3, length, 8)
    query, key, value = (torch.randn(shape, generator=generator).to(dtype) for _ in range(3))
    mask = None
    if masked:
        mask = torch.ones(2, 1, length, length, dtype=torch.bool)
        mask[1, :, :, (length + 1) // 2 :] = False
    module = torch.nn.Module()
    module.is_causal = False
    added = torch.zeros(mask.shape).masked_fill_(~mask, -1e30) if masked else None
    attended, _ = cpu_attention(module, query, key, value, added, scaling=scaling)
    scores = query.double() @ key.double().mT * (8**-0.5 if scaling is None else scaling)
    if masked:
        scores = scores.masked_fill(~mask, -torch.inf)
    expected = (scores.softmax(-1) @ value.double()).transpose(1, 2)
    torch.testing.assert_close(attended.double(), expected, atol=tolerance, rtol=tolerance)
