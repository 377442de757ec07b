"""Continued pretraining as users meet it: learning, measuring, filling masks, saving, bad input."""

import copy
import json
import pickle
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, EarlyStopping
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertMaskedLM
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.loading import content_fingerprint
from sklearn_bert.errors import LongTextWarning, ModelLoadError, TrainingDivergedError
from tests.models import FAMILIES, MAX_LENGTH, N_LAYERS, save

X = [f"the film is {word}, a {word} story" for word in ("good", "bad", "dull", "wonderful")] * 10
HELD_OUT = ["a good story, the film is good", "a bad film is dull", "the story is wonderful"] * 6


@pytest.fixture
def make(saved_model):
    """Return a function that makes a quick exact model."""

    def masked_lm(family="bert", **parameters):
        settings = {"model": saved_model(family), "precision": "float32", "device": "cpu"}
        settings |= {"chunk_length": 24, "batch_size": 4, "lr": 1e-3, "head_lr": 1e-2}
        return BertMaskedLM(**(settings | {"max_epochs": 1, "random_state": 0} | parameters))

    return masked_lm


def weights_of(masked_lm):
    return {n: p.detach().clone() for n, p in masked_lm.net_.module_.trained().items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_learns(family, make):
    before = make(family, max_epochs=0).fit(X)
    after = make(family, max_epochs=10).fit(X)
    assert not after.has_pretrained_head_
    assert after.perplexity(X) < 0.5 * before.perplexity(X)
    assert after.perplexity(HELD_OUT) < 0.8 * before.perplexity(HELD_OUT)
    assert after.history_[-1]["train_loss"] < after.history_[0]["train_loss"]


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_near(family, make):
    rough, exact = (
        make(family, precision=precision).fit(X) for precision in ("bfloat16", "float32")
    )
    assert rough.score(X) == pytest.approx(exact.score(X), rel=0.05)


@pytest.mark.parametrize("freeze", ["all", -1, 2, "embeddings", "none"])
def test_what_is_frozen_stays_as_it_was(freeze, make, saved_model):
    untrained = make(max_epochs=0).fit(X)
    masked_lm = make(freeze=freeze, max_epochs=2).fit(X)
    old = dict(untrained.net_.module_.model.named_parameters())
    new = dict(masked_lm.net_.module_.model.named_parameters())
    changed = {name for name in new if not torch.equal(old[name], new[name])}
    trainable = {f"bert.{name}" for name in masked_lm.freezing_.trainable}
    head = {name for name in new if name.startswith("cls.")}
    assert changed >= head
    # A position that no chunk reaches, or a bias of keys, may get no gradient.
    assert changed <= trainable | head
    assert len(changed) > 0.9 * len(trainable | head)
    assert masked_lm.depth_ == {"all": N_LAYERS, -1: 3, 2: 2}.get(freeze, 0)
    n_trained = sum(new[name].numel() for name in trainable | head)
    assert masked_lm.n_trainable_parameters_ == n_trained


def test_the_shared_copy_and_the_store_never_see_trained_weights(make, saved_model):
    featurizer = BertFeaturizer(saved_model("bert"), precision="float32", device="cpu")
    before = featurizer.fit_transform(X)
    checkpoint = load_checkpoint(saved_model("bert"), None, torch.device("cpu"), "float32")
    fingerprint = checkpoint.fingerprint
    make(max_epochs=2).fit(X)
    np.testing.assert_array_equal(featurizer.set_params(cache=None).transform(X), before)
    again = load_checkpoint(saved_model("bert"), None, torch.device("cpu"), "float32")
    assert again.fingerprint == fingerprint


def test_perplexity_has_fixed_masks(make):
    masked_lm = make().fit(X)
    assert masked_lm.perplexity(X) == masked_lm.perplexity(X)
    assert masked_lm.perplexity(X) == pytest.approx(np.exp(-masked_lm.score(X)))
    assert masked_lm.score(X) < 0
    others = [make(random_state=seed, freeze="all", lr=1e-30, head_lr=1e-30) for seed in (1, 2)]
    others = [other.fit(X) for other in others]
    for other in others:
        other.net_ = masked_lm.net_
    assert {other.perplexity(X) for other in others} == {masked_lm.perplexity(X)}
    assert masked_lm.perplexity(X[:7]) != masked_lm.perplexity(X)
    assert make(batch_size=1).fit(X).net_.batch_size == 1


def test_perplexity_is_infinite_where_no_number_is_as_high(make):
    masked_lm = make(head_lr=1e6, batch_size=99).fit(X)
    assert np.isfinite(masked_lm.score(X))
    assert masked_lm.perplexity(X) == np.inf


def test_perplexity_does_not_depend_on_the_batch_size(make):
    masked_lm = make(max_epochs=0).fit(X)
    expected = masked_lm.perplexity(X)
    masked_lm.net_.batch_size = 1
    assert masked_lm.perplexity(X) == pytest.approx(expected, rel=1e-5)


def test_history_begins_with_the_untrained_model(make):
    masked_lm = make(max_epochs=3).fit(X, X_val=HELD_OUT)
    assert [row["epoch"] for row in masked_lm.history_] == [0, 1, 2, 3]
    untrained = make(max_epochs=0).fit(X)
    first, last = masked_lm.history_[0], masked_lm.history_[-1]
    assert first["valid_score"] == pytest.approx(untrained.score(HELD_OUT), rel=1e-5)
    assert last["valid_score"] == pytest.approx(masked_lm.score(HELD_OUT), rel=1e-5)
    assert last["valid_score"] == -last["valid_loss"] > first["valid_score"]
    assert untrained.history_ == []


def test_early_stopping_goes_back_to_the_best(make):
    masked_lm = make(max_epochs=40, lr=2e-2, early_stopping=True, n_iter_no_change=2).fit(
        X, X_val=HELD_OUT
    )
    scores = [row["valid_score"] for row in masked_lm.history_]
    assert len(scores) < 41
    assert masked_lm.score(HELD_OUT) == pytest.approx(max(scores), rel=1e-4)
    held_out = make(max_epochs=1, early_stopping=True, validation_fraction=0.2).fit(X)
    assert "valid_score" in held_out.history_[0]


def test_the_same_seed_gives_the_same_weights_and_others_do_not(make):
    first, second = (weights_of(make(max_epochs=2).fit(X)) for _ in range(2))
    other = weights_of(make(max_epochs=2, random_state=1).fit(X))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_fits_in_threads_draw_their_own_heads(make):
    """transformers draws it, from a generator that is the process's."""
    seeds = range(4)

    def head(seed):
        module = make(max_epochs=0, random_state=seed).fit(X).net_.module_
        return torch.cat([p.detach().ravel() for p in module.head.parameters()])

    expected = [head(seed) for seed in seeds]
    with ThreadPoolExecutor(len(seeds)) as pool:
        found = list(pool.map(head, seeds))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(expected[0], expected[1])


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_it_trains_where_the_caller_wants_no_gradients(without_gradients, make):
    expected = weights_of(make().fit(X))
    with without_gradients():
        found = weights_of(make().fit(X))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_global_generators_are_left_alone(make):
    before = torch.random.get_rng_state(), random.getstate()
    # The state that others may rely on.
    legacy = np.random.get_state()  # noqa: NPY002
    make().fit(X).perplexity(X)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    np.testing.assert_equal(np.random.get_state(), legacy)  # noqa: NPY002


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_pickles_hold_what_was_trained_and_measure_the_same(freeze, make):
    masked_lm = make(freeze=freeze).fit(X)
    expected = masked_lm.perplexity(X), masked_lm.fill_mask(["the film is [MASK]"])
    for other in (pickle.loads(pickle.dumps(masked_lm)), copy.deepcopy(masked_lm)):
        assert other.perplexity(X) == pytest.approx(expected[0], rel=1e-6)
        assert other.fill_mask(["the film is [MASK]"])[0][0][0] == expected[1][0][0][0]
    state = pickle.loads(pickle.dumps(masked_lm)).net_.module_.trained()
    assert all(tensor.device.type == "cpu" for tensor in state.values())


def test_clones_are_not_fitted_and_have_all_parameters(make):
    masked_lm = make(mlm_probability=0.2, whole_word_masking=True).fit(X)
    fresh = clone(masked_lm)
    assert fresh.get_params() == masked_lm.get_params()
    with pytest.raises(NotFittedError):
        fresh.perplexity(X)


def test_a_second_fit_goes_on_or_starts_anew(make):
    once = make(max_epochs=3).fit(X)
    resumed = make(max_epochs=3, warm_start=True).fit(X)
    assert resumed.perplexity(X) == pytest.approx(once.perplexity(X))
    resumed.fit(X)
    assert resumed.perplexity(HELD_OUT) < once.perplexity(HELD_OUT)
    resumed.set_params(max_epochs=0)
    kept = resumed.perplexity(X)
    assert pickle.loads(pickle.dumps(resumed)).fit(X).perplexity(X) == pytest.approx(kept)
    assert once.fit(X).perplexity(X) == pytest.approx(make(max_epochs=3).fit(X).perplexity(X))
    with pytest.raises(ValueError, match="warm_start=True can't go on"):
        resumed.set_params(freeze=-1).fit(X)


def test_a_warm_start_goes_by_the_weights(make, saved_model, tmp_path):
    model = shutil.copytree(saved_model("bert"), tmp_path / "model")
    masked_lm = make(model=model, max_epochs=1, warm_start=True).fit(X)
    shutil.copy(saved_model("bert", 1) / "model.safetensors", model / "model.safetensors")
    with pytest.raises(ValueError, match="the weights and tokenizer of model"):
        masked_lm.fit(X)


def test_whole_words_and_a_segmenter_change_what_is_masked(make):
    chinese = ["这部电影很好看", "酒店房间差", "不喜欢服务"] * 5
    plain = make("bert-chinese", max_epochs=0, mlm_probability=0.3).fit(chinese)
    words = make(
        "bert-chinese",
        max_epochs=0,
        mlm_probability=0.3,
        whole_word_masking=True,
        word_segmenter=in_twos,
    ).fit(chinese)
    assert plain.perplexity(chinese) != words.perplexity(chinese)
    assert pickle.loads(pickle.dumps(words)).perplexity(chinese) == words.perplexity(chinese)


def in_twos(text):
    return [text[start : start + 2] for start in range(0, len(text), 2)]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "modernbert"])
