"""What save_pretrained writes: it comes back the same, others read it, and it is safe to read."""

import contextlib
import itertools
import json
import os
import shutil
import stat
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sklearn.exceptions import NotFittedError
from transformers import AutoModel, AutoTokenizer

import sklearn_bert
from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from sklearn_bert.encoder import work
from sklearn_bert.errors import ModelLoadError, ModelNotFoundError
from tests.models import FAMILIES, PAIRS, TEXTS, Reference, write_over

SAVED = Path(__file__).parent / "saved"  # made by tests/saved/make.py
Y = np.array(list("ababababcc"))
TUNING = {"max_epochs": 2, "batch_size": 4, "random_state": 0, "device": "cpu"}
FLOAT32 = {"precision": "float32", "device": "cpu"}
# Estimator, parameters, y, and the outputs that have to come back.
CASES = {
    "featurizer": (BertFeaturizer, {"layers": [1, -1], "normalize": True}, None),
    "pairs": (BertFeaturizer, {"pairs": "separate"}, None),
    "head": (BertFineTuneClassifier, {"freeze": "all"}, Y),
    "top": (BertFineTuneClassifier, {"freeze": -1, "hidden_layer_sizes": (8, 4)}, Y),
    "whole": (BertFineTuneClassifier, {"pooling": ["cls", "pooler"]}, Y),
    "part": (BertFineTuneClassifier, {"freeze": "all", "unfreeze": ["layer.2.output"]}, Y),
    "halves": (BertFineTuneClassifier, {"freeze": -1, "pairs": "separate"}, np.arange(5) % 2),
    "halves, head": (BertFineTuneRegressor, {"freeze": "all", "pairs": "separate"}, np.arange(5)),
    "numbers": (BertFineTuneClassifier, {"freeze": -2, "activation": "gelu"}, np.arange(10) % 3),
    "signs": (BertFineTuneClassifier, {"freeze": "all"}, np.array(["好", "cut \ud83d"] * 5)),
    "booleans": (BertFineTuneClassifier, {"freeze": "all"}, np.arange(10) > 4),
    "labels": (BertFineTuneClassifier, {"freeze": "all"}, np.eye(10, 3, dtype=int)),
    "tasks": (
        BertFineTuneClassifier,
        {"freeze": -1},
        np.array(
            [[a, b] for a, b in zip("ababababab", [1, 2, 3, None, 1] * 2, strict=True)], object
        ),
    ),
    "regressor": (BertFineTuneRegressor, {"freeze": -1}, np.linspace(-3, 40, 10)),
    "outputs": (BertFineTuneRegressor, {"freeze": "all"}, np.linspace(0, 1, 20).reshape(10, 2)),
    "language": (BertMaskedLM, {"freeze": -1, "chunk_length": 16}, None),
    "language, head": (BertMaskedLM, {"freeze": "all", "chunk_length": 16}, None),
}


@pytest.fixture
def fitted(saved_model):
    """Return a function from a case's name to a fitted estimator and its texts."""

    def fit(case, model=None, **params):
        make, of_case, y = CASES[case]
        texts = PAIRS if "pairs" in of_case else TEXTS
        tuning = {} if make is BertFeaturizer else TUNING
        settings = {**FLOAT32, **tuning, **of_case, **params}
        return make(model or saved_model(), **settings).fit(texts, y), texts

    return fit


def outputs(estimator, texts):
    """Return all that an estimator says about texts."""
    methods = ("transform", "predict", "predict_proba", "decision_function", "perplexity")
    return [
        np.asarray(part)
        for method in methods
        if hasattr(estimator, method)
        for part in _parts(getattr(estimator, method)(texts))
    ]


def _parts(output):
    return output if isinstance(output, list) else [output]


def assert_same(found, expected, atol=1e-5):
    """Compare; numbers may differ in their last digits, with the batches they were computed in."""
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=atol)
    else:
        np.testing.assert_array_equal(found, expected)


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize("case", CASES)
def test_all_comes_back(case, fitted, tmp_path):
    estimator, texts = fitted(case)
    estimator.save_pretrained(tmp_path / "saved")
    loaded = type(estimator).from_pretrained(tmp_path / "saved")
    for found, expected in zip(outputs(loaded, texts), outputs(estimator, texts), strict=True):
        assert_same(found, expected)
        assert found.dtype == expected.dtype
    assert set(vars(loaded)) == set(vars(estimator))
    params = {"model": tmp_path / "saved", "device": "auto"}
    assert loaded.get_params() == estimator.get_params() | params
    own = {"reference_", "net_", "labels_"}
    for name in {name for name in vars(estimator) if name.endswith("_")} - own:
        np.testing.assert_equal(getattr(loaded, name), getattr(estimator, name))


