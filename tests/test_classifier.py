"""The classifier as users meet it: learning, freezing, bad input, and what survives a fit."""

import copy
import gc
import math
import pickle
import shutil
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from skorch.callbacks import Callback

import sklearn_bert
from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.errors import LongTextWarning, ModelLoadError, TrainingDivergedError
from tests.models import FAMILIES, HIDDEN, N_LAYERS, layers_of

GOOD = ["the film is good", "a good story", "very good", "wonderful film", "good, very wonderful"]
BAD = ["the film is bad", "a dull story", "very bad", "dull film", "bad, very dull was it"]
X = [f"{text} {number}" for number in range(4) for text in GOOD + BAD]
Y = np.array(["up" if any(word in text for word in ("good", "wonder")) else "down" for text in X])
N_BATCHES = len(X) // 8
FREEZES = ["all", -1, -2, "embeddings", "none"]


@pytest.fixture
def model(saved_model):
    return saved_model("bert")


@pytest.fixture
def make(model):
    """Return a function that makes a quick exact classifier."""

    def classifier(**parameters):
        settings = {"model": model, "precision": "float32", "batch_size": 8, "random_state": 0}
        return BertFineTuneClassifier(**(settings | {"device": "cpu"} | parameters))

    return classifier


@pytest.mark.parametrize("freeze", FREEZES)
def test_it_learns_at_every_depth(freeze, make):
    classifier = make(freeze=freeze, max_epochs=40, lr=1e-3, head_lr=1e-2, dropout=0.0).fit(X, Y)
    # A random encoder's features tell little by themselves.
    assert accuracy_score(Y, classifier.predict(X)) >= (0.7 if freeze == "all" else 0.8)
    assert classifier.classes_.tolist() == ["down", "up"]
    assert classifier.history_[-1]["train_loss"] < 0.9 * classifier.history_[0]["train_loss"]


def test_probabilities_logits_and_labels_agree(make):
    labels = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    three = make(freeze=-1).fit(X, labels)
    probabilities, logits = three.predict_proba(X), three.decision_function(X)
    assert probabilities.shape == logits.shape == (len(X), 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(three.predict(X), three.classes_[logits.argmax(axis=1)])
    two = make(freeze=-1).fit(X, Y)
    probabilities, odds = two.predict_proba(X), two.decision_function(X)
    assert odds.shape == (len(X),)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-odds)), rtol=1e-5)
    np.testing.assert_array_equal(two.predict(X), np.where(odds > 0, "up", "down"))


@pytest.mark.parametrize("labels", [[7, 3], [True, False], ["x", "y"], [1.0, 2.0], [-1, 1]])
def test_labels_come_back_as_they_are(labels, make):
    y = np.array(labels)[(Y == "up").astype(int)]
    predicted = make(freeze="all").fit(X, y).predict(X)
    assert predicted.dtype == y.dtype
    assert set(predicted.tolist()) <= set(y.tolist())


def test_pairs_and_every_container(make):
    pairs = list(zip(X, reversed(X), strict=True))
    frame = pd.DataFrame(pairs, columns=["first", "second"])
    expected = make(freeze=-1).fit(pairs, Y).predict_proba(pairs)
    np.testing.assert_allclose(make(freeze=-1).fit(frame, Y).predict_proba(frame), expected)
    series = pd.Series(X, index=range(100, 100 + len(X)))
    labels = pd.Series(Y, index=series.index)
    expected = make(freeze=-1).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(make(freeze=-1).fit(series, labels).predict_proba(series), expected)


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("freeze", ["all", -1, -2, -3, "embeddings", "none"])
def test_the_store_changes_nothing(family, freeze, make, saved_model):
    parameters = {"model": saved_model(family), "freeze": freeze, "max_epochs": 2}
    kept = make(**parameters).fit(X, Y).predict_proba(X)
    again = make(**parameters).fit(X, Y).predict_proba(X)
    computed = make(**parameters, cache=None).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(kept, computed, atol=1e-4)
    np.testing.assert_allclose(kept, again, atol=1e-4)


def test_a_store_on_disk_serves_as_well(make, tmp_path):
    expected = make(freeze=-1).fit(X, Y).predict_proba(X)
    make(freeze=-1, cache=tmp_path).fit(X, Y)
    before = work.counted()
    found = make(freeze=-1, cache=tmp_path).fit(X, Y).predict_proba(X)
    assert (work.counted() - before).texts == 0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def passes_of_layers(folder, fit):
    """Return how many texts passed each frozen layer, counted by hooks, while `fit` ran."""
    checkpoint = load_checkpoint(folder, None, torch.device("cpu"), "float32")
    passed = [0] * N_LAYERS
    hooks = []
    for number, layer in enumerate(layers_of(checkpoint.lower.model, "bert")):

        def count(module, args, output, number=number):
            passed[number] += (output[0] if isinstance(output, tuple) else output).shape[0]

        hooks.append(layer.register_forward_hook(count))
    try:
        fit()
    finally:
        for hook in hooks:
            hook.remove()
    return passed


