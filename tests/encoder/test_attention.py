import numpy as np
import pytest
import torch

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import attention
from sklearn_bert.encoder.attention import cpu_attention
from tests.models import DECODER, TEXTS, Reference, save


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


def counted(monkeypatch, name):
    """Return a list that gets an entry for each call of a function of the module."""
    calls = []

    def count(*args, **kwargs):
        calls.append(args)
        return real(*args, **kwargs)

    real = getattr(attention, name)
    monkeypatch.setattr(attention, name, count)
    return calls


@pytest.mark.parametrize("length", [7, 60, 250])
@pytest.mark.parametrize("native", [False, True])
def test_emulated_bfloat16_is_left_to_the_fused_kernel(native, length, module, monkeypatch):
    """Plain products of it take many times as long."""
    fused = counted(monkeypatch, "sdpa_attention_forward")
    monkeypatch.setattr(attention, "has_native_bfloat16", lambda device: native)
    qkv, visible, added = drawn(torch.bfloat16, length)
    with torch.no_grad():
        attended, _ = cpu_attention(module, *qkv, added)
    assert len(fused) == (not native)
    expected = plain_attention(*qkv, visible)
    torch.testing.assert_close(attended.double(), expected, atol=3e-2, rtol=3e-2)


@pytest.fixture
def fused(monkeypatch):
    """Calls of the fused kernel, on a processor with matrix units."""
    monkeypatch.setattr(attention, "has_native_bfloat16", lambda device: True)
    monkeypatch.setattr(attention, "has_matrix_units", lambda: True)
    return counted(monkeypatch, "attend_fused")


@pytest.mark.parametrize(
    ("length", "n_fused"), [(7, 0), (63, 0), (64, 1), (65, 1), (91, 1), (250, 1)]
)
@pytest.mark.parametrize("masked", [True, False])
def test_the_fused_kernel_has_long_texts_where_it_uses_matrix_units(
    masked, length, n_fused, fused, module
):
    qkv, visible, added = drawn(torch.bfloat16, length)
    with torch.no_grad():
        attended, _ = cpu_attention(module, *qkv, added if masked else None)
    assert len(fused) == n_fused
    expected = plain_attention(*qkv, visible if masked else torch.ones_like(visible))
    torch.testing.assert_close(attended.double(), expected, atol=3e-2, rtol=3e-2)


@pytest.mark.parametrize(("gradients", "dropout"), [(True, 0.0), (True, 0.1), (False, 0.1)])
def test_gradients_and_dropout_keep_to_plain_products(gradients, dropout, fused, module):
    """The fused kernel is slow backward, and has no dropout."""
    qkv, _, added = drawn(torch.bfloat16, 90)
    with torch.set_grad_enabled(gradients):
        cpu_attention(module, *qkv, added, dropout=dropout)
    assert not fused


@pytest.mark.parametrize("length", [64, 90])
def test_other_precisions_than_bfloat16_do_not_use_matrix_units(length, fused, module):
    qkv, _, added = drawn(torch.float32, length)
    with torch.no_grad():
        cpu_attention(module, *qkv, added)
    assert not fused


@pytest.mark.parametrize("length", [7, 32, 90, 150])
@pytest.mark.parametrize("dropout", [0.0, 1e-9])
def test_gradients_in_bfloat16_are_as_exact_as_it_is(dropout, length, module, monkeypatch):
    """Values that are alike draw nothing anywhere, and must not as they are rounded."""
    monkeypatch.setattr(attention, "has_native_bfloat16", lambda device: True)
    generator = torch.Generator().manual_seed(length)
    states = torch.randn(3, 4, 2, length, 32, generator=generator)
    states[2] += 2.0
    qkv = [each.bfloat16().requires_grad_() for each in states]
    gradient = torch.randn(4, length, 2, 32, generator=generator).bfloat16()
    attended, _ = cpu_attention(module, *qkv, None, scaling=0.3, dropout=dropout)
    attended.backward(gradient)
    exact = [each.detach().double().requires_grad_() for each in qkv]
    query, key, value = exact
    scores = query @ key.mT * 0.3
    (scores.softmax(-1) @ value).transpose(1, 2).backward(gradient.double())
    for found, expected in zip(qkv, exact, strict=True):
        off = (found.grad.double() - expected.grad).norm() / expected.grad.norm()
        assert off < 0.008


@pytest.mark.parametrize("default", [torch.float16, torch.float64])
def test_the_default_dtype_changes_nothing(default, saved_model):
    featurizer = BertFeaturizer(saved_model(), precision="float32", device="cpu", cache=None)
    # One text alone has no mask, and that of a short one is made.
    expected = [featurizer.transform(texts) for texts in (TEXTS, ["x"])]
    torch.set_default_dtype(default)
    try:
        found = [featurizer.transform(texts) for texts in (TEXTS, ["x"])]
    finally:
        torch.set_default_dtype(torch.float32)
    for vectors, before in zip(found, expected, strict=True):
        np.testing.assert_array_equal(vectors, before)


def plain_attention(query, key, value, visible):
    """Attend in float64."""
    scores = query.double() @ key.double().mT * 8**-0.5
    scores = scores.masked_fill(~visible, -torch.inf)
    return (scores.softmax(-1) @ value.double()).transpose(1, 2)