@pytest.mark.parametrize("family", FAMILIES)
def test_other_architectures_come_back(family, saved_model, fitted, tmp_path):
    estimator, texts = fitted("top", saved_model(family), freeze="none")
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(texts), estimator.predict_proba(texts))


@pytest.mark.parametrize("case", ["top", "whole", "part"])
def test_transformers_reads_the_encoder_as_it_was_trained(case, fitted, saved_model, tmp_path):
    estimator, _ = fitted(case)
    estimator.save_pretrained(tmp_path)
    read = AutoModel.from_pretrained(tmp_path).state_dict()
    first = AutoModel.from_pretrained(saved_model()).state_dict()
    trained = estimator.net_.module_.trained()
    assert trained
    for name, weights in read.items():
        assert torch.equal(weights, trained[name] if name in trained else first[name]), name
    assert AutoTokenizer.from_pretrained(tmp_path)("a film").input_ids == (
        AutoTokenizer.from_pretrained(saved_model())("a film").input_ids
    )


def test_the_folder_is_the_model_of_other_estimators(fitted, tmp_path):
    estimator, texts = fitted("whole", pooling="mean")
    estimator.save_pretrained(tmp_path)
    vectors = BertFeaturizer(tmp_path, **FLOAT32).fit_transform(texts)
    np.testing.assert_allclose(vectors, Reference(tmp_path).vectors(texts, "mean"), atol=1e-5)
    again = BertFineTuneRegressor(tmp_path, freeze=-1, **FLOAT32, max_epochs=1, random_state=0)
    assert again.fit(texts, np.arange(10.0)).predict(texts).shape == (10,)


