"""ULMFiT's methods (arXiv 1801.06146) as users get them, held against the paper's formulas."""

import copy
import gc
import math
import pickle
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch.nn.modules.module import register_module_forward_hook

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor, finetuning
from sklearn_bert.encoder import work
from sklearn_bert.encoder.freezing import Freezing
from sklearn_bert.errors import TrainingDivergedError
from sklearn_bert.training.inputs import StateInputs
from tests.models import HIDDEN, N_LAYERS, TEXTS

ADJECTIVES = ["good", "bad", "dull", "very", "wonder"]
# All of six tokens, so that batches and dropout do not depend on what inputs say of lengths.
SAME_LENGTH = [
    f"{noun} {verb} {adjective} {number}"
    for noun in ("film", "story")
    for verb in ("is", "was")
    for adjective in ADJECTIVES
    for number in (1, 2)
]
ANY_LENGTH = [f"{'very ' * (i % 5)}{text}" for i, text in enumerate(SAME_LENGTH)]
Y = np.array(["up" if "good" in text or "wonder" in text else "down" for text in SAME_LENGTH])
BATCH_SIZE = 8
EVERYTHING = N_LAYERS + 2
LAYERS = ("BertLayer", "AlbertLayer", "ModernBertEncoderLayer", "DebertaV2Layer", "MPNetLayer")


@pytest.fixture
def make(saved_model):
    """Return a function that makes a quick exact classifier that is unfrozen layer by layer."""

    def classifier(family="bert", **parameters):
        settings = {
            "model": saved_model(family),
            "precision": "float32",
            "device": "cpu",
            "batch_size": BATCH_SIZE,
            "lr": 1e-3,
            "head_lr": 1e-2,
            "max_epochs": EVERYTHING,
            "gradual_unfreezing": True,
            "random_state": 0,
        }
        return BertFineTuneClassifier(**(settings | parameters))

    return classifier


def trained(texts, layers):
    """Return the passes of an epoch in which so many layers train.

    Its last batch runs once more, which tells whether the last step broke the weights.
    """
    return (len(texts) + BATCH_SIZE) * layers


class PassesByEpoch(Callback):
    """Counts how often a text passed a layer, whether it was frozen or not, in each epoch."""

    def __init__(self):
        self.epochs = [0]

    def on_epoch_begin(self, net, **kwargs):
        # What the next stage encoded before this callback was asked belongs to its epoch.
        self.epochs[-1:] = [0, self.epochs[-1]] if len(net.history) == 1 else [self.epochs[-1]]

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(0)

    def count(self, module, args, output):
        if type(module).__name__ in LAYERS:
            self.epochs[-1] += len(output[0] if isinstance(output, tuple) else output)


def passes_by_epoch(estimator, X, y, **validation):
    """Fit, and return how many times a text passed a layer, in each epoch."""
    # Loading tries a model with two texts.
    settings = {name: getattr(estimator, name) for name in ("model", "precision", "device")}
    BertFeaturizer(**settings).fit(X)
    counter = PassesByEpoch()
    hook = register_module_forward_hook(counter.count)
    try:
        estimator.set_params(callbacks=[counter]).fit(X, y, **validation)
    finally:
        hook.remove()
    return counter.epochs[1:-1]


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_each_epoch_runs_the_layers_that_train_and_the_first_all_of_them_once(family, make):
    n = len(ANY_LENGTH)
    before = work.counted()
    passed = passes_by_epoch(make(family), ANY_LENGTH, Y)
    stages = [trained(ANY_LENGTH, layers) for layers in (1, 2, 3, 4, 4)]
    assert passed == [n * N_LAYERS, *stages]
    assert (work.counted() - before).texts == n
    # What the first fit kept serves the second.
    assert passes_by_epoch(make(family), ANY_LENGTH, Y) == [0, *stages]
    assert (work.counted() - before).texts == n


def test_validation_data_pass_frozen_layers_once_too(make):
    train, held_out, y = SAME_LENGTH[:30], SAME_LENGTH[30:], Y
    passed = passes_by_epoch(make(max_epochs=4), train, y[:30], X_val=held_out, y_val=y[30:])
    n = len(SAME_LENGTH)
    assert passed == [n * N_LAYERS, n, 2 * n, 3 * n]


