import copy
import io
import pickle
import shutil
from dataclasses import replace

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tokenizers import normalizers
from transformers import AutoModel, AutoTokenizer

import sklearn_bert
from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from sklearn_bert.encoder import work
from sklearn_bert.encoder.frozen import Kind
from sklearn_bert.errors import ModelLoadError, ModelNotFoundError
from sklearn_bert.persistence import EncoderReference
from tests.models import FAMILIES, TEXTS, save, write_over

KINDS = [Kind(4, "mean")]


def reference_to(model, **changes):
    settings = {
        "revision": None,
        "max_length": 20,
        "device": "cpu",
        "precision": "float32",
        "cache": None,
    }
    return EncoderReference(model, **(settings | changes))


@pytest.fixture
def folder(saved_model, tmp_path):
    """Return a folder that may be changed."""
    return shutil.copytree(saved_model("bert"), tmp_path / "model")


def test_nothing_is_loaded_before_it_is_needed():
    reference = reference_to("no/such/model/anywhere")
    copied = pickle.loads(pickle.dumps(reference))
    assert copied.model == "no/such/model/anywhere"
    with pytest.raises(ModelNotFoundError):
        reference_to("/no/such/folder").encoder()


def test_the_encoder_is_the_shared_one_with_the_parameters_given(saved_model):
    reference = reference_to(saved_model())
    encoder = reference.encoder(verbose=1)
    assert encoder is reference.encoder()
    assert encoder.max_length == 20
    assert encoder.checkpoint.precision == "float32"
    assert str(encoder.checkpoint.device) == "cpu"
    assert encoder.store is None
    assert encoder.long_text == "truncate"
    assert encoder.for_tuning
    before = work.counted()
    assert reference_to(saved_model()).encoder().checkpoint is encoder.checkpoint
    assert (work.counted() - before).models_loaded == 0


def test_what_is_known_of_what_is_loaded(saved_model):
    reference = reference_to(saved_model())
    assert reference.fingerprint == reference.tokenizer_fingerprint == ""
    known = reference.known()
    checkpoint = reference.encoder().checkpoint
    assert known.fingerprint == checkpoint.fingerprint != ""
    assert known.tokenizer_fingerprint == checkpoint.tokenizer_fingerprint != ""
    assert known.encoder() is reference.encoder()
    assert reference.fingerprint == ""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_fingerprint_is_that_of_the_content(precision, saved_model, folder):
    first = reference_to(saved_model(), precision=precision).known()
    second = reference_to(folder).known()
    assert first.fingerprint == second.fingerprint
    assert first.tokenizer_fingerprint == second.tokenizer_fingerprint
    assert reference_to(saved_model("roberta")).known().fingerprint != first.fingerprint


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_a_copy_finds_the_encoder_again_and_carries_no_weights(how, saved_model):
    known = reference_to(saved_model()).known()
    expected, _ = known.encoder().pooled(TEXTS, KINDS)
    assert len(pickle.dumps(known)) < 1000
    copied = pickle.loads(pickle.dumps(known)) if how == "pickle" else copy.deepcopy(known)
    assert copied._encoder == []
    found, _ = copied.encoder().pooled(TEXTS, KINDS)
    np.testing.assert_array_equal(found, expected)
    for name in ("model", "revision", "max_length", "precision", "cache"):
        assert getattr(copied, name) == getattr(known, name)
    assert copied.fingerprint == known.fingerprint
    assert copied.tokenizer_fingerprint == known.tokenizer_fingerprint


def test_a_pickle_leaves_the_first_as_it_is(saved_model):
    known = reference_to(saved_model()).known()
    encoder = known.encoder()
    pickle.dumps(known)
    assert known.encoder() is encoder
    assert known.device == "cpu"