def test_masks_are_filled_as_transformers_fills_them(family, make, tmp_path):
    masked_lm = make(family, max_epochs=4).fit(X)
    mask = masked_lm.mask_token_
    texts = [f"the film is {mask}", f"a {mask} story", f"the {mask} is very {mask}, was it"]
    found = masked_lm.fill_mask(texts, top_k=3)
    masked_lm.save_pretrained(tmp_path)
    fill = pipeline("fill-mask", model=str(tmp_path), tokenizer=str(tmp_path), device="cpu")
    expected = fill(texts, top_k=3)
    two = [found[0], found[1], *found[2]]
    flat = [expected[0], expected[1], *expected[2]]
    for ours, theirs in zip(two, flat, strict=True):
        assert [token for token, _ in ours] == [row["token_str"] for row in theirs]
        np.testing.assert_allclose(
            [share for _, share in ours], [row["score"] for row in theirs], rtol=1e-3
        )


def test_it_learns_what_stands_behind_a_mask(make):
    masked_lm = make("modernbert", max_epochs=30, lr=3e-3, head_lr=3e-3, warmup=0.2)
    masked_lm.fit(["the film is good"] * 60)
    best = masked_lm.fill_mask(["the film is [MASK] the film is good"])[0][0]
    assert best[0] == "good"
    assert best[1] > 0.5
    assert len(masked_lm.fill_mask(["[MASK]"], top_k=10_000)[0]) == len(
        AutoTokenizer.from_pretrained(masked_lm.model)
    )