@pytest.mark.parametrize("order", [1, -1])
def test_a_search_over_depths_passes_each_text_through_each_frozen_layer_once(order, make, model):
    depths = ["all", -1, -2, -3, "none"][::order]
    search = GridSearchCV(
        make(max_epochs=2), {"freeze": depths}, cv=StratifiedKFold(3, shuffle=True, random_state=0)
    )
    passed = passes_of_layers(model, lambda: search.fit(X, Y))
    assert max(passed) == len(set(X))
    assert passes_of_layers(model, lambda: search.fit(X, Y)) == [0] * N_LAYERS


@pytest.mark.parametrize("freeze", FREEZES)
def test_halves_of_separate_pairs_are_texts_of_their_own(freeze, make, model):
    pairs = [(text, other) for text in X[:10] for other in X[:4]]
    same = [("good" in text) == ("good" in other) for text, other in pairs]
    classifier = make(freeze=freeze, pairs="separate", max_epochs=30, lr=1e-3, head_lr=1e-2)
    passed = passes_of_layers(model, lambda: classifier.fit(pairs, same))
    assert max(passed) == (10 if classifier.depth_ else 0)
    larger_class = max(np.mean(same), 1 - np.mean(same))
    # A random encoder's features tell little by themselves.
    gain = 0.05 if freeze == "all" else 0.2
    assert accuracy_score(same, classifier.predict(pairs)) > larger_class + gain
    turned = classifier.predict_proba(pairs[::-1])
    np.testing.assert_allclose(turned[::-1], classifier.predict_proba(pairs), atol=1e-4)


def test_separate_pairs_need_pairs_and_stay_what_they_were(make):
    pairs = list(zip(X, reversed(X), strict=True))
    with pytest.raises(ValueError, match=r"pairs='separate' can't be used.*X has no pairs"):
        make(pairs="separate").fit(X, Y)
    with pytest.raises(ValueError, match=r"X_val has single texts.*Accepted: text pairs"):
        make(pairs="separate").fit(pairs, Y, X_val=X, y_val=Y)
    with pytest.raises(ValueError, match="pairs='both' can't be used"):
        make(pairs="both").fit(pairs, Y)
    classifier = make(pairs="separate", freeze=-1, warm_start=True).fit(pairs, Y)
    expected = classifier.predict_proba(pairs)
    classifier.set_params(pairs="joint")
    np.testing.assert_array_equal(classifier.predict_proba(pairs), expected)
    with pytest.raises(ValueError, match=r"X has single texts.*Accepted: text pairs"):
        classifier.predict(X)
    with pytest.raises(ValueError, match=r"pooling, pairs, .* have to be the same"):
        classifier.fit(pairs, Y)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_weights_of_separate_pairs_count(freeze, make):
    pairs = list(zip(X, reversed(X), strict=True))
    classifier = make(freeze=freeze, pairs="separate", max_epochs=20, lr=1e-3, head_lr=1e-2)
    alone = np.where(Y == "up", 1.0, 0.0)
    classifier.fit(pairs, Y, alone, X_val=pairs, y_val=Y, sample_weight_val=alone)
    assert set(classifier.predict(pairs)) == {"up"}
    assert classifier.history_[-1]["valid_loss"] < classifier.history_[0]["valid_loss"]
    # A row is a pair, and those of weight 0 are in no batch.
    batches = classifier.net_.history[0, "batches"]
    sizes = [batch["train_batch_size"] for batch in batches if "train_batch_size" in batch]
    assert sorted(sizes) == [4, 8, 8]
    classifier.set_params(class_weight={"up": 0.0, "down": 1.0})
    assert set(classifier.fit(pairs, Y).predict(pairs)) == {"down"}


def test_separate_pairs_go_with_what_else_trains(make):
    pairs = list(zip(X, reversed(X), strict=True))
    classifier = make(
        pairs="separate",
        gradual_unfreezing=True,
        early_stopping=True,
        validation_fraction=0.3,
        contrastive_weight=1.0,
        hidden_layer_sizes=(8,),
    ).fit(pairs, Y)
    assert [row["epoch"] for row in classifier.history_] == [0, 1, 2, 3]
    assert classifier.depth_ == N_LAYERS - 2
    assert classifier.net_.module_.head[1].in_features == 4 * HIDDEN