@pytest.mark.parametrize(
    ("freeze", "unfreeze", "layers"),
    [
        ("embeddings", None, [0, 1, 2, 3, 4, 4]),
        (-2, None, [0, 1, 2, 2, 2, 2]),
        ("all", ["layer.1.output"], [0, 0, 0, 3, 3, 3]),
        ("all", ["pooler"], [0, 1, 1, 1, 1, 1]),
        ("all", None, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_what_stays_frozen_bounds_what_is_run(freeze, unfreeze, layers, make):
    make(max_epochs=1, freeze="all", pooling="pooler").fit(SAME_LENGTH, Y)
    estimator = make(freeze=freeze, unfreeze=unfreeze, pooling="pooler")
    expected = [trained(SAME_LENGTH, k) for k in layers]
    assert passes_by_epoch(estimator, SAME_LENGTH, Y) == expected


def test_layers_that_are_one_train_from_the_second_epoch(make):
    passed = passes_by_epoch(make("albert", max_epochs=3), SAME_LENGTH, Y)
    all_layers = trained(SAME_LENGTH, N_LAYERS)
    assert passed == [len(SAME_LENGTH) * N_LAYERS, all_layers, all_layers]


class StopAfterTwo(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_layers_that_were_not_reached_are_let_go_of(make):
    stopped = make(max_epochs=EVERYTHING, callbacks=[StopAfterTwo()]).fit(SAME_LENGTH, Y)
    assert stopped.depth_ == N_LAYERS - 1
    assert set(stopped.net_.module_.trained()) == stopped.freezing_.trainable
    top = make(max_epochs=1, freeze=-1, gradual_unfreezing=False).fit(SAME_LENGTH, Y)
    assert len(pickle.dumps(stopped)) < 1.1 * len(pickle.dumps(top))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(stopped)).predict_proba(SAME_LENGTH),
        stopped.predict_proba(SAME_LENGTH),
    )


def without_stages(monkeypatch):
    """Have each stage begin at the lowest depth, as if nothing more were frozen at first."""
    gradually = finetuning.unfreeze_gradually

    def from_the_lowest(*args):
        stages = gradually(*args)
        return [Freezing(stages[-1].depth, stage.trainable) for stage in stages]

    monkeypatch.setattr(finetuning, "unfreeze_gradually", from_the_lowest)


def assert_the_same(first, second, X):
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), atol=1e-4)
    for found, expected in zip(first.history_, second.history_, strict=True):
        for name in expected.keys() - {"seconds"}:
            assert found[name] == pytest.approx(expected[name], abs=1e-4), name
    trained, others = (estimator.net_.module_.trained() for estimator in (first, second))
    assert trained.keys() == others.keys()
    for name, weights in trained.items():
        torch.testing.assert_close(weights, others[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("family", "freeze"),
    [
        ("bert", "none"),
        ("bert", -2),
        ("distilbert", "embeddings"),
        ("deberta-v2", "none"),
        ("modernbert", 1),
        ("mpnet", "none"),
    ],
)
def test_kept_states_change_nothing(family, freeze, make, monkeypatch):
    validation = {"X_val": SAME_LENGTH[30:], "y_val": Y[30:]}
    staged = make(family, freeze=freeze).fit(SAME_LENGTH, Y, **validation)
    without_stages(monkeypatch)
    plain = make(family, freeze=freeze).fit(SAME_LENGTH, Y, **validation)
    assert staged.history_[-1]["valid_loss"] < staged.history_[0]["valid_loss"]
    assert_the_same(staged, plain, TEXTS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"gradient_checkpointing": True},
        {"freeze": "all", "unfreeze": ["layer.1.output", "pooler"], "pooling": ["pooler", "max"]},
        {"hidden_layer_sizes": (8,), "gradient_accumulation": 2},
        {"family": "albert", "max_epochs": 3},
        {"cache": None},
    ],
)
def test_kept_states_change_nothing_whatever_the_options(parameters, make, monkeypatch):
    staged = make(**parameters).fit(SAME_LENGTH, Y)
    without_stages(monkeypatch)
    assert_the_same(staged, make(**parameters).fit(SAME_LENGTH, Y), TEXTS)


def test_kept_states_of_texts_of_any_length_change_nothing(make, monkeypatch):
    # One batch an epoch, and nothing drawn for the head: only then may rows come in any order.
    settings = {"batch_size": len(ANY_LENGTH), "dropout": 0.0}
    validation = {"X_val": TEXTS, "y_val": Y[: len(TEXTS)]}
    staged = make(**settings).fit(ANY_LENGTH, Y, **validation)
    without_stages(monkeypatch)
    assert_the_same(staged, make(**settings).fit(ANY_LENGTH, Y, **validation), TEXTS)