def test_masks_that_are_not_there(make):
    masked_lm = make(max_epochs=0).fit(X)
    with pytest.raises(ValueError, match=r"X\[1\]='a story' has no mask\. Accepted: .*\[MASK\]"):
        masked_lm.fill_mask(["a [MASK]", "a story"])
    lost = "good " * 2 * MAX_LENGTH + "[MASK]"
    with pytest.raises(ValueError, match="no mask before the model's limit"):
        masked_lm.fill_mask([lost])
    with pytest.warns(LongTextWarning, match="1 of 2 texts.*Take a model.*shorten the"):
        masked_lm.fill_mask(["[MASK] " + lost, "[MASK]"])
    with pytest.raises(ValueError, match="top_k=0"):
        masked_lm.fill_mask(["[MASK]"], top_k=0)


@pytest.mark.parametrize(
    ("family", "freeze"), [("bert", "all"), *((family, "none") for family in FAMILIES)]
)
def test_saved_folders_are_read_by_all(family, freeze, make, tmp_path):
    masked_lm = make(family, freeze=freeze, max_epochs=2).fit(X)
    expected = masked_lm.perplexity(X)
    masked_lm.save_pretrained(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    suffixes = {path.suffix for path in folder.iterdir()}
    assert suffixes <= {".json", ".safetensors", ".txt"}
    trained = dict(masked_lm.net_.module_.model.named_parameters())
    with_head, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, parameter in with_head.named_parameters():
        assert torch.equal(parameter, trained[name]), name
    alone, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert all("pooler" in name for name in report["missing_keys"])
    encoder = dict(masked_lm.net_.module_.model.base_model.named_parameters())
    for name, parameter in alone.named_parameters():
        assert "pooler" in name or torch.equal(parameter, encoder[name]), name
    loaded = BertMaskedLM.from_pretrained(folder)
    assert loaded.perplexity(X) == pytest.approx(expected, rel=1e-5)
    texts = [f"the film is {loaded.mask_token_}"]
    filled = zip(loaded.fill_mask(texts)[0], masked_lm.fill_mask(texts)[0], strict=True)
    assert all(one == (other[0], pytest.approx(other[1])) for one, other in filled)
    again = make(family, max_epochs=0, model=folder).fit(X)
    assert again.has_pretrained_head_
    assert again.perplexity(X) == pytest.approx(expected, rel=1e-5)
    vectors = BertFeaturizer(folder, precision="float32").fit_transform(X[:4])
    old = BertFeaturizer(masked_lm.model, precision="float32").fit_transform(X[:4])
    assert np.allclose(vectors, old, atol=1e-5) == (freeze == "all")
    classifier = BertFineTuneClassifier(
        folder, freeze="embeddings", max_epochs=1, precision="float32"
    )
    classifier.fit(X, np.arange(len(X)) % 2).predict(X)


def test_saved_folders_hold_the_head_and_nothing_of_ours(make, tmp_path):
    masked_lm = make(freeze=-1).fit(X)
    masked_lm.save_pretrained(str(tmp_path))
    stored = load_file(tmp_path / "model.safetensors")
    assert {name for name in stored if name.startswith("cls.")}
    assert not {name for name in stored if "decoder.weight" in name}
    assert "sklearn_bert" not in (tmp_path / "config.json").read_text()
    pickle.loads(pickle.dumps(masked_lm)).save_pretrained(tmp_path / "again")
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(stored[name], again[name]) for name in stored)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"folder=.*There is a file of its name"):
        masked_lm.save_pretrained(tmp_path / "file")