def test_higher_depths_resume_from_kept_states_of_lower_ones(make, model):
    def fit(freeze):
        return passes_of_layers(model, lambda: make(freeze=freeze, max_epochs=1).fit(X, Y))

    n = len(set(X))
    assert fit(1) == [n, 0, 0, 0]
    assert fit(3) == [0, n, n, 0]
    assert fit("all") == [0, 0, 0, n]


def test_without_a_store_every_epoch_computes_the_frozen_layers(make, model):
    fit = make(freeze=-1, max_epochs=3, cache=None).fit
    assert passes_of_layers(model, lambda: fit(X, Y)) == [3 * len(X)] * (N_LAYERS - 1) + [0]


def test_a_store_that_is_too_small_is_not_thrashed(make, model, capsys):
    expected = make(freeze=-1, max_epochs=3).fit(X, Y).predict_proba(X)
    sklearn_bert.cache.clear()
    states = make(freeze=-1, max_epochs=1).fit(X, Y) and sklearn_bert.cache.info().size
    sklearn_bert.cache.clear()
    sklearn_bert.cache.set_limit(states // 8)
    small = make(freeze=-1, max_epochs=3, verbose=1)
    passed = passes_of_layers(model, lambda: small.fit(X, Y))
    assert "does not hold" in capsys.readouterr().out
    n = len(X)
    assert n < passed[0] < 4 * n
    assert sklearn_bert.cache.info().entries > 0
    np.testing.assert_allclose(small.predict_proba(X), expected, atol=1e-4)


def test_same_seed_same_predictions_and_global_generators_are_left_alone(make):
    torch.manual_seed(5)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = make(freeze=-2, random_state=3).fit(X, Y).predict_proba(X)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(6)
    second = make(freeze=-2, random_state=3).fit(X, Y).predict_proba(X)
    other = make(freeze=-2, random_state=4).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_it_trains_where_the_caller_wants_no_gradients(without_gradients, freeze, make):
    expected = make(freeze=freeze).fit(X, Y).predict_proba(X)
    sklearn_bert.cache.clear()
    with without_gradients():
        classifier = make(freeze=freeze).fit(X, Y)
        assert not torch.is_grad_enabled()
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    # And goes on elsewhere.
    classifier.set_params(warm_start=True).fit(X, Y)


def test_batch_company_and_order_change_nothing_in_prediction(make):
    classifier = make(freeze=-2).fit(X, Y)
    expected = classifier.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(
        classifier.predict_proba([X[i] for i in order]), expected[order], atol=1e-5
    )
    np.testing.assert_allclose(classifier.predict_proba(X[:1]), expected[:1], atol=1e-5)


def test_only_what_is_asked_for_trains(make, model):
    checkpoint = load_checkpoint(model, None, torch.device("cpu"), "float32")
    before = dict(checkpoint.trainable_copy().named_parameters())
    featurizer = BertFeaturizer(model, device="cpu", precision="float32", cache=None)
    features = featurizer.transform(X)
    classifier = make(freeze=-2, unfreeze=["layer.1.output"], lr=1e-2).fit(X, Y)
    assert classifier.depth_ == 1
    trained = classifier.net_.module_.trained()
    assert all("layer.1.output" in n or "layer.2." in n or "layer.3." in n for n in trained)
    assert not any(torch.equal(before[name], p) for name, p in trained.items() if p.ndim > 1)
    np.testing.assert_array_equal(featurizer.transform(X), features)
    n_head = 2 * 32 + 2
    assert classifier.n_trainable_parameters_ == n_head + sum(p.numel() for p in trained.values())
    assert make(freeze="all").fit(X, Y).n_trainable_parameters_ == n_head


@pytest.mark.parametrize("settings", [{}, {"gradual_unfreezing": True, "max_epochs": 6}])
def test_tokens_that_never_occur_stay_as_they_were_pretrained(settings, make, model):
    checkpoint = load_checkpoint(model, None, torch.device("cpu"), "float32")
    name = "embeddings.word_embeddings.weight"
    before = dict(checkpoint.trainable_copy().named_parameters())[name]
    classifier = make(freeze="none", weight_decay=0.5, lr=1e-2, **settings).fit(X, Y)
    changed = (classifier.net_.module_.trained()[name] != before).any(dim=1)
    ids = {token for text in X for token in checkpoint.tokenizer(text)["input_ids"]}
    padding = {checkpoint.tokenizer.pad_token_id}
    found = set(changed.nonzero().flatten().tolist())
    assert ids <= found
    if not settings:
        assert found <= ids | padding
    assert classifier.n_trainable_parameters_ == sum(
        p.numel() for p in classifier.net_.module_.trained_parameters()
    )


@pytest.mark.parametrize(
    ("freeze", "depth"), [("all", 4), (-1, 3), (3, 3), (4, 4), (-4, 0), (0, 0), ("none", 0)]
)
def test_depths(freeze, depth, make):
    assert make(freeze=freeze, max_epochs=1).fit(X, Y).depth_ == depth


def test_the_learning_rate_goes_by_the_width(make):
    assert make(freeze="all").fit(X, Y).lr_ == 5e-4
    assert make(freeze="all", lr=1e-5).fit(X, Y).lr_ == 1e-5
    embedded = BertFineTuneClassifier(freeze="all", max_epochs=1).fit(X, Y)
    assert embedded.lr_ == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("settings", "n_steps"),
    [
        ({"max_epochs": 30}, 30 * N_BATCHES),
        ({"max_epochs": 30, "gradient_accumulation": 2}, 30 * math.ceil(N_BATCHES / 2)),
        ({"max_epochs": 60, "batch_size": len(X)}, 60),
    ],
)
def test_the_rate_of_a_head_alone_goes_by_the_steps(settings, n_steps, make):
    rates = []
    callback = Callback()
    callback.on_batch_end = lambda net, **_: rates.append(net.optimizer_.param_groups[0]["lr"])
    plain = {"lr_schedule": "constant", "warmup": 0, "callbacks": [callback]}
    classifier = make(freeze="all", **plain, **settings).fit(X, Y)
    assert classifier.head_lr_ == pytest.approx(0.3 / n_steps)
    assert set(rates) == {classifier.head_lr_}