@pytest.mark.parametrize(
    ("case", "params"),
    [
        ("top", {"pooling": "mean"}),
        ("top", {"pooling": "cls"}),
        ("head", {"pooling": ["max", "mean"]}),
        ("halves", {"pooling": "mean"}),
        ("featurizer", {"layers": -1, "normalize": True, "max_length": 8}),
        ("featurizer", {"layers": -1, "normalize": False, "pooling": "last"}),
    ],
)
def test_sentence_transformers_gives_the_same_vectors(case, params, fitted, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator, _ = fitted(case, **params)
        estimator.save_pretrained(tmp_path)
        read = SentenceTransformer(str(tmp_path), device="cpu")
        settings = {"pooling": params["pooling"]} if "pooling" in params else {}
        if case == "featurizer":
            settings = params
        ours = BertFeaturizer(tmp_path, **FLOAT32, **settings).fit_transform(TEXTS)
        np.testing.assert_allclose(read.encode(TEXTS), ours, atol=1e-5)


def test_what_sentence_transformers_has_no_words_for_is_not_claimed(fitted, tmp_path):
    fitted("featurizer", layers=-1)[0].save_pretrained(tmp_path)
    assert (tmp_path / "modules.json").is_file()
    for params in ({"layers": [1, 2]}, {"pooling": "pooler"}, {"pooling": ["mean", "cls"]}):
        fitted("featurizer", **{"layers": -1, **params})[0].save_pretrained(tmp_path)
        assert not (tmp_path / "modules.json").exists()


def test_what_was_not_trained_keeps_its_fingerprint(fitted, tmp_path):
    estimator, texts = fitted("head")
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.reference_.fingerprint == estimator.reference_.fingerprint
    assert loaded.reference_.tokenizer_fingerprint == estimator.reference_.tokenizer_fingerprint
    before = work.counted()
    loaded.predict(texts)
    assert (work.counted() - before).texts == 0


def test_folders_without_a_word_on_pairs_read_them_together(fitted, tmp_path):
    estimator, texts = fitted("top")
    estimator.save_pretrained(tmp_path)
    state = json.loads((tmp_path / "sklearn_bert.json").read_text())
    del state["fitted"]["pairs"], state["params"]["pairs"]
    (tmp_path / "sklearn_bert.json").write_text(json.dumps(state))
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.pairs == "joint"
    np.testing.assert_array_equal(loaded.predict_proba(texts), estimator.predict_proba(texts))


def test_folders_without_a_word_on_the_rate_of_the_head_have_that_of_the_parameter(
    fitted, tmp_path
):
    estimator, texts = fitted("head", head_lr=0.02)
    estimator.save_pretrained(tmp_path)
    state = json.loads((tmp_path / "sklearn_bert.json").read_text())
    del state["fitted"]["head_lr_"]
    (tmp_path / "sklearn_bert.json").write_text(json.dumps(state))
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.head_lr_ == 0.02
    np.testing.assert_array_equal(loaded.predict_proba(texts), estimator.predict_proba(texts))


@pytest.mark.parametrize(("case", "takes_pairs"), [("top", None), ("halves", True)])
def test_folders_without_a_word_on_what_they_take_take_both(case, takes_pairs, fitted, tmp_path):
    # A test for each: texts that the other has kept leave other batches, which round otherwise.
    estimator, texts = fitted(case)
    estimator.save_pretrained(tmp_path)
    path = tmp_path / "sklearn_bert.json"
    state = json.loads(path.read_text())
    del state["fitted"]["takes_pairs_"]
    path.write_text(json.dumps(state))
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.takes_pairs_ is takes_pairs
    np.testing.assert_array_equal(loaded.predict_proba(texts), estimator.predict_proba(texts))
    if takes_pairs:
        with pytest.raises(ValueError, match="Accepted: text pairs"):
            loaded.predict(TEXTS)


def test_a_model_that_was_written_over_is_not_saved(saved_model, tmp_path):
    model = shutil.copytree(saved_model("bert"), tmp_path / "model")
    classifier = BertFineTuneClassifier(model, freeze="all", **TUNING).fit(TEXTS, Y)
    shutil.copy(saved_model("bert", 1) / "model.safetensors", model / "model.safetensors")
    with pytest.raises(ModelLoadError, match="not those that were loaded"):
        classifier.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_loaded_estimator_is_saved_and_loaded_again(fitted, tmp_path):
    estimator, texts = fitted("top")
    estimator.save_pretrained(tmp_path / "first")
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    again = BertFineTuneClassifier.from_pretrained(tmp_path / "second")
    np.testing.assert_array_equal(again.predict_proba(texts), estimator.predict_proba(texts))
    shutil.move(tmp_path / "second", tmp_path / "third")
    moved = BertFineTuneClassifier.from_pretrained(tmp_path / "third")
    np.testing.assert_array_equal(moved.predict_proba(texts), estimator.predict_proba(texts))


def test_what_is_saved_computes_as_it_was_fitted(fitted, tmp_path):
    estimator, texts = fitted("top")
    expected = estimator.predict_proba(texts)
    fitted_in = estimator.precision_
    estimator.set_params(precision="bfloat16").save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.precision_ == fitted_in == "float32"
    np.testing.assert_allclose(loaded.predict_proba(texts), expected, atol=1e-6)


@pytest.mark.parametrize("case", ["head", "top", "whole", "language"])
def test_a_loaded_estimator_stays_when_its_folder_is_written_over(case, fitted, tmp_path):
    estimator, texts = fitted(case)
    estimator.save_pretrained(tmp_path)
    loaded = type(estimator).from_pretrained(tmp_path)
    expected = outputs(loaded, texts)
    sklearn_bert.cache.clear()
    write_over(tmp_path)
    for found, before in zip(outputs(loaded, texts), expected, strict=True):
        np.testing.assert_array_equal(found, before)


def test_training_goes_on_from_a_loaded_estimator(fitted, tmp_path):
    estimator, texts = fitted("top")
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    expected = estimator.set_params(warm_start=True).fit(texts, Y).predict_proba(texts)
    found = loaded.set_params(warm_start=True, device="cpu").fit(texts, Y).predict_proba(texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parameters_of_one_machine_stay_there(fitted, tmp_path):
    estimator, texts = fitted(
        "head", cache=tmp_path / "store", random_state=np.random.RandomState(0)
    )
    estimator.save_pretrained(tmp_path / "saved")
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path / "saved")
    assert (loaded.cache, loaded.device, loaded.random_state) == ("memory", "auto", None)
    np.testing.assert_array_equal(loaded.predict(texts), estimator.predict(texts))
    assert str(tmp_path / "store") not in (tmp_path / "saved" / "sklearn_bert.json").read_text()


def test_callbacks_are_not_saved_and_that_is_said(fitted, tmp_path):
    from skorch.callbacks import EpochTimer

    estimator, texts = fitted("head", callbacks=[EpochTimer()])
    with pytest.warns(UserWarning, match="callbacks are not saved"):
        estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert loaded.callbacks is None
    np.testing.assert_array_equal(loaded.predict(texts), estimator.predict(texts))


def test_parameters_set_after_fit_do_not_change_what_was_fitted(fitted, tmp_path):
    estimator, texts = fitted("top")
    expected = estimator.predict_proba(texts)
    estimator.set_params(freeze="none", pooling="cls", hidden_layer_sizes=(), activation="tanh")
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(texts), expected)
    assert loaded.get_params()["freeze"] == "none"


