"""What holds on a GPU: the same vectors and scores, nothing left on it, pickles that load without.

Skipped where there is none. Everything else in the suite runs on the processor.
"""

import os
import pickle
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
    cache,
)
from sklearn_bert.encoder import execution, work
from tests.models import FAMILIES, PAIRS, TEXTS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

X = [f"{text} {number}" for number in range(3) for text in TEXTS]
Y = np.array(["good" in text for text in X])
LONG = "the film is very good " * 40


@dataclass
class Memory:
    """What tensors take of the GPU."""

    start: int

    def grown(self) -> int:
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated() - self.start


@pytest.fixture
def memory():
    torch.cuda.synchronize()
    return Memory(torch.cuda.memory_allocated())


@pytest.fixture
def model(saved_model):
    return saved_model()


def on_both(model, **settings):
    """Return a featurizer on the GPU and one on the processor, both exact and without a store."""
    common = {"precision": "float32", "cache": None, **settings}
    return (BertFeaturizer(model, device=device, **common) for device in ("cuda", "cpu"))


def test_auto_means_the_gpu_and_what_it_computes_natively(model):
    featurizer = BertFeaturizer(model).fit(X)
    assert featurizer.device_ == "cuda:0"
    native = torch.cuda.get_device_capability() >= (8, 0)
    assert featurizer.precision_ == ("bfloat16" if native else "float32")


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("settings", [{"layers": [0, -1, -2], "pooling": ["cls", "mean", "max"]}])
def test_vectors_are_those_of_the_processor(family, settings, saved_model):
    on_gpu, on_cpu = on_both(saved_model(family), **settings)
    np.testing.assert_allclose(on_gpu.transform(X), on_cpu.transform(X), atol=1e-4)


@pytest.mark.parametrize(
    ("texts", "long_text"), [(PAIRS, "truncate"), ([LONG, "short", LONG + "a"], "chunk")]
)
def test_pairs_and_windows_too(texts, long_text, model):
    on_gpu, on_cpu = on_both(model, long_text=long_text, pooling=["mean", "max", "last", "pooler"])
    np.testing.assert_allclose(on_gpu.transform(texts), on_cpu.transform(texts), atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_rough_vectors_point_where_exact_ones_do(precision, model):
    rough = BertFeaturizer(model, device="cuda", precision=precision, normalize=True).transform(X)
    exact = BertFeaturizer(model, device="cpu", precision="float32", normalize=True).transform(X)
    assert (rough * exact).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("owed", [1, execution._OWED_BYTES])
def test_many_small_batches_arrive_in_their_places(owed, model, monkeypatch):
    """Each is handed over while the next one is computed, or all of them in the end."""
    monkeypatch.setattr(execution, "_OWED_BYTES", owed)
    whole, small = (
        BertFeaturizer(model, device="cuda", precision="float32", batch_tokens=tokens)
        for tokens in (4096, 16)
    )
    expected = whole.transform(X)
    cache.clear()
    np.testing.assert_allclose(small.transform(X), expected, atol=1e-4)
    before = work.counted()
    np.testing.assert_allclose(small.transform(X[::-1]), expected[::-1], atol=1e-4)
    assert (work.counted() - before).texts == 0


def test_without_memory_the_budget_is_halved_and_the_pass_goes_on(model, monkeypatch):
    featurizer = BertFeaturizer(model, device="cuda", precision="float32", cache=None)
    many = [f"{text} {number}" for number in range(40) for text in TEXTS]
    expected = featurizer.transform(many)
    run, failures = execution.Budget.run, []

    def scarce(self, forward, tokens):
        def work():
            if self.tokens > 100:
                failures.append(self.tokens)
                return torch.empty(2**50, dtype=torch.uint8, device="cuda")
            return forward()

        return run(self, work, tokens)

    monkeypatch.setattr(execution.Budget, "run", scarce)
    np.testing.assert_allclose(featurizer.transform(many), expected, atol=1e-4)
    assert len(failures) > 3


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_another_gpu_than_the_current_one_is_waited_for(model):
    settings = {"precision": "float32", "cache": None, "batch_tokens": 64}
    first, second = (BertFeaturizer(model, device=f"cuda:{n}", **settings) for n in (0, 1))
    np.testing.assert_allclose(second.transform(X * 50), first.transform(X * 50), atol=1e-4)


@pytest.mark.parametrize("freeze", ["all", -1, "embeddings", "none"])
def test_fits_are_the_same_with_and_without_a_store_and_again(freeze, model):
    settings = {"freeze": freeze, "precision": "float32", "random_state": 0, "device": "cuda"}
    torch.cuda.manual_seed(7)
    state = torch.cuda.get_rng_state()
    found = [
        BertFineTuneClassifier(model, cache=kept, **settings).fit(X, Y).predict_proba(X)
        for kept in ("memory", "memory", None)
    ]
    assert torch.equal(torch.cuda.get_rng_state(), state)
    for probabilities in found[1:]:
        np.testing.assert_allclose(probabilities, found[0], atol=1e-3)


@pytest.mark.parametrize("contrast", [0, 1])
@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_fine_tuning_learns_in_bfloat16(pooling, checkpointing, contrast, model):
    classifier = BertFineTuneClassifier(
        model,
        pooling=pooling,
        device="cuda",
        precision="bfloat16",
        lr=5e-3,
        head_lr=1e-2,
        batch_size=5,
        max_epochs=20,
        random_state=0,
        gradient_checkpointing=checkpointing,
        contrastive_weight=contrast,
    ).fit(X, Y)
    assert classifier.score(X, Y) > 0.85


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_no_fit_leaves_anything_on_the_gpu_but_what_it_trained(pooling, model, memory):
    fitted = BertFineTuneClassifier(model, pooling=pooling, device="cuda", max_epochs=1)
    grown = []
    for _ in range(4):
        for freeze in ("all", -2, "none", -1):
            fitted.set_params(freeze=freeze).fit(X, Y).predict(X)
        grown.append(memory.grown())
    # The first round has what libraries allocate once.
    assert grown[1:] == grown[1:2] * 3


@pytest.mark.parametrize("estimator", [BertFineTuneClassifier, BertFineTuneRegressor])
def test_a_pickle_made_on_a_gpu_knows_no_device(estimator, model, run_python, tmp_path):
    fitted = estimator(model, freeze=-1, precision="float32", max_epochs=1, random_state=0)
    fitted.fit(X, Y.astype(float))
    assert fitted.device_ == "cuda:0"
    expected = fitted.predict(X)
    file = tmp_path / "fitted.pickle"
    file.write_bytes(pickle.dumps(fitted))
    script = """
import pickle, sys
import numpy as np
fitted = pickle.load(open(sys.argv[1], "rb"))
np.save(sys.argv[2], fitted.predict(sys.argv[3:]))
"""
    result = tmp_path / "predicted.npy"
    run_python(
        script, file, result, *X, CUDA_VISIBLE_DEVICES="", PYTHONPATH=os.pathsep.join(sys.path)
    )
    np.testing.assert_allclose(np.load(result), expected, atol=1e-3)


def test_masked_training_lowers_the_perplexity(model):
    settings = {"chunk_length": 16, "lr": 1e-3, "random_state": 0}
    masked = BertMaskedLM(model, device="cuda", max_epochs=1, **settings)
    before = masked.fit(X).perplexity(X)
    assert masked.set_params(max_epochs=8).fit(X).perplexity(X) < before
