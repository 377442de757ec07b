"""One shared, locked copy of a model; broken and changed folders."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.errors import ModelLoadError
from tests.models import FAMILIES, TEXTS, save

CPU = torch.device("cpu")


@pytest.fixture
def folder(saved_model, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(saved_model("bert"), tmp_path / "model")


def load(folder):
    return load_checkpoint(folder, None, CPU, "float32")


def test_featurizers_share_one_locked_copy(folder):
    before = work.counted()
    for pooling in ("cls", "mean"):
        BertFeaturizer(folder, pooling=pooling, device="cpu", precision="float32").fit_transform(
            TEXTS
        )
    assert (work.counted() - before).models_loaded == 1
    model = load(folder).lower.model
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_loading_leaves_random_states_alone(folder):
    numpy_state = np.random.get_state
    before = torch.random.get_rng_state(), numpy_state()[1].copy(), random.getstate()
    load(folder)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(numpy_state()[1], before[1])
    assert random.getstate() == before[2]


def test_replaced_weights_give_new_vectors(folder, saved_model):
    estimator = BertFeaturizer(folder, precision="float32")
    old, fingerprint = estimator.transform(TEXTS), load(folder).fingerprint
    shutil.copy(saved_model("bert", 1) / "model.safetensors", folder / "model.safetensors")
    assert load(folder).fingerprint != fingerprint
    expected = BertFeaturizer(saved_model("bert", 1), precision="float32").transform(TEXTS)
    np.testing.assert_array_equal(estimator.transform(TEXTS), expected)
    assert np.abs(expected - old).max() > 1e-2


def test_a_fingerprint_is_of_the_content(folder, saved_model):
    assert load(folder).fingerprint == load(saved_model("bert")).fingerprint


@pytest.mark.parametrize("text", ["{not json", "[]", "\xff"])
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelLoadError, match=r"config\.json"):
        load(folder)


def test_truncated_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelLoadError, match="Copy or download it again"):
        load(folder)


def test_weights_that_lack_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    with pytest.raises(ModelLoadError, match=r"tensor\(s\) are missing.*They would be random"):
        load(folder)


def test_no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelLoadError, match=r"tokenizer is missing in .*save_pretrained"):
        load(folder)


def test_code_in_the_folder_is_not_run(folder):
    (folder / "mine.py").write_text("raise SystemExit('the code was run')")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        load(folder)


def test_weights_without_a_pooler(tmp_path):
    model, tokenizer = FAMILIES["bert"].build()
    save(tmp_path, BertForMaskedLM(model.config), tokenizer)
    checkpoint = load(tmp_path)
    assert not checkpoint.has_pooler
    with pytest.raises(ValueError, match=r"pooling='pooler'.*have no pooler"):
        BertFeaturizer(tmp_path, pooling="pooler").fit(TEXTS)


def test_a_replaced_tokenizer_is_loaded_anew(saved_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved_model("bert"), folder)
    first = load_checkpoint(folder, None, CPU, "float32")
    file = folder / "tokenizer.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["normalizer"]["lowercase"] = False
    file.write_text(json.dumps(settings), encoding="utf-8")
    second = load_checkpoint(folder, None, CPU, "float32")
    assert second.fingerprint == first.fingerprint
    assert second.tokenizer_fingerprint != first.tokenizer_fingerprint
