"""Fingerprints, tokenizers and weights of folders; broken folders."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from transformers import logging as transformers_logging

from sklearn_bert.encoder.loading import (
    check_vocabulary,
    content_fingerprint,
    let_go_of_files,
    load_encoder,
    load_tokenizer,
    using_transformers,
)
from sklearn_bert.errors import ModelLoadError
from tests.models import write_over


@pytest.fixture
def folder(saved_model, tmp_path):
    """A copy that a test may break."""
    return shutil.copytree(saved_model("bert"), tmp_path / "model")


def test_loading_leaves_random_states_alone(folder):
    numpy_state = np.random.get_state
    before = torch.random.get_rng_state(), numpy_state()[1].copy(), random.getstate()
    load_encoder(folder, torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(numpy_state()[1], before[1])
    assert random.getstate() == before[2]


def test_a_fingerprint_is_of_the_content(folder, saved_model):
    assert content_fingerprint(folder) == content_fingerprint(saved_model("bert"))


@pytest.mark.parametrize("text", ["{not json", "[]", "\xff"])
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelLoadError, match=r"config\.json"):
        content_fingerprint(folder)


def test_truncated_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelLoadError, match="Copy or download it again"):
        content_fingerprint(folder)


def test_weights_that_lack_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    with pytest.raises(ModelLoadError, match=r"tensor\(s\) are missing.*They would be random"):
        load_encoder(folder, torch.float32)


def test_no_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelLoadError, match=r"tokenizer is missing in .*save_pretrained"):
        load_tokenizer(folder)


def test_files_that_are_written_over_are_let_go_of(folder):
    model = load_encoder(folder, torch.float32)
    let_go_of_files(model)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_over(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_code_in_the_folder_is_not_run(folder):
    (folder / "mine.py").write_text("raise SystemExit('the code was run')")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        load_encoder(folder, torch.float32)


def test_a_tokenizer_with_more_words_than_the_model(folder):
    tokenizer = load_tokenizer(folder)
    model = load_encoder(folder, torch.float32)
    check_vocabulary(folder, model, tokenizer)
    tokenizer.add_tokens([f"new{i}" for i in range(model.config.vocab_size)])
    with pytest.raises(ModelLoadError, match="resize_token_embeddings"):
        check_vocabulary(folder, model, tokenizer)


def test_transformers_says_nothing_within_and_as_before_after():
    transformers_logging.set_verbosity_info()
    transformers_logging.enable_progress_bar()
    try:
        with using_transformers():
            assert transformers_logging.get_verbosity() == transformers_logging.ERROR
            assert not transformers_logging.is_progress_bar_enabled()
        assert transformers_logging.get_verbosity() == transformers_logging.INFO
        assert transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.set_verbosity_warning()