def test_the_rate_of_a_head_has_bounds_and_is_known_where_layers_train(make):
    assert make(freeze="all", max_epochs=1).fit(X, Y).head_lr_ == 1e-2
    assert make(freeze="all", max_epochs=110).fit(X, Y).head_lr_ == 1e-3
    assert make(freeze=-1, max_epochs=1).fit(X, Y).head_lr_ == 1e-3
    opened = make(freeze="all", unfreeze=["layer.3.output"], max_epochs=1).fit(X, Y)
    assert opened.head_lr_ == 1e-3
    assert make(freeze="all", max_epochs=1, head_lr=0.5).fit(X, Y).head_lr_ == 0.5


def test_what_is_held_out_makes_no_steps(make):
    settings = {"early_stopping": True, "validation_fraction": 0.5, "max_epochs": 30}
    classifier = make(freeze="all", n_iter_no_change=99, **settings).fit(X, Y)
    assert classifier.head_lr_ == pytest.approx(0.3 / (30 * math.ceil(len(X) / 2 / 8)))


def test_an_mlp_head_and_several_poolings(make):
    classifier = make(
        freeze="all", hidden_layer_sizes=(12, 6), pooling=["cls", "max"], activation="tanh"
    ).fit(X, Y)
    shapes = [tuple(p.shape) for p in classifier.net_.module_.head.parameters() if p.ndim == 2]
    assert shapes == [(12, 64), (6, 12), (2, 6)]


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_the_pooler_can_be_pooled_and_trained(freeze, make):
    classifier = make(freeze=freeze, pooling="pooler").fit(X, Y)
    assert any("pooler" in n for n in classifier.net_.module_.trained()) == (freeze != "all")


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "step", "slanted_triangular"])
def test_options_of_training_all_train(schedule, make):
    classifier = make(
        freeze=-2,
        max_epochs=6,
        lr=1e-3,
        head_lr=1e-2,
        lr_schedule=schedule,
        layer_lr_decay=0.5,
        gradual_unfreezing=True,
        gradient_accumulation=2,
        gradient_checkpointing=True,
        label_smoothing=0.1,
        warmup=2,
        max_grad_norm=None,
    ).fit(X, Y)
    assert classifier.history_[-1]["train_loss"] < classifier.history_[0]["train_loss"]


def test_gradient_checkpointing_changes_nothing_but_memory(make):
    plain = make(freeze=-2).fit(X, Y).predict_proba(X)
    saving = make(freeze=-2, gradient_checkpointing=True).fit(X, Y).predict_proba(X)
    np.testing.assert_allclose(plain, saving, atol=1e-5)


def test_validation_data_are_scored_before_the_first_step(make):
    classifier = make(freeze=-1, max_epochs=2).fit(X, Y, X_val=X[:12], y_val=Y[:12])
    rows = classifier.history_
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert set(rows[0]) == {"epoch", "valid_loss", "valid_score"}
    assert rows[-1]["valid_score"] == classifier.score(X[:12], Y[:12])
    assert "valid_loss" not in make(freeze=-1).fit(X, Y).history_[0]


