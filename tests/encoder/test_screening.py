"""Folders that mean harm, or were damaged: nothing runs, and the error says what is wrong."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.screening import screen
from sklearn_bert.encoder.sources import weight_files
from sklearn_bert.errors import ModelLoadError

HARM = """
from pathlib import Path
Path({marker!r}).touch()
class Harm: ...
"""


@pytest.fixture
def folder(saved_model, tmp_path):
    """Return a folder that may be changed."""
    return shutil.copytree(saved_model("bert"), tmp_path / "model")


def load(folder):
    return load_checkpoint(folder, None, torch.device("cpu"), "float32")


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def header_of(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(path, header, data, length=None):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def test_a_sound_folder_passes(folder):
    config = screen(folder, weight_files(folder))
    assert config["model_type"] == "bert"


def test_a_sound_folder_in_parts_passes(folder):
    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="50KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(weight_files(folder)) > 1
    assert screen(folder, weight_files(folder))["num_hidden_layers"] == 4
    assert load(folder).n_layers == 4


@pytest.mark.parametrize("model_type", ["bert", "unheard-of", None])
def test_code_in_the_folder_is_never_run(folder, tmp_path, model_type):
    marker = tmp_path / "harm-done"
    for name in ("modeling_harm.py", "configuration_harm.py", "tokenization_harm.py"):
        (folder / name).write_text(HARM.format(marker=str(marker)))
    change(
        folder / "config.json",
        auto_map={
            "AutoConfig": "configuration_harm.Harm",
            "AutoModel": "modeling_harm.Harm",
        },
        trust_remote_code=True,
        model_type=model_type,
    )
    change(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["tokenization_harm.Harm", "tokenization_harm.Harm"]},
        tokenizer_class="Harm",
        trust_remote_code=True,
    )
    if model_type == "bert":
        # The library has an architecture of its own for this name, and takes that.
        assert load(folder).n_layers == 4
    else:
        with pytest.raises(ModelLoadError):
            load(folder)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_kernels_from_elsewhere_are_refused(folder, name):
    change(folder / "config.json", **{name: "someone/kernels"})
    with pytest.raises(ModelLoadError, match=r"asks for .*'someone/kernels', which is code"):
        load(folder)


def test_kernels_deep_in_a_config_are_refused(folder):
    change(folder / "config.json", text_config={"inner": [{"attn_implementation": "a/b"}]})
    with pytest.raises(ModelLoadError, match="asks for"):
        load(folder)


def test_an_adapter_does_not_bring_another_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    with pytest.raises(ModelLoadError, match="merge_and_unload"):
        load(folder)


@pytest.mark.parametrize(
    "places",
    [
        {"embeddings.word_embeddings.weight": "../../elsewhere.safetensors"},
        {"embeddings.word_embeddings.weight": "/etc/passwd"},
        {"embeddings.word_embeddings.weight": "model-00002-of-00002.safetensors"},
        ["model-00001-of-00001.safetensors"],
        None,
    ],
)
def test_an_index_names_only_the_files_beside_it(folder, places):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelLoadError, match="do not agree, first about"):
        load(folder)


def test_weights_cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match="and its header speaks of"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"1234", b"\x00" * 8, b"\xff" * 64, b"PK\x03\x04" * 9])
def test_weights_that_are_none(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"no whole safetensors file|header can't be read"):
        load(folder)


@pytest.mark.parametrize("length", [2**62, 10**9, 1])
def test_a_header_longer_than_the_file(folder, length):
    path = folder / "model.safetensors"
    header, data = header_of(path)
    write_header(path, header, data, length)
    with pytest.raises(ModelLoadError, match="no whole safetensors file"):
        load(folder)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"data_offsets": "x"}},
        {"a": {"data_offsets": [0]}},
        {},
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
    ],
)
def test_a_header_that_says_nothing_true(folder, header):
    write_header(folder / "model.safetensors", header, b"\x00" * 16)
    with pytest.raises(ModelLoadError, match=r"header can't be read|header speaks of"):
        load(folder)


def test_tensors_that_lie_about_their_shape(folder):
    path = folder / "model.safetensors"
    header, data = header_of(path)
    header["embeddings.word_embeddings.weight"]["shape"][0] *= 1000
    write_header(path, header, data)
    with pytest.raises(ModelLoadError, match="can't be loaded"):
        load(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"num_hidden_layers": 10**6},
        {"max_position_embeddings": 10**12},
        {"vocab_size": 10**10},
        {"inner": [[{"num_layers": 5000}]]},
    ],
)
def test_sizes_that_the_weights_do_not_have(folder, entries):
    change(folder / "config.json", **entries)
    with pytest.raises(ModelLoadError, match="which the weights do not have"):
        load(folder)


@pytest.mark.parametrize("entries", [{"hidden_size": 4096}, {"num_hidden_layers": 5}])
def test_sizes_that_do_not_fit_the_weights(folder, entries):
    change(folder / "config.json", **entries)
    with pytest.raises(ModelLoadError):
        load(folder)


@pytest.mark.parametrize("text", ["", "[", "[]", "3", "[" * 100_000, '{"a":' * 100_000, "\x00"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_json_that_is_none_or_too_deep(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(ModelLoadError):
        load(folder)


def test_json_too_large_to_read(folder):
    with (folder / "config.json").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(ModelLoadError, match="It is not read"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_pickled_weights_are_refused(folder, name):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ModelLoadError, match="never loaded"):
        load(folder)


def test_pickled_weights_beside_safe_ones_are_not_looked_at(folder):
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert load(folder).n_layers == 4


def test_a_tokenizer_with_more_tokens_than_embeddings(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["beyond"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelLoadError, match=r"113 tokens, and the model embeddings for 112"):
        load(folder)


def test_other_tensors_in_the_file_are_left_alone(folder):
    path = folder / "model.safetensors"
    save_file(load_file(path) | {"../../etc/passwd": torch.ones(1)}, path, {"format": "pt"})
    assert load(folder).n_layers == 4