@pytest.mark.parametrize("case", ["featurizer", "head", "regressor", "language"])
def test_parameters_set_after_fit_that_could_not_be_read_are_not_saved(case, fitted, tmp_path):
    estimator, _ = fitted(case)
    with pytest.raises(ValueError, match="verbose=2 can't be used"):
        estimator.set_params(verbose=2).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    estimator.set_params(verbose=1).save_pretrained(tmp_path / "saved")
    type(estimator).from_pretrained(tmp_path / "saved")


def test_a_save_replaces_an_earlier_one(fitted, tmp_path):
    fitted("top")[0].save_pretrained(tmp_path)
    estimator, texts = fitted("regressor")
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneRegressor.from_pretrained(tmp_path)
    assert_same(loaded.predict(texts), estimator.predict(texts))
    fitted("featurizer")[0].save_pretrained(tmp_path)
    assert not (tmp_path / "head.safetensors").exists()
    assert not list(tmp_path.glob(".saving-*"))


SHARDS = {"single": "1GB", "few": "60KB", "many": "30KB"}


@pytest.mark.parametrize(("earlier", "later"), [*itertools.permutations(SHARDS, 2)])
def test_no_weights_of_an_earlier_save_stay(earlier, later, tmp_path):
    for seed, form in enumerate((earlier, later)):
        model, tokenizer = FAMILIES["bert"].build(seed)
        model.save_pretrained(tmp_path / form, max_shard_size=SHARDS[form])
        tokenizer.save_pretrained(tmp_path / form)
        estimator = BertFeaturizer(tmp_path / form, **FLOAT32).fit(TEXTS)
        estimator.save_pretrained(tmp_path / "saved")
    written = {path.name for path in (tmp_path / "saved").glob("model*")}
    assert written == {path.name for path in (tmp_path / later).glob("model*")}
    loaded = BertFeaturizer(tmp_path / "saved", **FLOAT32)
    np.testing.assert_array_equal(loaded.transform(TEXTS), estimator.transform(TEXTS))


def test_no_tokenizer_files_of_an_earlier_save_stay(fitted, tmp_path):
    estimator, _ = fitted("featurizer")
    estimator.save_pretrained(tmp_path)
    for name in ("added_tokens.json", "special_tokens_map.json", "vocab.txt", "spiece.model"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    estimator.save_pretrained(tmp_path)
    assert not {"added_tokens.json", "special_tokens_map.json", "vocab.txt", "spiece.model"} & {
        path.name for path in tmp_path.iterdir()
    }
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["spiece.model", "vocab.txt", "head.safetensors"])
@pytest.mark.parametrize("config", [None, '{"port": 8080}', "no JSON"])
def test_files_of_others_are_not_replaced(config, name, fitted, tmp_path):
    (tmp_path / name).write_text("mine")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=rf"folder=.* can't be used.*It is no model's.* {name}"):
        fitted("featurizer")[0].save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {name, "config.json"}
    assert (tmp_path / name).read_text() == "mine"


def test_other_files_stay_where_a_model_is_replaced(fitted, tmp_path):
    for case in ("top", "featurizer"):
        (tmp_path / "word2vec.model").write_text("mine")
        fitted(case)[0].save_pretrained(tmp_path)
    assert (tmp_path / "word2vec.model").read_text() == "mine"