def test_early_stopping_goes_back_to_the_best_weights(make):
    settings = {"freeze": -2, "max_epochs": 40, "lr": 3e-3, "head_lr": 1e-2}
    # The more is learnt, the worse it gets.
    opposite = np.where(Y[:10] == "up", "down", "up")
    validation = {"X_val": X[:10], "y_val": opposite}
    stopped = make(**settings, early_stopping=True, n_iter_no_change=2).fit(X, Y, **validation)
    rows = stopped.history_
    best = max(rows, key=lambda row: (row["valid_score"], -row["valid_loss"]))
    assert best["epoch"] == rows[-1]["epoch"] - 2
    assert stopped.score(X[:10], opposite) == best["valid_score"]
    found = log_loss(opposite, stopped.predict_proba(X[:10]), labels=["down", "up"])
    assert found == pytest.approx(best["valid_loss"], rel=1e-4)


def test_early_stopping_holds_out_a_stratified_share(make):
    seen = []

    class Sees(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.append((dataset_train.y.tolist(), dataset_valid.y.tolist()))

    make(
        freeze="all",
        early_stopping=True,
        validation_fraction=0.25,
        max_epochs=1,
        callbacks=[Sees()],
    ).fit(X, Y)
    train, held_out = seen[0]
    assert (len(train), len(held_out)) == (30, 10)
    assert sum(held_out) == 5


def test_class_weights_come_from_what_is_trained_on(make):
    rare = X[:20] + [X[i] for i in range(20, 40) if Y[i] == "up"][:4]
    y = np.array(["down"] * 20 + ["up"] * 4)
    plain = make(freeze="all", head_lr=1e-2, max_epochs=5).fit(rare, y)
    balanced = make(freeze="all", head_lr=1e-2, max_epochs=5, class_weight="balanced").fit(rare, y)
    by_hand = make(
        freeze="all", head_lr=1e-2, max_epochs=5, class_weight={"down": 24 / 40, "up": 24 / 8}
    ).fit(rare, y)
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), atol=1e-6)
    assert (balanced.predict_proba(rare)[:, 1] > plain.predict_proba(rare)[:, 1]).all()


def test_balanced_classes_count_alike_whatever_their_samples_weigh(make):
    weights = np.where(Y == "up", 9.0, 1.0)
    settings = {"freeze": "all", "head_lr": 1e-2, "max_epochs": 5}
    # Classes of one size: what makes up for the weights makes all alike.
    balanced = make(**settings, class_weight="balanced").fit(X, Y, sample_weight=weights)
    plain = make(**settings).fit(X, Y)
    np.testing.assert_allclose(balanced.predict_proba(X), plain.predict_proba(X), atol=1e-6)


WRONG = np.arange(len(X)) % 4 == 1


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_samples_of_weight_0_are_as_if_they_were_not_there(early_stopping, class_weight, make):
    y = np.where(WRONG, "up", Y)
    weights = np.where(WRONG, 0.0, 2.0)
    classifier = make(
        freeze="all", max_epochs=3, early_stopping=early_stopping, class_weight=class_weight
    )
    found = clone(classifier).fit(X, y, sample_weight=weights)
    expected = classifier.fit(np.array(X)[~WRONG], y[~WRONG], sample_weight=weights[~WRONG])
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
    assert [row.get("valid_score") for row in found.history_] == [
        row.get("valid_score") for row in expected.history_
    ]


def test_validation_samples_of_weight_0_are_too(make):
    y, weights = np.where(WRONG, "up", Y), np.where(WRONG, 0.0, 2.0)
    classifier = make(freeze="all", max_epochs=2)
    classifier.fit(X, Y, X_val=X, y_val=y, sample_weight_val=weights)
    alone = {"X_val": np.array(X)[~WRONG], "y_val": y[~WRONG]}
    expected = clone(classifier).fit(X, Y, **alone)
    for row, other in zip(classifier.history_, expected.history_, strict=True):
        assert row["valid_score"] == other["valid_score"]
        assert row["valid_loss"] == pytest.approx(other["valid_loss"])


def test_a_class_whose_samples_all_weigh_0_is_still_known(make):
    classifier = make(freeze="all", max_epochs=1).fit(X, Y, sample_weight=(Y == "up") * 1.0)
    assert classifier.classes_.tolist() == ["down", "up"]


def test_class_weights_of_classes_that_a_fold_lacks_are_left_out(make):
    weights = {"down": 1.0, "up": 3.0}
    expected = make(freeze="all", class_weight=weights).fit(X, Y).predict_proba(X)
    found = make(freeze="all", class_weight=weights | {"rare": 5.0}).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(found, expected)


