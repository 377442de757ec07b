"""A refit is a fresh fit, for every parameter and other data; a fit that fails changes nothing.

A new estimator joins by a line in `ESTIMATORS`, and a new parameter by a line in a table: without
it a test fails.
"""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from skorch.callbacks import Callback

import sklearn_bert
from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    BertFineTuneRegressor,
    BertMaskedLM,
)
from sklearn_bert.errors import ModelNotFoundError, TrainingDivergedError
from tests.models import HIDDEN
from tests.parameters import parameters_of, regressors_are_slow
from tests.sameness import differences, fitted_state, snapshot

X = ["the film is good", "bad", "a dull story", "wonderful film"] * 3 + ["", "a very good story, x"]
LONG = [text + " very" * 60 for text in X]
PAIRS = list(zip(X, reversed(X), strict=True))
Y = np.arange(len(X)) % 2
# Six batches, so that accumulation, schedules and order have something to act on.
QUICK = {"precision": "float32", "device": "cpu", "max_epochs": 2, "batch_size": 3, "freeze": -1}


class Freezes(Callback):
    """A callback of the user's that makes a difference: it fixes the last of the head's weights."""

    def on_batch_begin(self, net, **kwargs):
        *_, last = net.module_.head.parameters()
        last.data.fill_(0.25)


class Case:
    """A value for a parameter, other parameters that it needs to matter, and the texts.

    `value` may be a function from the fixtures to the value, made anew for each estimator.
    """

    def __init__(self, value, *, X=X, **needs):
        self.value, self.X, self.needs = value, X, needs

    def made(self, place):
        return self.value(place) if callable(self.value) else self.value


ENCODER = {
    "model": Case(lambda place: place.model(1)),
    "max_length": Case(16, X=LONG),
    "device": Case("cpu", device="auto"),
    "precision": Case("float64"),
    "cache": Case(lambda place: place.folder),
    "revision": Case("main"),
    "verbose": Case(1),
}
FEATURIZER = ENCODER | {
    "pooling": Case(["max", "cls"]),
    "layers": Case([0, -2]),
    "layer_reduction": Case("concat", layers=[0, 1]),
    "normalize": Case(True),
    "pairs": Case("separate", X=PAIRS),
    "long_text": Case("chunk", X=LONG),
    "batch_tokens": Case(64),
}
TUNING = ENCODER | {
    "freeze": Case("embeddings"),
    "unfreeze": Case(["layer.1.output"]),
    "pooling": Case(["max", "cls"]),
    "pairs": Case("separate", X=PAIRS),
    "hidden_layer_sizes": Case((8, 4)),
    "activation": Case("tanh", hidden_layer_sizes=(8,)),
    "dropout": Case(0.5),
    "max_epochs": Case(3),
    "batch_size": Case(5),
    "lr": Case(1e-3),
    "head_lr": Case(1e-2),
    "layer_lr_decay": Case(0.5, freeze=-3),
    "weight_decay": Case(0.5),
    "lr_schedule": Case("cosine"),
    "warmup": Case(3),
    "gradual_unfreezing": Case(True),
    "max_grad_norm": Case(None, lr=1e-2),
    "gradient_accumulation": Case(2),
    "gradient_checkpointing": Case(True),
    "early_stopping": Case(True, validation_fraction=0.3),
    "validation_fraction": Case(0.4, early_stopping=True),
    "n_iter_no_change": Case(1, early_stopping=True, validation_fraction=0.3, max_epochs=8),
    "callbacks": Case(lambda place: [Freezes()]),
    # Going on is what it is for, so the way back is what has to start anew.
    "warm_start": Case(False, warm_start=True),
    "random_state": Case(lambda place: np.random.RandomState(7)),
}
CLASSIFIER = TUNING | {
    "class_weight": Case({0: 3.0, 1: 1.0}),
    "label_smoothing": Case(0.2),
    "contrastive_weight": Case(1.0),
}
OF_WORDS = {
    "chunk_length": Case(12),
    "mlm_probability": Case(0.5),
    "whole_word_masking": Case(True, mlm_probability=0.5),
    "word_segmenter": Case(lambda place: str.split, whole_word_masking=True, mlm_probability=0.5),
}
MASKED = {name: TUNING[name] for name in TUNING if name in BertMaskedLM().get_params()} | OF_WORDS
ESTIMATORS = {
    BertFeaturizer: ({"precision": "float32", "device": "cpu"}, FEATURIZER),
    BertFineTuneClassifier: (QUICK | {"random_state": 0}, CLASSIFIER),
    BertFineTuneRegressor: (QUICK | {"random_state": 0}, TUNING),
    BertMaskedLM: (QUICK | {"random_state": 0, "chunk_length": 8}, MASKED),
}
TRAINED = [estimator for estimator in ESTIMATORS if "max_epochs" in estimator().get_params()]
# What can't change a result: how, where and how talkatively it is computed.
NO_RESULT = {"device", "cache", "revision", "verbose", "batch_tokens", "gradient_checkpointing"}


