"""One shared, locked copy of a model; changed folders."""

import json
import os
import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import checkpoint as checkpoint_module
from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.language_model import load_language_model
from sklearn_bert.encoder.loading import load_encoder
from sklearn_bert.errors import ModelLoadError
from tests.models import (
    FAMILIES,
    HIDDEN,
    MAX_LENGTH,
    N_LAYERS,
    TEXTS,
    Reference,
    save,
    write_over,
)

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


def test_replaced_weights_give_new_vectors(folder, saved_model):
    estimator = BertFeaturizer(folder, precision="float32")
    old, fingerprint = estimator.transform(TEXTS), load(folder).fingerprint
    shutil.copy(saved_model("bert", 1) / "model.safetensors", folder / "model.safetensors")
    assert load(folder).fingerprint != fingerprint
    expected = BertFeaturizer(saved_model("bert", 1), precision="float32").transform(TEXTS)
    np.testing.assert_array_equal(estimator.transform(TEXTS), expected)
    assert np.abs(expected - old).max() > 1e-2


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_weights_that_are_written_over_stay_as_they_were_loaded(precision, tmp_path):
    model, tokenizer = FAMILIES["bert"].build()
    save(tmp_path, model.to(getattr(torch, precision)), tokenizer)
    checkpoint = load_checkpoint(tmp_path, None, CPU, precision)
    inputs = {"input_ids": torch.arange(5, 25).view(2, 10)}

    def states():
        found = []
        checkpoint.lower.run(inputs, N_LAYERS, lambda depth, states: found.append(states))
        return torch.stack(found)

    expected = states()
    write_over(tmp_path)
    assert torch.equal(states(), expected)


def replace_weights_on(name, folder, seeds, saved_model, monkeypatch):
    """Have each call of a loading function replace the weights first, while there are seeds."""
    load_it = getattr(checkpoint_module, name)

    def replacing(*args, **kwargs):
        if seeds:
            weights = saved_model("bert", seeds.pop(0)) / "model.safetensors"
            os.replace(shutil.copy(weights, folder / "new"), folder / "model.safetensors")
        return load_it(*args, **kwargs)

    monkeypatch.setattr(checkpoint_module, name, replacing)


def test_weights_that_are_replaced_while_they_are_loaded(folder, saved_model, monkeypatch):
    replace_weights_on("load_tokenizer", folder, [1, 0, 1], saved_model, monkeypatch)
    with pytest.raises(ModelLoadError, match="were replaced each of the 3 times"):
        load(folder)
    replace_weights_on("load_tokenizer", folder, [0, 2], saved_model, monkeypatch)
    checkpoint = load(folder)
    assert checkpoint.fingerprint == load(saved_model("bert", 2)).fingerprint
    expected = load_encoder(saved_model("bert", 2), torch.float32).get_input_embeddings().weight
    assert torch.equal(checkpoint.lower.model.get_input_embeddings().weight, expected)


def test_weights_that_are_replaced_while_more_is_read_of_them(
    folder, saved_model, tmp_path, monkeypatch
):
    checkpoint = load(folder)
    weights = {"embeddings.LayerNorm.bias": torch.ones(HIDDEN)}
    (tmp_path / "new").mkdir()
    for name, read in (
        ("load_encoder", lambda: checkpoint.settle(checkpoint.trainable_copy())),
        ("load_encoder", lambda: checkpoint.export(tmp_path / "new", weights)),
        ("weight_files", lambda: checkpoint.export(tmp_path / "new", {})),
    ):
        with monkeypatch.context() as patch:
            replace_weights_on(name, folder, [1], saved_model, patch)
            with pytest.raises(ModelLoadError, match="not those that were loaded"):
                read()
        shutil.copy(saved_model("bert") / "model.safetensors", folder)


@pytest.mark.parametrize("way", ["replaced", "gone"])
def test_nothing_more_is_read_of_weights_that_are_others(way, folder, saved_model, tmp_path):
    checkpoint = load(folder)
    assert checkpoint.source() == folder
    if way == "gone":
        shutil.rmtree(folder)
    else:
        shutil.copy(saved_model("bert", 1) / "model.safetensors", folder / "model.safetensors")
    (tmp_path / "new").mkdir()
    for read in (
        checkpoint.trainable_copy,
        lambda: checkpoint.export(tmp_path / "new", {}),
        lambda: load_language_model(checkpoint),
    ):
        with pytest.raises(ModelLoadError, match="not those that were loaded from there"):
            read()
    assert not list((tmp_path / "new").iterdir())


def test_a_relative_folder_is_that_of_the_working_directory(saved_model, tmp_path, monkeypatch):
    fingerprints = []
    for seed in (0, 1):
        shutil.copytree(saved_model("bert", seed), tmp_path / str(seed) / "model")
        monkeypatch.chdir(tmp_path / str(seed))
        checkpoint = load("model")
        assert checkpoint.source() == tmp_path / str(seed) / "model"
        fingerprints.append(checkpoint.fingerprint)
    assert fingerprints[0] != fingerprints[1]