def test_sample_weights_count(make):
    weights = np.where(Y == "up", 9.0, 1.0)
    plain = make(freeze="all", head_lr=1e-2).fit(X, Y).predict_proba(X)[:, 1]
    heavy = make(freeze="all", head_lr=1e-2).fit(X, Y, sample_weight=weights)
    scaled = make(freeze="all", head_lr=1e-2).fit(X, Y, sample_weight=7 * weights)
    assert heavy.predict_proba(X)[:, 1].mean() > plain.mean()
    np.testing.assert_allclose(heavy.predict_proba(X), scaled.predict_proba(X), atol=1e-6)


def test_only_proportions_of_weights_count(make):
    weights = np.where(Y == "up", 9.0, 1.0)
    settings = {"freeze": "all", "early_stopping": True, "head_lr": 1e-2}
    expected = make(**settings).fit(X, Y, weights)
    for factor in (1000, 1e307):
        found = make(**settings).fit(X, Y, factor * weights)
        np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)
        for row, other in zip(found.history_, expected.history_, strict=True):
            assert row["valid_loss"] == pytest.approx(other["valid_loss"])
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 .*n_samples=1"):
        make(**settings).fit(X, Y, [0.0] * (len(X) - 1) + [1.0])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_some_weight_has_to_be_left(early_stopping, make):
    settings = {"freeze": "all", "early_stopping": early_stopping}
    classifier = make(**settings, class_weight={"up": 0.0, "down": 0.0})
    with pytest.raises(ValueError, match="class_weight leaves no sample to train on"):
        classifier.fit(X, Y)
    # Of two tasks, texts without any label are left out too.
    tasks = np.array([["up", "a"], ["down", "b"], [None] * 2, [None] * 2] * 10, dtype=object)
    unlabelled = np.array([0.0, 0.0, 1.0, 1.0] * 10)
    with pytest.raises(ValueError, match=r"X has no sample that counts.*a sample_weight of 0"):
        make(**settings).fit(X, tasks, unlabelled)
    validation = {"X_val": X, "y_val": tasks, "sample_weight_val": unlabelled}
    with pytest.raises(ValueError, match=r"X_val has no sample.*a sample_weight_val of 0"):
        make(**settings).fit(X, tasks, **validation)


@pytest.mark.parametrize("weight", [1e308, 5e-324])
def test_balanced_classes_take_weights_of_any_size(weight, make):
    settings = {"freeze": "all", "max_epochs": 2, "class_weight": "balanced"}
    found = make(**settings).fit(X, Y, sample_weight=np.full(len(X), weight))
    expected = make(**settings).fit(X, Y)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_single_texts_and_pairs_do_not_mix(make):
    pairs = list(zip(X, reversed(X), strict=True))
    with pytest.raises(ValueError, match=r"X_val has text pairs.*Accepted: single texts"):
        make().fit(X, Y, X_val=pairs, y_val=Y)
    with pytest.raises(ValueError, match=r"X_val has single texts.*Accepted: text pairs"):
        make().fit(pairs, Y, X_val=X, y_val=Y)
    with pytest.raises(ValueError, match=r"X has text pairs.*Accepted: single texts"):
        make(freeze="all", max_epochs=1).fit(X, Y).predict(pairs)
    with pytest.raises(ValueError, match=r"X has single texts.*Accepted: text pairs"):
        make(freeze="all", max_epochs=1).fit(pairs, Y).predict(X)


def test_a_class_may_be_missing_from_a_fold(make):
    y = Y.copy()
    y[0] = "once"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_validate(make(freeze="all"), X, y, cv=StratifiedKFold(3), error_score="raise")
    assert len(found["test_score"]) == 3


def test_warm_start_goes_on(make):
    classifier = make(freeze=-1, max_epochs=2, warm_start=True, lr=1e-3, head_lr=1e-2).fit(X, Y)
    first = classifier.history_[-1]["train_loss"]
    assert classifier.fit(X, Y).history_[0]["train_loss"] < 1.2 * first
    deeper = classifier.set_params(freeze=-2).fit(X, Y)
    assert deeper.depth_ == 2
    with pytest.raises(ValueError, match="warm_start"):
        classifier.set_params(freeze="all").fit(X, Y)
    with pytest.raises(ValueError, match="does not know"):
        classifier.fit(X, np.where(Y == "up", "north", "south"))
    up = classifier.set_params(freeze=-2).fit(X, ["up"] * len(X))
    assert up.classes_.tolist() == ["down", "up"]


def test_warm_start_goes_by_the_weights(make, saved_model, tmp_path):
    model = shutil.copytree(saved_model("bert"), tmp_path / "model")
    classifier = make(model=model, freeze="all", warm_start=True).fit(X, Y)
    # The same weights at another place are the same model.
    classifier.set_params(model=saved_model("bert")).fit(X, Y)
    shutil.copy(saved_model("bert", 1) / "model.safetensors", model / "model.safetensors")
    with pytest.raises(ValueError, match="the weights and tokenizer of model"):
        classifier.set_params(model=model).fit(X, Y)