def test_what_was_fitted_on_a_device_that_is_not_here_runs_on_another(saved_model):
    known = reference_to(saved_model()).known()
    elsewhere = replace(known, device="cuda:99", _encoder=[])
    copied = pickle.loads(pickle.dumps(elsewhere))
    assert copied.device == "cuda:99"
    found, _ = copied.encoder().pooled(TEXTS, KINDS)
    expected, _ = known.encoder().pooled(TEXTS, KINDS)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_device_that_is_not_here_is_an_error_before_fitting(saved_model):
    with pytest.raises(ValueError, match="device='cuda:99' can't be used"):
        reference_to(saved_model(), device="cuda:99").encoder()


def test_other_weights_are_refused(folder):
    kept = pickle.dumps(reference_to(folder).known())
    model, tokenizer = FAMILIES["bert"].build(seed=1)
    save(folder, model, tokenizer)
    with pytest.raises(ModelLoadError) as error:
        pickle.loads(kept).encoder()
    message = str(error.value)
    assert f"model={folder!r} has other weights than this estimator was fitted with" in message
    assert "Put the model back that it was fitted with, or fit anew." in message


def test_a_reference_knows_its_checkpoint(saved_model, folder):
    reference = reference_to(folder).known()
    same = reference_to(saved_model("bert")).encoder().checkpoint
    assert reference.is_of(same)
    assert not reference.is_of(reference_to(saved_model("bert", 1)).encoder().checkpoint)
    assert not reference_to(folder).is_of(same)


def test_another_tokenizer_is_refused(folder):
    kept = pickle.dumps(reference_to(folder).known())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelLoadError, match="has another tokenizer than this"):
        pickle.loads(kept).encoder()


def test_the_same_model_saved_again_is_accepted(folder):
    kept = pickle.dumps(reference_to(folder).known())
    names = load_file(folder / "model.safetensors").keys()
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    if load_file(folder / "model.safetensors").keys() != names:
        pytest.skip("the first transformers 5 give weights their old names when they save again")
    assert pickle.loads(kept).encoder().checkpoint.n_layers == 4


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (BertFineTuneClassifier, {"freeze": "embeddings"}),
        (BertFineTuneClassifier, {"freeze": -1}),
        (BertMaskedLM, {"freeze": -1, "chunk_length": 16}),
    ],
)
def test_weights_that_are_written_over_change_nothing_that_is_fitted(make, settings, folder):
    tuning = {"max_epochs": 1, "precision": "float32", "device": "cpu", "random_state": 0}
    estimator = make(folder, **settings, **tuning).fit(TEXTS, np.arange(10) % 2)
    answer = estimator.perplexity if make is BertMaskedLM else estimator.predict_proba
    expected = answer(TEXTS)
    sklearn_bert.cache.clear()
    write_over(folder)
    np.testing.assert_array_equal(answer(TEXTS), expected)


def test_a_folder_that_is_gone_is_said(folder):
    kept = pickle.dumps(reference_to(folder).known())
    shutil.rmtree(folder)
    with pytest.raises(ModelNotFoundError):
        pickle.loads(kept).encoder()


def test_references_cannot_be_changed(saved_model):
    with pytest.raises(AttributeError):
        reference_to(saved_model()).model = "other"


def test_references_are_equal_by_what_they_refer_to(saved_model):
    first, second = reference_to(saved_model()), reference_to(saved_model())
    first.encoder()
    assert first == second
    assert first != reference_to(saved_model("roberta"))
    assert first != first.known()


def test_another_process_gets_the_same(saved_model, tmp_path, run_python):
    known = reference_to(saved_model()).known()
    vectors, _ = known.encoder().pooled(TEXTS, KINDS)
    (tmp_path / "reference.pkl").write_bytes(pickle.dumps(known))
    np.save(tmp_path / "vectors.npy", vectors)
    script = """
import pickle, sys
import numpy as np
from sklearn_bert.encoder import work
from sklearn_bert.encoder.frozen import Kind
from tests.models import TEXTS
with open(sys.argv[1] + "/reference.pkl", "rb") as file:
    reference = pickle.load(file)
assert work.counted().models_loaded == 0
found, _ = reference.encoder().pooled(TEXTS, [Kind(4, "mean")])
np.testing.assert_allclose(found, np.load(sys.argv[1] + "/vectors.npy"), atol=1e-6)
"""
    run_python(script, tmp_path)