def test_entries_of_the_same_name_are_models_of_their_folders(saved_model, tmp_path):
    fingerprints = set()
    for seed in (0, 1):
        shutil.copytree(saved_model("bert", seed), tmp_path / str(seed) / "model")
        with os.scandir(tmp_path / str(seed)) as entries:
            fingerprints.add(load(next(entries)).fingerprint)
    assert len(fingerprints) == 2


def test_weights_without_a_pooler(tmp_path):
    model, tokenizer = FAMILIES["bert"].build()
    save(tmp_path, BertForMaskedLM(model.config), tokenizer)
    checkpoint = load(tmp_path)
    assert not checkpoint.has_pooler
    with pytest.raises(ValueError, match=r"pooling='pooler'.*have no pooler"):
        BertFeaturizer(tmp_path, pooling="pooler").fit(TEXTS)


def test_special_tokens_in_texts_are_split_where_the_tokenizer_says_so(folder, tmp_path):
    before = load(folder).tokenizer_fingerprint
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | {"split_special_tokens": True}
    file.write_text(json.dumps(settings), encoding="utf-8")
    checkpoint = load(folder)
    assert checkpoint.tokenizer_fingerprint != before
    texts = ["[SEP] film [CLS] good", "a film"]
    found = checkpoint.text_tokenizer(24, "truncate").windows(texts)
    expected = Reference(folder).tokenizer(texts)["input_ids"]
    assert [ids.tolist() for ids in found.ids] == expected
    assert len(expected[0]) > 6
    (tmp_path / "saved").mkdir()
    checkpoint.export(tmp_path / "saved", {})
    assert load(tmp_path / "saved").tokenizer_fingerprint == checkpoint.tokenizer_fingerprint


def test_tokenizers_of_the_latest_few_limits_are_kept(folder):
    checkpoint = load(folder)
    first = weakref.ref(checkpoint.text_tokenizer(8, "truncate"))
    others = []
    for max_length in range(9, 40):
        others.append(weakref.ref(checkpoint.text_tokenizer(max_length, "truncate")))
        assert checkpoint.text_tokenizer(8, "truncate") is first()
    assert sum(other() is not None for other in others) == 3


def test_a_model_without_a_number_of_positions_has_the_tokenizers_limit(tmp_path):
    settings = {"n_layer": 4, "n_head": 4, "max_position_embeddings": -1}
    bloom = replace(FAMILIES["distilbert"], config="BloomConfig", settings=settings)
    model, tokenizer = bloom.build()
    assert load(save(tmp_path, model, tokenizer)).max_length == MAX_LENGTH


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


def test_what_every_call_sets_is_no_part_of_a_tokenizer(saved_model, tmp_path):
    folder = shutil.copytree(saved_model("bert"), tmp_path / "model")
    before, tokenizer = load(folder), Reference(folder).tokenizer
    tokenizer(TEXTS, padding="max_length", max_length=16, truncation=True)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    assert settings["padding"]
    assert settings["truncation"]
    after = load(folder)
    assert after is not before
    assert after.tokenizer_fingerprint == before.tokenizer_fingerprint
    (tmp_path / "saved").mkdir()
    after.export(tmp_path / "saved", {})
    exported = json.loads((tmp_path / "saved" / "tokenizer.json").read_text(encoding="utf-8"))
    assert exported == settings


def test_pairs_of_a_model_with_one_type_and_a_tokenizer_with_two(tmp_path):
    settings = FAMILIES["roberta"].settings | {"type_vocab_size": 1}
    family = replace(FAMILIES["roberta"], tokenizer=FAMILIES["bert"].tokenizer, settings=settings)
    model, tokenizer = family.build()
    folder = save(tmp_path, model, tokenizer)
    assert "token_type_ids" in tokenizer.model_input_names
    texts = [("the film is good", "a bad story"), ("dull", "a film")]
    found = BertFeaturizer(folder, pooling="cls", precision="float32").transform(texts)
    for text, vector in zip(texts, found, strict=True):
        inputs = tokenizer(*text, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            expected = model.eval()(**inputs).last_hidden_state[0, 0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_replaced_vocabulary_is_loaded_anew(saved_model, tmp_path):
    folder = shutil.copytree(saved_model("bert-chinese"), tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    words = FAMILIES["bert-chinese"].tokenizer().get_vocab()
    found = set()
    for order in (sorted(words, key=words.get), sorted(words, key=words.get, reverse=True)):
        (folder / "vocab.txt").write_text("\n".join(order), encoding="utf-8")
        found.add(load(folder).tokenizer_fingerprint)
    assert len(found) == 2