def test_refit_is_a_fresh_fit(make):
    used = make(freeze=-2, random_state=9).fit(X[::-1], Y[::-1] == "up")
    used.set_params(freeze=-1, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(used.predict_proba(X), make(freeze=-1).fit(X, Y).predict_proba(X))


def test_a_failed_fit_leaves_the_earlier_one_whole(make):
    classifier = make(freeze=-1).fit(X, Y)
    expected = classifier.predict_proba(X)
    with pytest.raises(ValueError, match="one class"):
        classifier.fit(X, ["same"] * len(X))
    with pytest.raises(ValueError, match="lr"):
        classifier.set_params(lr=-1).fit(X, Y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_pickles_predict_the_same(freeze, make):
    classifier = make(freeze=freeze).fit(X, Y)
    expected = classifier.predict_proba(X)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        np.testing.assert_allclose(copied.predict_proba(X), expected, atol=1e-6)
    assert not hasattr(clone(classifier), "net_")


def test_a_pickle_knows_when_the_model_is_another(make, saved_model, tmp_path):
    from tests.models import FAMILIES, save

    folder = save(tmp_path / "model", *FAMILIES["bert"].build(1))
    dumped = pickle.dumps(make(model=folder, freeze=-1).fit(X, Y))
    save(folder, *FAMILIES["bert"].build(2))
    with pytest.raises(ModelLoadError, match="than this estimator was fitted with"):
        pickle.loads(dumped).predict(X)


def test_head_only_classifiers_share_one_encoder(make):
    before = work.counted().models_loaded
    fitted = [make(freeze="all", random_state=i).fit(X, Y) for i in range(10)]
    assert (work.counted() - work.counted()).models_loaded == 0
    assert work.counted().models_loaded - before <= 1
    models = {id(c.reference_.encoder().checkpoint.lower.model) for c in fitted}
    assert len(models) == 1
    assert all(c.net_.module_.encoder is None for c in fitted)
    assert len(pickle.dumps(fitted[0])) < 50_000


def test_nothing_of_the_training_survives_it(make):
    tracked = []

    class Tracks(Callback):
        def on_train_end(self, net, **kwargs):
            tracked.append(weakref.ref(net.optimizer_))

    classifier = make(freeze=-1, callbacks=[Tracks()]).fit(X, Y)
    gc.collect()
    assert tracked[0]() is None
    assert all(p.grad is None for p in classifier.net_.module_.parameters())


def test_a_loss_that_is_no_number_keeps_the_best_weights(make):
    class Breaks(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                with torch.no_grad():
                    net.module_.head[-1].weight.fill_(torch.nan)

    classifier = make(freeze=-1, max_epochs=4, callbacks=[Breaks()])
    with pytest.raises(TrainingDivergedError, match=r"epoch 2.*Try a lower lr"):
        classifier.fit(X, Y)
    expected = make(freeze=-1, max_epochs=4).fit(X, Y)
    assert np.isfinite(classifier.predict_proba(X)).all()
    assert [row["epoch"] for row in classifier.history_] == [1, 2]
    assert classifier.history_[0] == pytest.approx(expected.history_[0], abs=10)


def test_long_texts_warn_with_the_count(make):
    long = ["good film " * 60, *X]
    with pytest.warns(LongTextWarning, match=r"1 of 41 texts.*Take a model.*BertFeaturizer\("):
        classifier = make(freeze=-1).fit(long, ["up", *Y])
    with pytest.warns(LongTextWarning, match=r"1 of 41 texts.*Raise max_length \("):
        make(freeze=-1, max_length=20).fit(long, ["up", *Y])
    with pytest.warns(LongTextWarning, match="1 of 41 texts"):
        classifier.predict(long)
    halves = [("good film " * 60, text) for text in X]
    with pytest.warns(LongTextWarning, match="40 of 80 texts"):
        classifier = make(freeze=-1, pairs="separate").fit(halves, Y)
    with pytest.warns(LongTextWarning, match="40 of 80 texts"):
        classifier.predict(halves)


def test_a_progress_bar_for_each_epoch(make, capsys):
    make(freeze="all", verbose=1, max_epochs=2).fit(X, Y, X_val=X[:8], y_val=Y[:8])
    shown = capsys.readouterr().err
    assert "Epoch 0: valid_loss=" in shown
    assert "Epoch 2/2" in shown
    assert "valid_score=" in shown


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"freeze": 5}, r"freeze=5 can't be used.*0 to 4.*The model has 4 layers"),
        ({"freeze": -5}, r"freeze=-5 can't be used"),
        ({"freeze": "half"}, r"freeze='half' can't be used.*'none', 'embeddings', 'all'"),
        ({"freeze": True}, r"freeze=True can't be used"),
        ({"unfreeze": ["layer.9.output"]}, r"unfreeze='layer.9.output'.*layer\.\d\.output"),
        ({"unfreeze": "layer.3"}, r"unfreeze='layer.3' can't be used.*list"),
        ({"class_weight": "even"}, r"class_weight='even'"),
        ({"class_weight": {"sideways": 2.0}}, r"class_weight=.*classes of y"),
        ({"class_weight": {"up": 1.0, "sideways": -2.0}}, r"class_weight=.*at least 0"),
        ({"max_length": 9999}, r"max_length=9999"),
    ],
)
def test_bad_parameters_are_named(parameters, message, make):
    with pytest.raises(ValueError, match=message):
        make(**parameters).fit(X, Y)