@pytest.mark.parametrize("max_epochs", range(1, EVERYTHING + 2))
def test_few_epochs_leave_the_lowest_layers_frozen(max_epochs, make):
    found = make(max_epochs=max_epochs).fit(SAME_LENGTH, Y)
    freeze = "none" if max_epochs >= EVERYTHING else N_LAYERS + 1 - max_epochs
    bounded = make(max_epochs=max_epochs, freeze=freeze).fit(SAME_LENGTH, Y)
    assert found.depth_ == bounded.depth_ == (0 if freeze == "none" else freeze)
    assert found.n_trainable_parameters_ == bounded.n_trainable_parameters_
    np.testing.assert_array_equal(found.predict_proba(TEXTS), bounded.predict_proba(TEXTS))


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize("max_epochs", [1, 3, EVERYTHING])
def test_copies_predict_the_same(how, max_epochs, make):
    classifier = make(max_epochs=max_epochs).fit(SAME_LENGTH, Y)
    copied = (
        pickle.loads(pickle.dumps(classifier)) if how == "pickle" else copy.deepcopy(classifier)
    )
    expected = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(copied.predict_proba(TEXTS), expected, atol=1e-6)


class Worsens(Callback):
    """Spoils all that trains from an epoch on, so that none is better than the one before it."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) >= self.epoch:
            with torch.no_grad():
                for parameter in net.module_.trained_parameters():
                    if parameter.requires_grad:
                        parameter.add_(0.1)
                net.module_.head[-1].weight.zero_()
                # The rarer class, with conviction.
                net.module_.head[-1].bias.copy_(torch.tensor([-9.0, 9.0]))


@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_weights_of_the_best_epoch_come_back_whatever_trained_in_it(best, make):
    validation = {"X_val": ANY_LENGTH, "y_val": Y}
    settings = {"early_stopping": True, "n_iter_no_change": 2, "lr_schedule": "constant"}
    stopped = make(**settings, callbacks=[Worsens(best + 1)]).fit(ANY_LENGTH, Y, **validation)
    kept = max(stopped.history_, key=lambda row: (row["valid_score"], -row["valid_loss"]))
    assert kept["epoch"] == best == len(stopped.history_) - 3
    for classifier in (stopped, pickle.loads(pickle.dumps(stopped))):
        assert classifier.score(ANY_LENGTH, Y) == kept["valid_score"] > 0.4
        assert loss_of(classifier, ANY_LENGTH, Y) == pytest.approx(kept["valid_loss"], rel=1e-4)
    checkpoint = stopped.reference_.encoder().checkpoint
    places = checkpoint.parameter_places
    pretrained = dict(checkpoint.trainable_copy().named_parameters())
    trained = stopped.net_.module_.trained()
    untouched = {
        name
        for name, weights in pretrained.items()
        if name not in trained or torch.equal(trained[name], weights)
    }
    assert untouched >= {name for name in pretrained if -1 <= places[name] <= N_LAYERS - best}


@pytest.mark.parametrize("best", [1, 2, 3])
def test_skorch_goes_back_to_the_best_epoch_whatever_trained_in_it(best, make):
    stop = EarlyStopping(patience=2, load_best=True, sink=str)
    settings = {"lr_schedule": "constant", "callbacks": [Worsens(best + 1), stop]}
    stopped = make(**settings).fit(ANY_LENGTH, Y, X_val=ANY_LENGTH, y_val=Y)
    kept = min(stopped.history_[1:], key=lambda row: row["valid_loss"])
    assert kept["epoch"] == best < len(stopped.history_) - 1
    for classifier in (stopped, pickle.loads(pickle.dumps(stopped))):
        assert loss_of(classifier, ANY_LENGTH, Y) == pytest.approx(kept["valid_loss"], rel=1e-4)


def loss_of(classifier, X, y):
    probabilities = classifier.predict_proba(X)
    right = np.searchsorted(classifier.classes_, y)
    return -np.log(probabilities[np.arange(len(y)), right]).mean()


class Stops(Callback):
    """Ends a training after some epochs."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise KeyboardInterrupt


