import numpy as np
import pytest
import torch

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder import execution
from sklearn_bert.encoder.execution import Budget, ahead, resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [({"avx512_bf16"}, "bfloat16"), ({"amx_bf16"}, "bfloat16"), ({"avx2"}, "float32")],
)
def test_auto_precision_follows_the_processor(flags, precision, monkeypatch):
    monkeypatch.setattr(execution, "_cpu_flags", lambda: frozenset(flags))
    assert resolve_precision("auto", CPU) == precision


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_where_there_is_none(device):
    with pytest.raises(ValueError, match=f"device='{device}' can't be used. Accepted: 'auto', 'c"):
        resolve_device(device)


def test_bfloat16_stays_close_to_float32():
    texts = load_sample_reviews().data[:150]
    exact, fast = (
        BertFeaturizer(precision=precision, normalize=True).transform(texts)
        for precision in ("float32", "bfloat16")
    )
    assert (exact * fast).sum(axis=1).min() >= 0.999


def test_a_budget_halves_and_then_gives_up():
    budget, seen = Budget(4, CPU), []

    def fail():
        seen.append(budget.tokens)
        raise torch.OutOfMemoryError("full")

    assert budget.run(fail) is None
    assert budget.run(fail) is None
    with pytest.raises(torch.OutOfMemoryError):
        budget.run(fail)
    assert seen == [4, 2, 1]


def test_ahead_keeps_order_and_errors():
    assert list(ahead(iter(range(1, 6)))) == [1, 2, 3, 4, 5]

    def failing():
        yield np.ones(1)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        list(ahead(failing()))