def test_bad_targets_and_validation_data_are_named(make):
    classifier = make(freeze="all")
    with pytest.raises(ValueError, match="y has one class, 'up'"):
        classifier.fit(X[:3], ["up"] * 3)
    with pytest.raises(ValueError, match="40 texts and y has 41 labels"):
        classifier.fit(X, [*Y, "up"])
    with pytest.raises(ValueError, match="target y is None"):
        classifier.fit(X, None)
    with pytest.raises(ValueError, match="continuous"):
        classifier.fit(X, np.linspace(0, 1, len(X)))
    with pytest.raises(ValueError, match="NaN"):
        classifier.fit(X, [np.nan, *(Y[1:] == "up")])
    with pytest.raises(ValueError, match="X_val was passed without y_val"):
        classifier.fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="sample_weight_val was passed without X_val"):
        classifier.fit(X, Y, sample_weight_val=np.ones(len(X)))
    with pytest.raises(ValueError, match=r"y_val has classes that the model does not know: .*new"):
        classifier.fit(X, Y, X_val=X[:2], y_val=["up", "new"])
    with pytest.raises(ValueError, match="40 texts and sample_weight has 1 weights"):
        classifier.fit(X, Y, sample_weight=[1.0])
    with pytest.raises(ValueError, match="sample_weight can't be used"):
        classifier.fit(X, Y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="validation_fraction"):
        make(early_stopping=True).fit(X[:2], ["up", "down"])


@pytest.mark.parametrize(("name", "value"), [("layer_lr_decay", 0.5), ("contrastive_weight", 1)])
def test_what_does_nothing_with_all_frozen_warns(name, value, make):
    with pytest.warns(UserWarning, match=f"{name}={value} does nothing with freeze='all'"):
        make(freeze="all", **{name: value}).fit(X, Y)


def test_albert_is_frozen_all_or_nothing(make, saved_model):
    folder = saved_model("albert")
    for freeze in ("none", "embeddings", "all"):
        make(model=folder, freeze=freeze, max_epochs=1).fit(X, Y).predict(X)
    with pytest.raises(ValueError, match=r"'none', 'embeddings', 'all'.*share"):
        make(model=folder, freeze=-1).fit(X, Y)


@pytest.mark.parametrize("family", ["electra", "mpnet", "deberta-v2", "deberta-v3", "xlm-roberta"])
@pytest.mark.parametrize("freeze", [-1, "embeddings", "none"])
def test_other_architectures_train_and_come_back_from_a_pickle(family, freeze, make, saved_model):
    classifier = make(model=saved_model(family), freeze=freeze, max_epochs=1).fit(X, Y)
    expected = classifier.predict_proba(X)
    found = pickle.loads(pickle.dumps(classifier)).predict_proba(X)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_other_precisions_train(precision, make):
    classifier = make(freeze=-2, precision=precision, max_epochs=20, lr=1e-3, head_lr=1e-2)
    assert classifier.fit(X, Y).score(X, Y) > 0.9
    trained = classifier.net_.module_.trained().values()
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in trained} == {expected}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("freeze", [-1, "none"])
def test_every_architecture_trains_in_bfloat16(family, freeze, make, saved_model):
    freeze = "embeddings" if family == "albert" and freeze == -1 else freeze
    parameters = {"model": saved_model(family), "freeze": freeze, "max_epochs": 1, "dropout": 0}
    rough, exact = (
        make(precision=precision, **parameters).fit(X, Y) for precision in ("bfloat16", "float32")
    )
    assert rough.history_[0]["train_loss"] == pytest.approx(
        exact.history_[0]["train_loss"], rel=0.1
    )