def test_a_stop_by_a_callback_leaves_a_model_that_predicts(make):
    stopped = make(callbacks=[Stops(2)]).fit(ANY_LENGTH, Y)
    whole = make(max_epochs=2, lr_schedule="constant", warmup=0).fit(ANY_LENGTH, Y)
    same = make(callbacks=[Stops(2)], lr_schedule="constant", warmup=0).fit(ANY_LENGTH, Y)
    assert [row["epoch"] for row in stopped.history_] == [1, 2]
    np.testing.assert_allclose(same.predict_proba(TEXTS), whole.predict_proba(TEXTS), atol=1e-5)


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_fitted_attributes_tell_what_trained_before_a_stop(n_epochs, make, tmp_path):
    stopped = make(callbacks=[Stops(n_epochs)]).fit(ANY_LENGTH, Y)
    bounded = make(max_epochs=n_epochs).fit(ANY_LENGTH, Y)
    assert stopped.depth_ == bounded.depth_ == N_LAYERS + 1 - n_epochs
    assert stopped.n_trainable_parameters_ == bounded.n_trainable_parameters_
    assert stopped.n_trainable_parameters_ == stopped.history_[-1]["n_trainable_parameters"]
    stopped.set_params(callbacks=None).save_pretrained(tmp_path / "saved")
    loaded = BertFineTuneClassifier.from_pretrained(tmp_path / "saved")
    assert loaded.depth_ == stopped.depth_
    expected = stopped.predict_proba(TEXTS)
    for copied in (loaded, pickle.loads(pickle.dumps(stopped)), copy.deepcopy(stopped)):
        assert copied.n_trainable_parameters_ == stopped.n_trainable_parameters_
        np.testing.assert_allclose(copied.predict_proba(TEXTS), expected, atol=1e-6)
    # What did not train yet is as pretrained, and opens as in a first fit.
    stopped.set_params(warm_start=True).fit(ANY_LENGTH, Y)
    assert stopped.depth_ == 0