def test_an_own_folder_is_not_written_over(make, tmp_path):
    """What was fitted from a folder still needs it."""
    make(max_epochs=1).fit(X).save_pretrained(tmp_path)
    second = make(max_epochs=1, model=tmp_path, freeze="all").fit(X)
    expected = second.perplexity(X)
    with pytest.raises(ValueError, match=r"folder=.* can't be used. Accepted: another one"):
        second.save_pretrained(tmp_path)
    assert pickle.loads(pickle.dumps(second)).perplexity(X) == expected
    make(max_epochs=1).fit(HELD_OUT).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match="than this estimator was fitted with"):
        pickle.loads(pickle.dumps(second)).perplexity(X)


def test_a_segmenter_is_not_saved_and_that_is_said(make, tmp_path):
    words = {"whole_word_masking": True, "word_segmenter": in_twos, "mlm_probability": 0.5}
    masked_lm = make(max_epochs=0, **words).fit(X)
    with pytest.warns(UserWarning, match="word_segmenter is not saved"):
        masked_lm.save_pretrained(tmp_path)
    loaded = BertMaskedLM.from_pretrained(tmp_path)
    assert loaded.word_segmenter is None
    assert loaded.perplexity(X) != masked_lm.perplexity(X)
    loaded.set_params(word_segmenter=in_twos)
    assert loaded.perplexity(X) == pytest.approx(masked_lm.perplexity(X), rel=1e-6)