@pytest.mark.parametrize("n_allowed", range(9))
def test_a_first_save_that_is_stopped_halfway_can_be_repeated(
    n_allowed, fitted, tmp_path, monkeypatch
):
    estimator, texts = fitted("top")
    left, replace = [None] * n_allowed, os.replace

    def stopping(new, place):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        replace(new, place)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr("os.replace", stopping)
        estimator.save_pretrained(tmp_path)
    estimator.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert_same(loaded.predict_proba(texts), estimator.predict_proba(texts))
    assert not list(tmp_path.glob(".saving-*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("case", ["whole", "language"])
def test_who_may_read_a_save_is_as_with_other_files(case, mask, fitted, tmp_path):
    estimator, _ = fitted(case)
    before = os.umask(mask)
    try:
        estimator.save_pretrained(tmp_path / "saved")
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]
    assert len(files) > 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~mask}


def test_a_save_that_is_stopped_halfway_leaves_no_mixture(
    fitted, saved_model, tmp_path, monkeypatch
):
    fitted("top")[0].save_pretrained(tmp_path)
    later, _ = fitted("top", saved_model("bert", 1))
    moved, allowed, replace = [], [], os.replace

    def stopping(new, place):
        if not allowed:
            raise KeyboardInterrupt
        allowed.pop()
        moved.append(Path(place).name)
        replace(new, place)

    for n_allowed in itertools.count():
        moved.clear()
        allowed[:] = [None] * n_allowed
        with monkeypatch.context() as patch:
            patch.setattr("os.replace", stopping)
            try:
                later.save_pretrained(tmp_path)
            except KeyboardInterrupt:
                pass
            else:
                break
        assert moved == [name for name in moved if name != "sklearn_bert.json"]
        with pytest.raises(ModelLoadError):
            BertFineTuneClassifier.from_pretrained(tmp_path)
        if "config.json" not in moved:
            with pytest.raises(ModelLoadError, match=r"no config\.json"):
                BertFeaturizer(tmp_path).fit(TEXTS)
    assert moved[-2:] == ["config.json", "sklearn_bert.json"]


def test_what_cannot_be_saved_leaves_the_folder_as_it_was(fitted, saved_model, tmp_path):
    fitted("top")[0].save_pretrained(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    broken, _ = fitted("top")
    broken.labels_ = object()
    with pytest.raises(TypeError, match="has no form in JSON"):
        broken.save_pretrained(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    with pytest.raises(NotFittedError):
        BertFineTuneClassifier(saved_model()).save_pretrained(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_folder_that_is_read_from_is_not_written_to(fitted, tmp_path):
    fitted("top")[0].save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"folder=.* can't be used. Accepted: another one"):
        loaded.save_pretrained(tmp_path)


@pytest.mark.parametrize("case", ["featurizer", "head"])
def test_a_model_of_others_is_not_written_to_where_nothing_was_trained(case, fitted, tmp_path):
    model, tokenizer = FAMILIES["bert"].build(0)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"folder=.* can't be used. Accepted: another one"):
        fitted(case, tmp_path)[0].save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("case", ["featurizer", "head"])
def test_what_was_not_trained_is_saved_where_it_was_read_from(case, fitted, tmp_path):
    estimator, texts = fitted(case)
    estimator.save_pretrained(tmp_path)
    loaded = type(estimator).from_pretrained(tmp_path)
    loaded.save_pretrained(tmp_path)
    again = type(estimator).from_pretrained(tmp_path)
    for found, expected in zip(outputs(again, texts), outputs(estimator, texts), strict=True):
        assert_same(found, expected)


def test_what_another_estimator_saved_is_not_lost_where_it_is_read(fitted, tmp_path):
    estimator, texts = fitted("head")
    estimator.save_pretrained(tmp_path)
    featurizer, _ = fitted("featurizer", tmp_path)
    with pytest.raises(ValueError, match=r"folder=.* can't be used. Accepted: another one"):
        featurizer.save_pretrained(tmp_path)
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path)
    assert_same(loaded.predict_proba(texts), estimator.predict_proba(texts))