def test_a_loss_that_is_no_number_keeps_the_best_weights(make):
    class Breaks(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                with torch.no_grad():
                    net.module_.head[-1].weight.fill_(torch.nan)

    classifier = make(callbacks=[Breaks()])
    with pytest.raises(TrainingDivergedError, match="epoch 2"):
        classifier.fit(ANY_LENGTH, Y)
    assert np.isfinite(classifier.predict_proba(ANY_LENGTH)).all()


def test_a_warm_start_goes_on_from_what_was_trained(make):
    validation = {"X_val": ANY_LENGTH, "y_val": Y}
    classifier = make(warm_start=True, max_epochs=3).fit(ANY_LENGTH, Y, **validation)
    last = classifier.history_[-1]
    passed = passes_by_epoch(classifier, ANY_LENGTH, Y, **validation)
    # The top two layers are not as pretrained, so that they run from the start, which scores once.
    n = 2 * len(ANY_LENGTH)
    assert passed == [3 * n, 2 * n, 2 * n]
    assert classifier.history_[0]["valid_loss"] == pytest.approx(last["valid_loss"], rel=1e-4)
    assert classifier.history_[0]["valid_score"] == last["valid_score"]
    assert classifier.depth_ == N_LAYERS - 2
    classifier.set_params(max_epochs=1).fit(ANY_LENGTH, Y)
    assert classifier.depth_ == N_LAYERS - 2


def test_the_inputs_of_a_stage_are_let_go_with_it(make):
    class Watches(Callback):
        inputs = ()
        alive = ()

        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            assert dataset_train.inputs is dataset_valid.inputs
            self.inputs = (*self.inputs, weakref.ref(dataset_train.inputs))
            gc.collect()
            self.alive = (*self.alive, len({i() for i in self.inputs} - {None}))

    watch = Watches()
    classifier = make(callbacks=[watch])
    classifier.fit(ANY_LENGTH, Y, X_val=ANY_LENGTH[:5], y_val=Y[:5])
    assert watch.alive == (1,) * EVERYTHING
    gc.collect()
    assert all(inputs() is None for inputs in watch.inputs)
    assert len({id(inputs) for inputs in watch.inputs}) == N_LAYERS + 1


def test_ctrl_c_while_a_stage_begins_reaches_the_user(make, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    classifier = make()
    monkeypatch.setattr(StateInputs, "__init__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(ANY_LENGTH, Y)
    assert not hasattr(classifier, "net_")


def test_a_regressor_is_unfrozen_in_the_same_way(saved_model):
    regressor = BertFineTuneRegressor(
        saved_model("bert"),
        gradual_unfreezing=True,
        max_epochs=3,
        batch_size=BATCH_SIZE,
        precision="float32",
    )
    y = np.array([float(len(text)) for text in ANY_LENGTH])
    stages = [trained(ANY_LENGTH, layers) for layers in (1, 2)]
    assert passes_by_epoch(regressor, ANY_LENGTH, y) == [len(ANY_LENGTH) * N_LAYERS, *stages]
    assert regressor.depth_ == N_LAYERS - 2


class Rates(Callback):
    """Notes the learning rates of each step, by place."""

    def __init__(self):
        self.steps = []

    def on_grad_computed(self, net, **kwargs):
        groups = net.optimizer_.param_groups
        self.steps.append({group["name"]: group["lr"] for group in groups})


def rates_of(estimator):
    rates = Rates()
    estimator.set_params(callbacks=[rates]).fit(SAME_LENGTH, Y)
    return rates.steps


def test_discriminative_rates_are_the_papers(make):
    plain = {"gradual_unfreezing": False, "lr_schedule": "constant", "warmup": 0, "max_epochs": 1}
    [rates, *_] = rates_of(make(layer_lr_decay=1 / 2.6, lr=0.01, head_lr=0.02, **plain))
    assert rates.pop("head") == 0.02
    assert rates["layer.3"] == 0.01
    downward = [f"layer.{i}" for i in (3, 2, 1, 0)] + ["embeddings"]
    assert rates.keys() == set(downward)
    for upper, lower in pairwise(downward):
        assert rates[lower] == pytest.approx(rates[upper] / 2.6)


@pytest.mark.parametrize(("warmup", "cut_frac"), [(0.1, 0.1), (0.25, 0.25), (5, 0.25)])
def test_the_slanted_triangle_is_the_papers(warmup, cut_frac, make):
    steps = rates_of(
        make(
            max_epochs=4,
            layer_lr_decay=1 / 2.6,
            lr_schedule="slanted_triangular",
            warmup=warmup,
            gradual_unfreezing=False,
        )
    )
    T, ratio = len(steps), 32
    assert T == 4 * 5
    cut = math.floor(T * cut_frac)
    for t, rates in enumerate(steps):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
        for place, highest in [("head", 1e-2), ("layer.3", 1e-3), ("layer.1", 1e-3 / 2.6**2)]:
            expected = highest * (1 + p * (ratio - 1)) / ratio
            assert rates[place] == pytest.approx(expected), (t, place)


def test_a_cut_between_steps_never_falls_below_the_lowest_rate(make):
    # The paper's fall starts from a cut without rounding, and would end at a rate below zero.
    settings = {"lr_schedule": "slanted_triangular", "warmup": 0.12, "gradual_unfreezing": False}
    steps = [rates["head"] for rates in rates_of(make(max_epochs=3, batch_size=9, **settings))]
    assert len(steps) == 15
    assert min(steps) == steps[0] == pytest.approx(1e-2 / 32)
    assert max(steps) == steps[1] == 1e-2
    fall = np.diff(steps[1:])
    np.testing.assert_allclose(fall, -1e-2 * 31 / 32 / 14)


def test_concatenated_pooling_is_the_papers_for_features(saved_model, reference):
    featurizer = BertFeaturizer(
        saved_model("bert"), pooling=["last", "max", "mean"], precision="float32"
    )
    expected = np.hstack([reference().vectors(TEXTS, how) for how in ("last", "max", "mean")])
    found = featurizer.transform(TEXTS)
    assert found.shape == (len(TEXTS), 3 * HIDDEN)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for text, of_text in zip(TEXTS, expected, strict=True):
        alone = BertFeaturizer(**featurizer.set_params(cache=None).get_params())
        np.testing.assert_allclose(alone.transform([text])[0], of_text, atol=1e-5)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_concatenated_pooling_is_the_papers_for_the_classifier(family, freeze, make, reference):
    poolings = ["last", "max", "mean"]
    still = {"lr": 1e-30, "head_lr": 1e-30, "weight_decay": 0.0, "max_epochs": 1}
    classifier = make(family, pooling=poolings, freeze=freeze, gradual_unfreezing=False, **still)
    classifier.fit(SAME_LENGTH, Y)
    seen = []
    head = classifier.net_.module_.head
    head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    expected = np.hstack([reference(family).vectors(TEXTS, how) for how in poolings])
    for texts in (TEXTS, *([text] for text in TEXTS)):
        classifier.predict(texts)
    together = torch.cat(seen[: -len(TEXTS)])
    assert together.shape == (len(TEXTS), 3 * HIDDEN)
    # In which order a batch has the texts is its own business.
    order = [int(np.abs(expected - row.numpy()).max(axis=1).argmin()) for row in together]
    assert sorted(order) == list(range(len(TEXTS)))
    np.testing.assert_allclose(together, expected[order], atol=1e-4)
    np.testing.assert_allclose(torch.cat(seen[-len(TEXTS) :]), expected, atol=1e-4)