class Place:
    """The fixtures that values are made from."""

    def __init__(self, saved_model, folder):
        self.saved_model, self.folder = saved_model, folder

    def model(self, seed):
        return self.saved_model("bert", seed)


@pytest.fixture
def place(saved_model, tmp_path):
    return Place(saved_model, tmp_path / "store")


@pytest.fixture
def make(place):
    """Return a function that makes a quick exact estimator."""

    def made(estimator, **parameters):
        settings = ESTIMATORS[estimator][0]
        return estimator(**({"model": place.model(0)} | settings | parameters))

    return made


@pytest.fixture(autouse=True)
def _long_texts_are_cut():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn_bert.errors.LongTextWarning)
        yield


def outputs(estimator, X):
    """Return all that an estimator says of texts, by method, and nothing that was kept."""
    sklearn_bert.cache.clear()
    methods = ("transform", "predict", "predict_proba", "decision_function", "perplexity")
    return {name: getattr(estimator, name)(X) for name in methods if hasattr(estimator, name)}


def fit(estimator, X, y):
    """Fit with an empty store, so that what was kept makes no rounding of its own."""
    sklearn_bert.cache.clear()
    return estimator.fit(X, y)


def assert_same(refitted, fresh, X):
    __tracebackhide__ = True
    assert differences(fitted_state(refitted), fitted_state(fresh)) == []
    assert differences(outputs(refitted, X), outputs(fresh, X)) == []


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_table_has_every_parameter(estimator):
    assert set(ESTIMATORS[estimator][1]) == set(estimator().get_params())


@pytest.mark.parametrize(("estimator", "name"), regressors_are_slow(parameters_of(ESTIMATORS)))
def test_set_params_and_fit_equal_a_new_estimators_fit(estimator, name, make, place):
    case = ESTIMATORS[estimator][1][name]
    used = fit(make(estimator, **case.needs), case.X, Y)
    first = snapshot(used), outputs(used, case.X)
    assert differences(used.get_params()[name], case.made(place)), "the case changes nothing"
    value = case.made(place)
    fit(used.set_params(**{name: value}), case.X, Y)
    assert getattr(used, name) is value, "fit wrote to a parameter"
    fresh = fit(make(estimator, **(case.needs | {name: case.made(place)})), case.X, Y)
    assert_same(used, fresh, case.X)
    if name not in NO_RESULT | {"warm_start"}:
        assert differences(first, (snapshot(used), outputs(used, case.X)))


def test_warm_start_goes_on_from_what_was_fitted(make):
    for estimator in TRAINED:
        warm = fit(make(estimator, warm_start=True), X, Y)
        first = outputs(warm, X)
        fit(warm, X, Y)
        fresh = fit(make(estimator, warm_start=True), X, Y)
        assert differences(outputs(fresh, X), first) == []
        assert differences(fitted_state(warm), fitted_state(fresh))


NAMES = np.array(["no", "yes", "maybe"])
SETS = np.column_stack([Y, 1 - Y, np.arange(len(X)) < 5])
TASKS = np.column_stack([NAMES[Y], NAMES[np.arange(len(X)) % 3]])
DATA = {
    "two classes": (X, Y),
    "three classes": (X, np.arange(len(X)) % 3),
    "strings": (X, NAMES[Y]),
    "booleans": (X, Y == 1),
    "pairs": (PAIRS, Y),
    "a frame": (pd.DataFrame(PAIRS, columns=["one", "two"]), pd.Series(NAMES[Y])),
    "a set of labels": (X, SETS),
    "tasks": (X, TASKS),
    "fewer texts": (X[:6], Y[:6]),
}
NUMBERS = {
    "one output": (X, Y + 0.5),
    "one column": (X, Y[:, None] + 0.5),
    "several outputs": (X, np.column_stack([Y, 100.0 * Y + np.arange(len(X)), -Y])),
    "pairs": (PAIRS, 10.0 * Y),
    "a frame": (pd.DataFrame(PAIRS, columns=["one", "two"]), pd.Series(5.0 - Y)),
    "fewer texts": (X[:6], Y[:6]),
}
UNLABELLED = {
    "texts": (X, None),
    "labels that are ignored": (X, Y),
    "long texts": (LONG, None),
    "a frame": (pd.DataFrame({"text": X}), None),
    "fewer texts": (X[:6], None),
}
OTHER_DATA = {
    BertFeaturizer: DATA,
    BertFineTuneClassifier: DATA,
    BertFineTuneRegressor: NUMBERS,
    BertMaskedLM: UNLABELLED,
}


