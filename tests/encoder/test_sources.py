"""Where a model is looked for, and what is never accepted."""

import contextlib
import shutil

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import sources
from sklearn_bert.encoder.sources import EMBEDDED_MODEL, find_model_folder
from sklearn_bert.errors import ModelLoadError, ModelNotFoundError
from tests.models import FAMILIES

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty Hub cache and a Hub that refuses connections."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


def test_a_folder(saved_model):
    assert find_model_folder(saved_model("bert")) == saved_model("bert")
    assert find_model_folder(str(saved_model("bert"))) == saved_model("bert")


@pytest.mark.parametrize("name", ["./no/such", "/no/such/folder", "~/no-such-folder-here", "a/b/c"])
def test_a_path_without_a_folder(name):
    with pytest.raises(ModelNotFoundError, match=r"is a path, and there is no such folder\."):
        find_model_folder(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ModelLoadError, match=r"has no config\.json in .*save_pretrained"):
        find_model_folder(tmp_path)


def test_a_folder_without_weights(saved_model, tmp_path):
    shutil.copy(saved_model("bert") / "config.json", tmp_path)
    with pytest.raises(ModelLoadError, match=r"has no weights in .*model\.safetensors"):
        find_model_folder(tmp_path)


def test_pickled_weights_are_refused(saved_model, tmp_path):
    shutil.copy(saved_model("bert") / "config.json", tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"only in pytorch_model\.bin.*never loaded. Convert"):
        find_model_folder(tmp_path)


@pytest.mark.parametrize("offline", [False, True])
def test_an_unknown_name_without_network(hub_cache, offline, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(ModelNotFoundError, match="'some-org/no-model' with revision='v1' was not"):
        find_model_folder("some-org/no-model", "v1")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("all-MiniLM-L6-v2", "Did you mean 'sentence-transformers/all-MiniLM-L6-v2'?"),
        (
            "all-mpnet-base-v2",
            "Models of sentence-transformers are called 'sentence-transformers/NAME'.",
        ),
    ],
)
def test_short_names_of_sentence_transformers(name, hint, hub_cache):
    with pytest.raises(ModelNotFoundError) as error:
        find_model_folder(name)
    assert str(error.value).endswith(hint)


def test_a_name_that_is_none(hub_cache):
    with pytest.raises(ValueError, match=r"model='not a name!' can't be used\. Accepted"):
        find_model_folder("not a name!")


def test_the_hub_cache_needs_no_network(hub_cache, saved_model):
    repository = hub_cache / "models--some-org--tiny"
    snapshot = repository / "snapshots" / SHA
    shutil.copytree(saved_model("bert"), snapshot)
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(SHA)
    for revision in (None, "main", "v1", SHA):
        assert find_model_folder("some-org/tiny", revision) == snapshot
    with pytest.raises(ModelNotFoundError, match="revision='v2' was not found"):
        find_model_folder("some-org/tiny", "v2")


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json", "model-00002-of-*"])
def test_what_the_cache_has_a_part_of_is_asked_for(missing, hub_cache, tmp_path, monkeypatch):
    model, tokenizer = FAMILIES["bert"].build()
    model.save_pretrained(tmp_path / "whole", max_shard_size="30KB")
    tokenizer.save_pretrained(tmp_path / "whole")
    repository = hub_cache / "models--some-org--tiny"
    snapshot = shutil.copytree(tmp_path / "whole", repository / "snapshots" / SHA)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(SHA)
    download, asked = huggingface_hub.snapshot_download, []

    def watched(*args, local_files_only, **kwargs):
        asked.append(not local_files_only)
        return download(*args, local_files_only=local_files_only, **kwargs)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", watched)
    assert find_model_folder("some-org/tiny") == snapshot
    assert asked == [False]
    [file] = snapshot.glob(missing)
    file.unlink()
    # Without a network the Hub's client gives the part that is there.
    with contextlib.suppress(ModelLoadError):
        assert find_model_folder("some-org/tiny") == snapshot
    assert asked == [False, False, True]


@pytest.mark.parametrize(
    "index", ["no JSON", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}']
)
def test_an_index_that_is_none_is_left_to_those_who_read_it(index, hub_cache, tmp_path):
    model, tokenizer = FAMILIES["bert"].build()
    snapshot = hub_cache / "models--some-org--tiny" / "snapshots" / SHA
    model.save_pretrained(snapshot, max_shard_size="30KB")
    tokenizer.save_pretrained(snapshot)
    (snapshot / "model.safetensors.index.json").write_text(index)
    with pytest.raises((ModelLoadError, ModelNotFoundError)):
        BertFeaturizer("some-org/tiny", revision=SHA).fit(["a text"])


def test_embedded_weights_need_no_network(hub_cache):
    assert (find_model_folder(EMBEDDED_MODEL) / "model.safetensors").is_file()
    assert not hub_cache.exists()


def test_embedded_weights_with_another_digest_are_refused(hub_cache, monkeypatch):
    monkeypatch.setattr(sources, "_EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(ModelLoadError, match=f"expected is {'0' * 64}. They are not used. Reinst"):
        find_model_folder(EMBEDDED_MODEL)


def test_without_the_embedded_extra_the_error_names_it(hub_cache, monkeypatch):
    monkeypatch.setattr(sources, "_EMBEDDED_PACKAGE", "no_such_package")
    with pytest.raises(ModelNotFoundError, match=r"pip install 'sklearn-bert\[embedded\]'"):
        find_model_folder(EMBEDDED_MODEL)