class TestRefused:
    """Folders that hold no estimator, or not the one that was written."""

    @pytest.fixture
    def folder(self, fitted, tmp_path):
        fitted("top")[0].save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    def load(self, folder):
        return BertFineTuneClassifier.from_pretrained(folder)

    def test_no_folder(self, tmp_path):
        with pytest.raises(ModelNotFoundError, match="there is no such folder"):
            self.load(tmp_path / "none")

    def test_a_model_that_is_no_estimator(self, saved_model):
        with pytest.raises(ModelLoadError, match=r"BertFineTuneClassifier\(model=.*\) and fit"):
            self.load(saved_model())

    def test_another_class(self, folder):
        with pytest.raises(ModelLoadError, match=r"Load it with BertFineTuneClassifier.from_pre"):
            BertFineTuneRegressor.from_pretrained(folder)

    @pytest.mark.parametrize("written", [2, 0, "1", None, 10**9])
    def test_a_later_format(self, folder, written):
        change(folder / "sklearn_bert.json", format=written)
        with pytest.raises(ModelLoadError, match="Install a later release"):
            self.load(folder)

    @pytest.mark.parametrize("name", ["model.safetensors", "head.safetensors"])
    def test_weights_of_another_save(self, folder, name):
        path = folder / name
        save_file({key: t + 1 for key, t in load_file(path).items()}, path, {"format": "pt"})
        with pytest.raises(ModelLoadError, match="the weights are not those that were saved"):
            self.load(folder)

    def test_a_head_that_is_missing(self, folder):
        (folder / "head.safetensors").unlink()
        with pytest.raises(ModelLoadError, match="the weights are not those that were saved"):
            self.load(folder)

    @pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"a": 1', '{"format": 1}'])
    def test_state_that_is_none(self, folder, text):
        (folder / "sklearn_bert.json").write_text(text)
        with pytest.raises(ModelLoadError):
            self.load(folder)

    @pytest.mark.parametrize(
        ("part", "entries"),
        [
            ("params", {"callbacks": ["os.system"]}),
            ("params", {"unknown": 1}),
            ("params", {"model": "elsewhere"}),
            ("params", {"cache": "/elsewhere", "dropout": "x"}),
            ("params", {"hidden_layer_sizes": {"type": "os.system", "fields": {}}}),
            (
                "fitted",
                {"head": {"hidden_layer_sizes": [10**9], "activation": "relu", "dropout": 0}},
            ),
            (
                "fitted",
                {"head": {"hidden_layer_sizes": [8, 4], "activation": "exec", "dropout": 0}},
            ),
            ("fitted", {"head": None}),
            ("fitted", {"poolings": ["mean", "mean"]}),
            ("fitted", {"poolings": ["eval"]}),
            ("fitted", {"poolings": 3}),
            ("fitted", {"max_length_": 10**9}),
            ("fitted", {"trainable": None}),
            ("fitted", {"trainable": ["x"]}),
            ("fitted", {"labels_": None}),
            ("fitted", {"labels_": {"type": "LabelSet", "fields": {"n_outputs": 10**12}}}),
            ("fitted", {"labels_": {"type": "OneLabel", "fields": {"classes": [1, 2]}}}),
        ],
    )
    def test_state_that_was_not_written(self, folder, part, entries):
        path = folder / "sklearn_bert.json"
        state = json.loads(path.read_text())
        change(path, **{part: state[part] | entries})
        with pytest.raises(ModelLoadError, match="can't be read"):
            self.load(folder)

    def test_links_out_of_the_folder_are_not_written_through(self, fitted, tmp_path):
        outside = tmp_path / "outside.json"
        outside.write_text("mine")
        (tmp_path / "saved").mkdir()
        (tmp_path / "saved" / "config.json").symlink_to(outside)
        fitted("top")[0].save_pretrained(tmp_path / "saved")
        assert outside.read_text() == "mine"
        assert not (tmp_path / "saved" / "config.json").is_symlink()


@pytest.mark.parametrize("folder", sorted(SAVED.glob("*/*")), ids=lambda f: "-".join(f.parts[-2:]))
def test_folders_of_earlier_releases_go_on_loading(folder):
    expected = json.loads((folder / "expected.json").read_text())
    loaded = getattr(sklearn_bert, expected["estimator"]).from_pretrained(folder)
    for found, written in zip(outputs(loaded, expected["texts"]), expected["outputs"], strict=True):
        assert_same(found, np.array(written, dtype=found.dtype), atol=1e-4)