@pytest.mark.parametrize(
    ("estimator", "before", "after"),
    [
        (estimator, before, after)
        for estimator, data in OTHER_DATA.items()
        for one, other in pairwise([*data, next(iter(data))])
        for before, after in [(one, other), (other, one)]
    ],
)
def test_a_refit_on_other_data_equals_a_new_estimators_fit(estimator, before, after, make):
    data = OTHER_DATA[estimator]
    settings = {"freeze": "all", "max_epochs": 1} if estimator in TRAINED else {}
    used = fit(make(estimator, **settings), *data[before])
    fit(used, *data[after])
    assert_same(used, fit(make(estimator, **settings), *data[after]), data[after][0])


@pytest.mark.parametrize("changed", [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}])
def test_warm_start_refuses_another_head(changed, make):
    classifier = make(BertFineTuneClassifier, hidden_layer_sizes=(5,), warm_start=True)
    fit(classifier, X, Y)
    before = outputs(classifier, X)
    with pytest.raises(ValueError, match=f"{next(iter(changed))}.*warm_start=False"):
        fit(classifier.set_params(**changed), X, Y)
    assert differences(outputs(classifier, X), before) == []


def test_warm_start_drops_what_it_is_told_now(make):
    classifier = make(BertFineTuneClassifier, dropout=0.1, warm_start=True)
    fit(classifier, X, Y)
    fit(classifier.set_params(dropout=0.6), X, Y)
    drops = [m for m in classifier.net_.module_.head if isinstance(m, torch.nn.Dropout)]
    assert [layer.p for layer in drops] == [0.6]


def raises_at(moment, error):
    """Return a callback of the user's that raises in the second epoch."""

    class Raises(Callback):
        pass

    def raise_(self, net, *args, **kwargs):
        if len(net.history) == 2:
            raise error

    setattr(Raises, moment, raise_)
    return Raises()


class Interrupts(Callback):
    """Ctrl-C while the module computes, in the second epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            net.module_.register_forward_hook(self._interrupt)

    @staticmethod
    def _interrupt(module, args, output):
        raise KeyboardInterrupt


class Breaks(Callback):
    """Makes the loss of an epoch no number."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            for weights in net.module_.head.parameters():
                weights.data.fill_(torch.nan)


MOMENTS = ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_grad_computed", "on_epoch_end"]
# What makes a fit fail, in parameters or data, and how.
FAILS = {
    "a bad parameter": ({"precision": "exact"}, {}, ValueError),
    "a model that is nowhere": ({"model": "/no/such/folder"}, {}, ModelNotFoundError),
    "a bad text": ({}, {"X": [*X[:-1], None]}, ValueError),
    "no texts": ({}, {"X": []}, ValueError),
}
FAILS_TRAINING = FAILS | {
    "a bad setting": ({"lr": -1}, {}, ValueError),
    "too deep": ({"freeze": 99}, {}, ValueError),
    "a bad text to validate on": ({}, {"X_val": [None]}, ValueError),
    "nothing to hold out": ({"early_stopping": True, "validation_fraction": 0.999}, {}, ValueError),
    "no number at once": ({"callbacks": [Breaks(1)]}, {}, TrainingDivergedError),
    # One step an epoch, after which no weight is finite: there is nothing to go back to.
    "weights that overflow": ({"head_lr": 1e300, "batch_size": 99}, {}, TrainingDivergedError),
    "weights that give no numbers": (
        {"freeze": "none", "lr": 1e12, "batch_size": 99, "max_epochs": 1},
        {},
        TrainingDivergedError,
    ),
    "ctrl-c": ({"callbacks": [Interrupts()]}, {}, KeyboardInterrupt),
    **{
        f"an error {moment}": ({"callbacks": [raises_at(moment, error)]}, {}, type(error))
        for moment, error in zip(MOMENTS[1:], [ZeroDivisionError(), OSError()] * 2, strict=True)
    },
}
FAILS_TUNING = FAILS_TRAINING | {
    "too long": ({"max_length": 9999}, {}, ValueError),
    "no y": ({}, {"y": None}, ValueError),
    "y of another length": ({}, {"y": Y[:-1]}, ValueError),
    "y that is missing": ({}, {"y": [float("nan"), *Y[1:].tolist()]}, ValueError),
    "bad weights": ({}, {"sample_weight": -np.ones(len(X))}, ValueError),
    "validation without y": ({}, {"X_val": X}, ValueError),
}
ALL_FAILS = {
    BertFeaturizer: FAILS | {"too long": ({"max_length": 9999}, {}, ValueError)},
    BertFineTuneClassifier: FAILS_TUNING
    | {"one class": ({"warm_start": False}, {"y": Y * 0}, ValueError)},
    BertFineTuneRegressor: FAILS_TUNING | {"words": ({}, {"y": NAMES[Y]}, ValueError)},
    BertMaskedLM: FAILS_TRAINING
    | {
        "too long": ({"chunk_length": 9999}, {}, ValueError),
        "pairs": ({}, {"X": PAIRS}, ValueError),
        "nothing to mask": ({}, {"X": ["", "[SEP]"]}, ValueError),
        "nothing to mask in validation": ({}, {"X_val": [""]}, ValueError),
        "words of another text": (
            {"whole_word_masking": True, "word_segmenter": lambda text: ["elsewhere"]},
            {},
            ValueError,
        ),
    },
}
EVERY_FAILURE = [(estimator, reason) for estimator, of in ALL_FAILS.items() for reason in of]