WAYS = {
    "pickle": (pickle.dumps, pickle.loads),
    "cloudpickle": (cloudpickle.dumps, cloudpickle.loads),
    "joblib": (
        lambda estimator: _through_joblib("dump", estimator),
        lambda data: _through_joblib("load", data),
    ),
}


def _through_joblib(direction, value):
    file = io.BytesIO(b"" if direction == "dump" else value)
    if direction == "load":
        return joblib.load(file)
    joblib.dump(value, file)
    return file.getvalue()


def small_estimators(model):
    settings = {"device": "cpu", "precision": "float32", "random_state": 0, "max_epochs": 1}
    return [
        BertFineTuneClassifier(model, freeze=-1, **settings),
        BertFineTuneRegressor(model, freeze="all", **settings),
        make_pipeline(
            BertFeaturizer(model, device="cpu", precision="float32"), LogisticRegression()
        ),
        BertMaskedLM(model, freeze=-1, chunk_length=16, **settings),
    ]


def answer(estimator):
    """Return what a fitted estimator says of the texts."""
    method = estimator.predict if hasattr(estimator, "predict") else estimator.perplexity
    return method(TEXTS)


def test_estimators_predict_the_same_in_another_process(saved_model, tmp_path, run_python):
    for number, estimator in enumerate(small_estimators(saved_model())):
        expected = answer(estimator.fit(TEXTS, [0, 1] * 5))
        np.save(tmp_path / f"{number}.npy", expected)
        for way, (dump, load) in WAYS.items():
            data = dump(estimator)
            np.testing.assert_allclose(answer(load(data)), expected, rtol=1e-5)
            (tmp_path / f"{number}.{way}").write_bytes(data)
    script = """
import sys
from pathlib import Path
import numpy as np
from tests.test_persistence import WAYS, answer
folder = Path(sys.argv[1])
for expected in folder.glob("*.npy"):
    for way, (_, load) in WAYS.items():
        estimator = load(expected.with_suffix("." + way).read_bytes())
        np.testing.assert_allclose(answer(estimator), np.load(expected), rtol=1e-5)
        print(way, type(estimator).__name__)
"""
    assert len(run_python(script, tmp_path).stdout.split("\n")) == 4 * len(WAYS) + 1


def test_a_pickle_has_no_tensor_that_is_tied_to_a_device(saved_model, monkeypatch):
    """As if all tensors were on a GPU: torch then writes where, and refuses to load elsewhere."""
    estimators = [estimator.fit(TEXTS, [0, 1] * 5) for estimator in small_estimators(saved_model())]
    expected = [answer(estimator) for estimator in estimators]
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        dumped = [pickle.dumps(estimator) for estimator in estimators]
        tensor = pickle.dumps(torch.ones(2))
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            pickle.loads(tensor)
    for data, of_first in zip(dumped, expected, strict=True):
        np.testing.assert_allclose(answer(pickle.loads(data)), of_first, rtol=1e-5)


def test_weights_that_are_gone_are_named_with_the_remedy(folder):
    classifier = small_estimators(folder)[0].fit(TEXTS, [0, 1] * 5)
    data = pickle.dumps(classifier)
    shutil.rmtree(folder)
    with pytest.raises(ModelNotFoundError, match="there is no such folder"):
        pickle.loads(data).predict(TEXTS)


def test_skops_keeps_a_pipeline(saved_model):
    pipeline = small_estimators(str(saved_model()))[2].fit(TEXTS, [0, 1] * 5)
    data = skops.io.dumps(pipeline)
    unknown = skops.io.get_untrusted_types(data=data)
    assert unknown == ["sklearn_bert.featurizer.BertFeaturizer"]
    loaded = skops.io.loads(data, trusted=unknown)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), pipeline.predict_proba(TEXTS))