def test_training_goes_on_from_what_was_loaded(make, tmp_path):
    masked_lm = make(freeze=-1).fit(X)
    masked_lm.save_pretrained(tmp_path)
    loaded = BertMaskedLM.from_pretrained(tmp_path).set_params(device="cpu")
    found, expected = (m.set_params(warm_start=True).fit(X) for m in (loaded, masked_lm))
    assert found.perplexity(X) == pytest.approx(expected.perplexity(X), rel=1e-5)


def test_a_folder_without_the_head_is_refused(make, tmp_path):
    masked_lm = make().fit(X)
    masked_lm.save_pretrained(tmp_path / "whole")
    # As somebody could write it by hand: the state vouches for the encoder alone.
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    AutoModel.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "part")
    state = json.loads((tmp_path / "whole" / "sklearn_bert.json").read_text())
    state["digests"] = {"encoder": content_fingerprint(tmp_path / "part")}
    (tmp_path / "part" / "sklearn_bert.json").write_text(json.dumps(state))
    with pytest.raises(ModelLoadError, match="the head is missing"):
        BertMaskedLM.from_pretrained(tmp_path / "part")


def test_learning_rates_of_new_heads_and_of_those_that_came(make, tmp_path):
    new = make(lr="auto", head_lr="auto").fit(X)
    assert new.head_lr_ == 1e-3
    assert new.lr_ == 5e-4
    new.save_pretrained(tmp_path)
    came = make(lr=3e-4, head_lr="auto", model=tmp_path).fit(X)
    assert came.head_lr_ == came.lr_ == 3e-4


def test_containers_and_callbacks(make):
    class Counts(Callback):
        def __init__(self):
            self.epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    counts = Counts()
    expected = make(max_epochs=2).fit(X).score(X)
    found = make(max_epochs=2, callbacks=[counts]).fit(pd.Series(X, index=range(5, 5 + len(X))))
    assert found.score(np.array(X)) == pytest.approx(expected)
    assert counts.epochs == 2


def test_a_callback_needs_what_it_watches(make):
    masked_lm = make(max_epochs=1, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match=r"EarlyStopping.monitor='valid_loss'.*pass X_val"):
        masked_lm.fit(X)
    masked_lm.fit(X, X_val=X)


@pytest.mark.parametrize(
    "parameters",
    [
        {"gradient_accumulation": 3},
        {"gradient_checkpointing": True},
        {"precision": "float64"},
        {"precision": "bfloat16"},
        {"lr_schedule": "cosine", "warmup": 5, "layer_lr_decay": 0.8},
    ],
)
def test_other_ways_to_train(parameters, make):
    before = make(max_epochs=0, **parameters).fit(X).perplexity(X)
    masked_lm = make(max_epochs=5, **parameters).fit(X)
    assert masked_lm.perplexity(X) < 0.8 * before