def fail(estimator, reason):
    """Fit so that it fails, and give the estimator its parameters back."""
    changes, data, error = ALL_FAILS[type(estimator)][reason]
    parameters = estimator.get_params(deep=False)
    estimator.set_params(**changes)
    with pytest.raises(error):
        estimator.fit(**({"X": X, "y": Y} | data))
    return estimator.set_params(**parameters)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(("estimator", "reason"), regressors_are_slow(EVERY_FAILURE))
def test_a_failed_fit_leaves_the_earlier_one_whole(estimator, reason, warm, make):
    if warm and estimator not in TRAINED:
        return
    # What trains of an encoder is most at risk where the next fit goes on from it.
    settings = {"freeze": -1 if warm else "all", "warm_start": warm}
    fitted = make(estimator, **(settings if estimator in TRAINED else {}))
    fit(fitted, X[:-1], Y[:-1])
    expected, state = outputs(fitted, X), snapshot(fitted)
    fail(fitted, reason)
    assert differences(outputs(fitted, X), expected) == []
    assert differences(snapshot(fitted), state) == []


@pytest.mark.parametrize(("estimator", "reason"), regressors_are_slow(EVERY_FAILURE))
def test_a_failed_first_fit_leaves_nothing(estimator, reason, make):
    settings = {"freeze": "all"} if estimator in TRAINED else {}
    unfitted = fail(make(estimator, **settings), reason)
    assert fitted_state(unfitted) == {}
    if get_tags(unfitted).requires_fit:
        with pytest.raises(NotFittedError):
            outputs(unfitted, X)
    assert_same(fit(unfitted, X, Y), fit(make(estimator, **settings), X, Y), X)


# What another fit than the first has another shape with, where there is such a thing.
OTHER_SHAPES = {"hidden_layer_sizes": (8,), "freeze": "embeddings"}


@pytest.mark.parametrize("estimator", TRAINED)
def test_after_divergence_the_best_weights_are_a_whole_fit_too(estimator, make):
    used = fit(make(estimator), X, Y)
    before = outputs(used, X)
    other = {name: OTHER_SHAPES[name] for name in OTHER_SHAPES if name in used.get_params()}
    other |= {"callbacks": [Breaks(2)], "max_epochs": 3}
    used.set_params(**other)
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        fit(used, X, Y)
    fresh = make(estimator, **other)
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        fit(fresh, X, Y)
    assert_same(used, fresh, X)
    assert differences(outputs(used, X), before)
    assert all(np.isfinite(found).all() for found in outputs(used, X).values())
    assert_same(fit(used.set_params(callbacks=None), X, Y), fit(clone(used), X, Y), X)


def test_a_stop_asked_for_by_a_callback_is_no_failure(make):
    stops = [raises_at("on_epoch_end", KeyboardInterrupt())]
    stopped = fit(make(BertFineTuneClassifier, callbacks=stops, max_epochs=5), X, Y)
    assert [row["epoch"] for row in stopped.history_] == [1, 2]
    assert stopped.predict(X).shape == (len(X),)


def test_what_is_compared_can_differ(make):
    """The comparison itself would see one number of one weight."""
    one, other = (fit(make(BertFineTuneClassifier), X, Y) for _ in range(2))
    assert differences(fitted_state(one), fitted_state(other)) == []
    other.net_.module_.head[-1].weight.data[1, HIDDEN - 1] += 1e-6
    assert any("head" in at for at in differences(fitted_state(one), fitted_state(other)))