def drawn(dtype, length, seed=0):
    """Return query, key and value that want gradients, a mask, and the same to be added."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, length, 8)
    qkv = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for _ in range(3)]
    visible = torch.ones(2, 1, length, length, dtype=torch.bool)
    visible[1, :, :, (length + 1) // 2 :] = False
    return qkv, visible, torch.zeros(visible.shape).masked_fill_(~visible, -1e30)


@pytest.fixture
def module():
    module = torch.nn.Module()
    module.is_causal = False
    return module


@pytest.mark.parametrize("length", [7, 60, 250])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("said_by", ["module", "call"])
def test_texts_that_are_read_from_one_side_are(length, dtype, said_by, module):
    qkv, _, _ = drawn(dtype, length)
    module.is_causal = said_by == "module"
    said = {} if said_by == "module" else {"is_causal": True}
    attended, _ = cpu_attention(module, *qkv, None, **said)
    expected = plain_attention(*qkv, torch.ones(length, length).tril().bool())
    torch.testing.assert_close(attended.double(), expected, atol=3e-2, rtol=3e-2)


TOLERANCES = [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 3e-2)]


@pytest.mark.parametrize("length", [7, 60, 250])
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_gradients_equal_those_of_plain_attention(length, dtype, tolerance, module):
    qkv, visible, added = drawn(dtype, length)
    weights = torch.randn((2, length, 3, 8), generator=torch.Generator().manual_seed(1))
    attended, _ = cpu_attention(module, *qkv, added)
    (attended * weights.to(dtype)).sum().backward()
    exact = [tensor.detach().double().requires_grad_() for tensor in qkv]
    (plain_attention(*exact, visible) * weights.to(dtype).double()).sum().backward()
    for found, expected in zip(qkv, exact, strict=True):
        torch.testing.assert_close(
            found.grad.double(), expected.grad, atol=tolerance, rtol=tolerance
        )


@pytest.mark.parametrize("length", [7, 60, 250])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("native", [False, True])
def test_queries_that_a_norm_left_in_float32_go_with_values_of_autocast(
    native, dropout, length, module, monkeypatch
):
    monkeypatch.setattr(attention, "has_native_bfloat16", lambda device: native)
    (query, key, value), visible, added = drawn(torch.float32, length)
    with torch.autocast("cpu", torch.bfloat16):
        attended, _ = cpu_attention(module, query, key, value.bfloat16(), added, dropout=dropout)
    assert attended.dtype == torch.bfloat16
    if not dropout:
        expected = plain_attention(query, key, value, visible)
        torch.testing.assert_close(attended.double(), expected, atol=3e-2, rtol=3e-2)


@pytest.mark.parametrize("length", [7, 60, 250])
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_dropout_that_drops_nothing_changes_nothing(length, dtype, tolerance, module):
    qkv, visible, added = drawn(dtype, length)
    with torch.no_grad():
        attended, _ = cpu_attention(module, *qkv, added, dropout=1e-15)
        expected = plain_attention(*qkv, visible)
    torch.testing.assert_close(attended.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("length", [5, 60])
def test_dropout_drops_its_share_and_keeps_the_mean(length, module):
    qkv, _, added = drawn(torch.float32, length)
    ones = torch.ones_like(qkv[2])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attended = torch.stack(
            [cpu_attention(module, *qkv[:2], ones, added, dropout=0.25)[0] for _ in range(400)]
        )
    # With values of one, each result is the sum of the weights that were left.
    assert attended.std() > 0.05
    torch.testing.assert_close(attended.mean(), torch.tensor(1.0), atol=0.02, rtol=0)


def test_all_is_dropped_in_the_end(module):
    qkv, _, added = drawn(torch.float32, 7)
    attended, _ = cpu_attention(module, *qkv, added, dropout=1.0)
    assert not attended.any()


@pytest.mark.parametrize("length", [7, 60])
def test_dropout_is_the_same_with_the_same_seed_and_hides_the_same_in_the_gradient(length, module):
    results = []
    for _ in range(2):
        qkv, _, added = drawn(torch.float32, length)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            attended, _ = cpu_attention(module, *qkv, added, dropout=0.5)
        attended.square().sum().backward()
        # Half the gradient along the values, as the result is linear in them.
        torch.testing.assert_close((qkv[2].grad * qkv[2]).sum(), 2 * attended.square().sum())
        results.append(attended.detach())
    assert torch.equal(*results)


def test_a_model_that_reads_from_one_side_gives_what_transformers_does(tmp_path):
    folder = save(tmp_path, *DECODER.build())
    reference = Reference(folder)
    texts = [TEXTS[0], " ".join(TEXTS[:6])]
    with torch.no_grad():
        outputs = [reference.model(**reference.tokenize(text)) for text in texts]
    expected = np.concatenate([output.last_hidden_state.mean(dim=1) for output in outputs])
    featurizer = BertFeaturizer(folder, precision="float32", device="cpu", cache=None)
    for part in (slice(1), slice(1, 2), slice(2)):
        np.testing.assert_allclose(featurizer.transform(texts[part]), expected[part], atol=1e-4)