def test_checkpointed_activations_change_nothing(make):
    plain, checkpointed = (
        weights_of(make(gradient_checkpointing=value, max_epochs=2).fit(X))
        for value in (False, True)
    )
    for name in plain:
        torch.testing.assert_close(plain[name], checkpointed[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"chunk_length": 7}, r"chunk_length=7 can't be used.*8 to 48"),
        ({"chunk_length": 49}, r"chunk_length=49 can't be used.*8 to 48.*limit of the model"),
        ({"chunk_length": 24.0}, r"chunk_length=24.0"),
        ({"mlm_probability": 0}, r"mlm_probability=0 can't be used.*above 0 and below 1"),
        ({"mlm_probability": 1.0}, r"mlm_probability=1.0"),
        ({"whole_word_masking": "yes"}, r"whole_word_masking='yes'"),
        ({"word_segmenter": "jieba"}, r"word_segmenter='jieba' can't be used.*callable"),
        ({"word_segmenter": str.split}, r"pass whole_word_masking=True with it"),
        ({"max_epochs": -1}, r"max_epochs=-1 can't be used.*at least 0"),
        ({"head_lr": "fast"}, r"head_lr='fast' can't be used.*'auto'"),
        ({"freeze": 5}, r"freeze=5 can't be used.*0 to 4"),
        ({"unfreeze": ["pooler"]}, r"unfreeze='pooler' can't be used"),
        ({"precision": "float16"}, r"precision='float16'"),
        ({"early_stopping": True, "validation_fraction": 0.999}, r"validation_fraction=0.999"),
    ],
)
def test_bad_parameters_are_named(parameters, message, make):
    with pytest.raises(ValueError, match=message):
        make(**parameters).fit(X)


def test_bad_texts_are_named(make):
    with pytest.raises(ValueError, match=r"X has text pairs\. Accepted: single texts"):
        make().fit([("a", "b"), ("c", "d")])
    with pytest.raises(ValueError, match="X has no token that could be masked: its 2"):
        make().fit(["", "[SEP]"])
    with pytest.raises(ValueError, match="X_val has no token that could be masked"):
        make().fit(X, X_val=["嗯"])
    with pytest.raises(ValueError, match="What early_stopping holds out of X has no token"):
        make(early_stopping=True, validation_fraction=0.5).fit(["good", ""])
    with pytest.raises(ValueError, match="X has no token that could be masked"):
        make().fit(X).perplexity([""])
    with pytest.raises(TypeError, match="X is a str"):
        make().fit("a text")
    with pytest.raises(ValueError, match="missing value"):
        make().fit([None, "a text"])


def test_a_model_without_a_mask_token_is_named(tmp_path, saved_model, make):
    tokenizer = AutoTokenizer.from_pretrained(saved_model("roberta"))
    tokenizer.mask_token = None
    model, _ = FAMILIES["roberta"].build()
    with pytest.raises(ValueError, match=r"model=.* can't be used.*mask token"):
        make(model=save(tmp_path, model, tokenizer)).fit(X)


def test_a_diverged_training_keeps_the_best(make):
    class Breaks(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                with torch.no_grad():
                    net.module_.head[0].fill_(torch.nan)

    masked_lm = make(max_epochs=4, callbacks=[Breaks()])
    with pytest.raises(TrainingDivergedError, match=r"epoch 2.*Try a lower lr"):
        masked_lm.fit(X)
    assert np.isfinite(masked_lm.perplexity(X))


def test_a_failed_fit_leaves_the_last_one(make):
    masked_lm = make().fit(X)
    expected = masked_lm.perplexity(X)
    with pytest.raises(ValueError, match="chunk_length"):
        masked_lm.set_params(chunk_length=1000).fit(X)
    with pytest.raises(ValueError, match="chunk_length=1000"):
        masked_lm.perplexity(X)
    assert masked_lm.set_params(chunk_length=24).perplexity(X) == expected


def test_a_progress_bar_for_each_epoch(make, capsys):
    make(max_epochs=2, verbose=1).fit(X, X_val=HELD_OUT)
    shown = capsys.readouterr().err
    assert "Epoch 0: valid_loss=" in shown
    assert "Epoch 2/2" in shown
    make(max_epochs=1).fit(X)
    assert capsys.readouterr() == ("", "")


def test_perplexity_falls_on_texts_that_were_held_out():
    """With the real weights: the head is new, so most of what is learnt is the head's."""
    sample = load_sample_reviews()
    texts = [t for t, lang in zip(sample.data, sample.language, strict=True) if lang == "en"]
    settings = {"chunk_length": 64, "batch_size": 8, "random_state": 0}
    before = BertMaskedLM(max_epochs=0, **settings).fit(texts[60:])
    after = BertMaskedLM(max_epochs=1, freeze=-1, **settings).fit(texts[60:])
    assert not after.has_pretrained_head_
    assert after.perplexity(texts[:60]) < 0.1 * before.perplexity(texts[:60])
