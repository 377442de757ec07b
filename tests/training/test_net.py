"""The nets that train: stopping, Ctrl-C, accumulation, order, and what estimators make of it."""

import contextlib
import pickle
import re
import signal
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import f1_score
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    PrintLog,
    ProgressBar,
)

import sklearn_bert
from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.encoder.hooks import arguments_of
from sklearn_bert.errors import TrainingDivergedError
from sklearn_bert.training.batches import LabelledTexts
from sklearn_bert.training.inputs import StateInputs
from sklearn_bert.training.losses import contrastive_loss

TRAIN = [
    f"{text} {n}" for n in range(3) for text in ("the film is good", "a bad story", "dull", "")
]
Y = np.arange(len(TRAIN)) % 2


class Watch(Callback):
    """Notes what happens when an optimizer steps."""

    def __init__(self):
        self.gradients = []
        self.rates = []
        self.epochs = 0

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        self.rates.append([group["lr"] for group in net.optimizer_.param_groups])
        self.gradients.append([p.grad.clone() for p in net.module_.trained_parameters()])

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1

    def on_train_end(self, net, **kwargs):
        self.scheduled = net.scheduler_.last_epoch


def watched(net_of, **settings):
    watch = Watch()
    net, dataset = net_of(callbacks=[watch], **settings)
    net.train(dataset, None)
    return watch


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", [{}, {"contrastive_weight": 1}, {"freeze": -1}])
def test_autocast_around_training_and_predictions_changes_nothing(precision, settings, saved_model):
    tuning = {"max_epochs": 2, "batch_size": 4, "random_state": 0, "device": "cpu", "lr": 1e-3}
    model = BertFineTuneClassifier(saved_model(), precision=precision, **settings, **tuning)

    def answers():
        sklearn_bert.cache.clear()
        fitted = clone(model).fit(TRAIN, Y, X_val=TRAIN, y_val=Y)
        return fitted.predict_proba(TRAIN)

    expected = answers()
    with torch.autocast("cpu", torch.bfloat16):
        found = answers()
    np.testing.assert_array_equal(found, expected)


# Of 5 and 7 texts the last batches have one and three, which count for no more than so many.
@pytest.mark.parametrize("n", [5, 7, 8])
@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_accumulated_gradients_are_those_of_one_big_batch(freeze, n, net_of):
    texts = TRAIN[:n]
    settings = {"freeze": freeze, "texts": texts, "max_epochs": 1}
    small = watched(net_of, batch_size=4, gradient_accumulation=2, **settings)
    big = watched(net_of, batch_size=8, **settings)
    assert len(small.gradients) == len(big.gradients) == 1
    for found, expected in zip(small.gradients[0], big.gradients[0], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("n", "batch_size", "accumulation", "steps"),
    [(12, 4, 1, 3), (12, 4, 2, 2), (12, 4, 3, 1), (12, 12, 4, 1), (12, 2, 4, 2), (10, 2, 3, 2)],
)
@pytest.mark.parametrize("epochs", [1, 3])
def test_steps_are_counted(n, batch_size, accumulation, steps, epochs, net_of):
    watch = watched(
        net_of,
        freeze="all",
        texts=TRAIN[:n],
        batch_size=batch_size,
        gradient_accumulation=accumulation,
        max_epochs=epochs,
        schedule="linear",
        warmup=0,
    )
    assert watch.epochs == epochs
    assert len(watch.gradients) == watch.scheduled == epochs * steps
    expected = 1 - np.arange(epochs * steps) / (epochs * steps)
    np.testing.assert_allclose(np.array(watch.rates)[:, 0], 1e-2 * expected)


def test_an_epoch_leaves_no_gradients_to_the_next(net_of):
    # Three batches, two of which make a step: each epoch ends with a step of one.
    settings = {"freeze": "all", "batch_size": 4, "gradient_accumulation": 2, "max_epochs": 3}
    still = {"lr": 1e-12, "head_lr": 1e-12}
    watch = watched(net_of, optimizer=still, max_grad_norm=None, **settings)
    steps = iter([gradients[1] for gradients in watch.gradients])
    # A step has the mean of its batches; weights stand still, so each epoch has the same sum.
    sums = [2 * of_two + of_one for of_two, of_one in zip(steps, steps, strict=True)]
    for found in sums[1:]:
        torch.testing.assert_close(found, sums[0], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("norm", [1e-3, 0.1, None])
def test_gradients_are_scaled_down_to_a_norm(norm, net_of):
    class Norms(Callback):
        found = ()

        def on_batch_end(self, net, training=False, **kwargs):
            gradients = [p.grad.flatten() for p in net.module_.trained_parameters()]
            self.found = (*self.found, torch.cat(gradients).norm().item())

    norms, watch = Norms(), Watch()
    net, dataset = net_of(-1, max_grad_norm=norm, callbacks=[norms, watch])
    net.train(dataset, None)
    assert len(norms.found) == 6
    for found, gradients in zip(norms.found, watch.gradients, strict=True):
        raw = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
        expected = raw if norm is None else min(raw, norm)
        assert found == pytest.approx(expected, rel=1e-3)


def test_training_lowers_the_loss(net_of):
    net, dataset = net_of(-1, max_epochs=30)
    net.train(dataset, None)
    losses = net.history[:, "train_loss"]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_fixes_the_order(seed, net_of):
    def losses(seed):
        net, dataset = net_of("all", seed=seed)
        net.train(dataset, None)
        return [batch["train_loss"] for epoch in net.history for batch in epoch["batches"]]

    assert losses(seed) == losses(seed)
    assert losses(seed) != losses(seed + 5)


def test_no_data_is_held_out_unless_given(net_of):
    class Rows(Callback):
        n = 0

        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            self.n += len(batch[1])

    rows = Rows()
    net, dataset = net_of("all", max_epochs=1, callbacks=[rows])
    net.train(dataset, None)
    assert rows.n == len(TRAIN)
    assert "valid_loss" not in net.history[-1]


def test_outputs_are_in_the_order_of_the_data_whatever_the_batches(net_of):
    net, dataset = net_of(-1)
    net.train(dataset, None)
    expected = [
        net.outputs(LabelledTexts(dataset.inputs, np.array([row])), 1)[0] for row in range(12)
    ]
    for size in (1, 5, 12, 100):
        np.testing.assert_allclose(net.outputs(dataset, size), expected, atol=1e-5)
    rows = np.array([5, 2, 11])
    part = net.outputs(LabelledTexts(dataset.inputs, rows), 2)
    np.testing.assert_allclose(part, np.array(expected)[rows], atol=1e-5)


def test_loss_and_score_of_an_evaluation(net_of):
    net, dataset = net_of(-1, batch_size=5)
    net.train(dataset, dataset)
    logits = torch.from_numpy(net.outputs(dataset, 4))
    loss, score = net.evaluate(dataset)
    expected = torch.nn.functional.cross_entropy(logits, dataset.y)
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert score == (logits.argmax(1) == dataset.y).double().mean().item()
    assert net.history[-1]["valid_loss"] == pytest.approx(loss, rel=1e-5)
    assert net.history[-1]["valid_acc"] == score


@pytest.mark.parametrize("freeze", ["all", -1])
@pytest.mark.parametrize("contrast", [0.0, 1.0])
def test_a_sample_that_weighs_nothing_teaches_nothing(freeze, contrast, net_of):
    def gradients(rows, weights):
        watch = Watch()
        net, dataset = net_of(
            freeze, batch_size=12, max_epochs=1, callbacks=[watch], contrastive_weight=contrast
        )
        part = LabelledTexts(dataset.inputs, np.array(rows), Y[rows], np.array(weights))
        net.train(part, None)
        return watch.gradients[0]

    without = gradients([0, 1, 2], [1.0, 1.0, 1.0])
    nothing = gradients([0, 1, 2, 3], [4 / 3, 4 / 3, 4 / 3, 0.0])
    for found, expected in zip(nothing, without, strict=True):
        torch.testing.assert_close(found, expected)


def test_contrasts_are_added_to_the_loss_where_layers_train(net_of):
    def losses(freeze, **settings):
        net, dataset = net_of(freeze, batch_size=12, max_epochs=1, **settings)
        net.train(dataset, dataset)
        outputs = torch.from_numpy(net.outputs(dataset, 12))
        expected = torch.nn.functional.cross_entropy(outputs, dataset.y).item()
        assert net.history[-1]["valid_loss"] == pytest.approx(expected, rel=1e-5)
        return net, net.history[-1]["train_loss"]

    plain, without = losses(-1)
    contrasting, with_contrasts = losses(-1, contrastive_weight=0.5)
    # The head is not called while the net is made, and dropout is off: the first loss is known.
    net, dataset = net_of(-1, batch_size=12)
    net.initialize()
    ((inputs, targets),) = net.get_iterator(dataset)
    with arguments_of(net.module_.head) as seen:
        net.infer(inputs)
    contrast = contrastive_loss(seen[0], targets).item()
    assert contrast > 0
    assert with_contrasts == pytest.approx(without + 0.5 * contrast, rel=1e-5)
    before, after = plain.module_.trained(), contrasting.module_.trained()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    # A head alone moves no vectors.
    assert losses("all")[1] == losses("all", contrastive_weight=0.5)[1]


def test_a_loss_that_is_no_number_ends_the_training(net_of):
    net, dataset = net_of("all", optimizer={"head_lr": 1e38}, max_grad_norm=None, max_epochs=10)
    with pytest.raises(TrainingDivergedError, match=r"The loss is (nan|inf)\."):
        net.train(dataset, None)


def test_what_only_training_needs_is_let_go(net_of):
    net, dataset = net_of(-1)
    net.train(dataset, dataset)
    net.module_.eval()
    expected = net.outputs(dataset, 4)
    net.release()
    assert net.optimizer_ is net.scheduler_ is net.train_split is net.make_optimizer is None
    assert all(p.grad is None for p in net.module_.parameters())
    np.testing.assert_array_equal(net.outputs(dataset, 4), expected)


class Raises(Callback):
    """Raises KeyboardInterrupt, as skorch's callbacks do to stop a training."""

    def __init__(self, where):
        self.where = where
        self.called = []

    def _call(self, name):
        self.called.append(name)
        if name == self.where:
            raise KeyboardInterrupt

    def on_train_begin(self, net, **kwargs):
        self._call("on_train_begin")

    def on_epoch_begin(self, net, **kwargs):
        self._call("on_epoch_begin")

    def on_batch_begin(self, net, **kwargs):
        self._call("on_batch_begin")

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        self._call("on_grad_computed")

    def on_batch_end(self, net, **kwargs):
        self._call("on_batch_end")

    def on_epoch_end(self, net, **kwargs):
        self._call("on_epoch_end")

    def on_train_end(self, net, **kwargs):
        self._call("on_train_end")


@pytest.mark.parametrize(
    "where",
    [
        "on_train_begin",
        "on_epoch_begin",
        "on_batch_begin",
        "on_grad_computed",
        "on_batch_end",
        "on_epoch_end",
        "on_train_end",
    ],
)
def test_a_callback_stops_the_training_quietly(where, net_of, capsys):
    stop = Raises(where)
    net, dataset = net_of("all", callbacks=[stop])
    net.train(dataset, None)
    assert stop.called.count(where) == 1
    assert stop.called[-1] == "on_train_end"
    assert capsys.readouterr().out == ""


class Presses(Callback):
    """Has Ctrl-C pressed while it is at work, or within what it calls."""

    def on_epoch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def _ctrl_c_is_heard():
    """As in a terminal; what is started in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_is_heard")
def test_ctrl_c_in_a_callback_comes_through(net_of):
    net, dataset = net_of("all", callbacks=[Presses()])
    with pytest.raises(KeyboardInterrupt):
        net.train(dataset, None)


class Stops:
    """What may be set as the handler of a signal, and raises as Ctrl-C does."""

    def on_signal(self, number, frame, reason=None):
        raise KeyboardInterrupt

    def __call__(self, number, frame):
        raise KeyboardInterrupt


def on_signal(number, frame):
    Stops().on_signal(number, frame)


@pytest.mark.parametrize(
    "handler",
    [on_signal, Stops(), Stops().on_signal, partial(Stops().on_signal, reason="Ctrl-C")],
)
def test_a_signal_whose_handler_raises_comes_through(handler, net_of):
    net, dataset = net_of("all", callbacks=[Presses()])
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            net.train(dataset, None)
    finally:
        signal.signal(signal.SIGINT, before)


class Interrupted(LabelledTexts):
    """Data whose n-th batch is interrupted by Ctrl-C."""

    def __init__(self, data, n):
        super().__init__(data.inputs, data.rows, data.y.numpy())
        self.left = n

    def batch(self, chosen):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().batch(chosen)


@pytest.mark.parametrize("n", [0, 2, 4])
def test_ctrl_c_in_a_batch_comes_through(n, net_of):
    net, dataset = net_of("all")
    with pytest.raises(KeyboardInterrupt):
        net.train(Interrupted(dataset, n), None)


def test_ctrl_c_in_a_forward_pass_comes_through(net_of):
    net, dataset = net_of(-1)

    def interrupt(*args):
        raise KeyboardInterrupt

    net.module.head.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.train(dataset, None)


@pytest.mark.parametrize("n", [0, 1])
def test_ctrl_c_in_validation_comes_through(n, net_of):
    net, dataset = net_of("all")
    with pytest.raises(KeyboardInterrupt):
        net.train(dataset, Interrupted(dataset, n))


# Where a callback may set rates.
ONE_RATE = {"lr_schedule": "constant", "warmup": 0}
X = TRAIN
LABELS = np.array(["up", "down"])[Y]


@pytest.fixture
def make(saved_model):
    def classifier(**parameters):
        settings = {"freeze": -1, "precision": "float32", "batch_size": 4, "random_state": 0}
        return BertFineTuneClassifier(saved_model("bert"), device="cpu", **(settings | parameters))

    return classifier


def test_early_stopping_of_skorch(make, capsys):
    stop = EarlyStopping(monitor="valid_loss", patience=2, sink=lambda text: None)
    classifier = make(max_epochs=50, callbacks=[stop], lr=1e-30, head_lr=1e-30)
    classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    # Epoch 0 is ours; 1 is the best, as nothing changes; 3 is the second without a better one.
    assert [row["epoch"] for row in classifier.history_] == [0, 1, 2, 3]
    assert set(classifier.predict(X)) <= {"up", "down"}
    assert capsys.readouterr() == ("", "")


def test_early_stopping_of_skorch_on_the_training_loss(make):
    stop = EarlyStopping(monitor="train_loss", patience=2, sink=lambda text: None)
    classifier = make(max_epochs=50, callbacks=[stop], lr=1e-30, head_lr=1e-30, dropout=0.5)
    classifier.fit(X, LABELS)
    assert len(classifier.history_) < 50


def test_early_stopping_of_skorch_needs_what_it_watches(make):
    classifier = make(max_epochs=1, callbacks=[EarlyStopping()])
    with pytest.raises(ValueError, match=r"EarlyStopping.monitor='valid_loss'.*pass X_val"):
        classifier.fit(X, LABELS)
    classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    classifier.set_params(early_stopping=True, validation_fraction=0.5).fit(X, LABELS)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_scores_of_skorch(freeze, make):
    score = EpochScoring("f1_macro", lower_is_better=False, name="valid_f1")
    classifier = make(freeze=freeze, max_epochs=3, callbacks=[score], head_lr=0.05)
    classifier.fit(X, LABELS, X_val=X[:7], y_val=LABELS[:7])
    found = classifier.net_.history[:, "valid_f1"]
    assert len(found) == 3
    expected = f1_score(LABELS[:7], classifier.predict(X[:7]), average="macro")
    assert found[-1] == pytest.approx(expected)


def test_scores_of_skorch_on_training_data(make):
    score = EpochScoring("accuracy", on_train=True, name="train_acc")
    # The head alone, without dropout: what training sees is what prediction sees.
    classifier = make(freeze="all", callbacks=[score], head_lr=1e-30, dropout=0.0)
    classifier.fit(X, LABELS)
    expected = (classifier.predict(X) == LABELS).mean()
    np.testing.assert_allclose(classifier.net_.history[:, "train_acc"], expected)


def test_a_score_of_ones_own_is_computed_from_the_data(make):
    def accuracy(net, dataset, y):
        return (net.predict(dataset) == dataset.y.numpy()).mean()

    score = EpochScoring(accuracy, name="own", use_caching=False)
    classifier = make(max_epochs=2, callbacks=[score], head_lr=0.05)
    classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert classifier.net_.history[:, "own"] == classifier.net_.history[:, "valid_acc"]


def test_checkpoint_of_skorch(make, tmp_path):
    kept = Checkpoint(dirname=tmp_path, monitor="valid_loss_best", sink=lambda text: None)
    classifier = make(max_epochs=3, callbacks=[kept], dropout=0.0)
    classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert {"params.pt", "optimizer.pt", "history.json"} <= {p.name for p in tmp_path.iterdir()}
    best = max(i for i, epoch in enumerate(classifier.net_.history) if epoch["valid_loss_best"])
    assert classifier.net_.history[best]["event_cp"]
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    current = classifier.net_.module_.state_dict()
    assert saved.keys() == current.keys()
    if best == 2:
        assert all(torch.equal(saved[name], current[name]) for name in saved)


@pytest.mark.parametrize("fails", [False, True])
def test_a_scheduler_of_skorch_keeps_no_optimizer(fails, make):
    rates = LRScheduler("StepLR", step_size=1, gamma=0.5)
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(rates.lr_scheduler_.optimizer is net.optimizer_)
            if fails:
                raise OSError("no space left")

    classifier = make(callbacks=[rates, Watch()], **ONE_RATE)
    with pytest.raises(OSError, match="no space left") if fails else contextlib.nullcontext():
        classifier.fit(X, LABELS)
    assert seen
    assert all(seen)
    assert rates.lr_scheduler_ is None


def test_a_scheduler_of_skorch_makes_no_pickle_larger(make):
    sizes = [
        len(pickle.dumps(make(callbacks=callbacks, **ONE_RATE).fit(X, LABELS)))
        for callbacks in (None, [LRScheduler("StepLR", step_size=1, gamma=0.5)])
    ]
    assert sizes[1] < 1.1 * sizes[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"step_size": 1}, [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]),
        ({"step_size": 2, "step_every": "batch"}, [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4]),
    ],
)
def test_a_scheduler_of_skorch_sets_the_rates(settings, expected, make):
    rates, watch = LRScheduler("StepLR", gamma=0.1, **settings), Watch()
    classifier = make(max_epochs=3, callbacks=[rates, watch], head_lr=0.5, **ONE_RATE)
    classifier.fit(X, LABELS)
    np.testing.assert_allclose([max(of_step) / 0.5 for of_step in watch.rates], expected)


def test_two_schedules_are_refused(make):
    rates = LRScheduler("StepLR", step_size=1)

    class Own(LRScheduler):
        pass

    for callbacks in ([rates], [("rates", rates)], [LRScheduler], [Own]):
        with pytest.raises(ValueError, match=r"callbacks=.*lr_schedule='constant' and warmup=0"):
            make(callbacks=callbacks).fit(X, LABELS)


def test_early_stopping_of_skorch_keeps_no_weights(make):
    stops = EarlyStopping(patience=1, load_best=True)
    classifier = make(max_epochs=5, callbacks=[stops]).fit(X, LABELS, X_val=X, y_val=LABELS)
    assert stops.best_epoch_ > 0
    assert stops.best_model_weights_ is None
    assert classifier.predict(X).shape == (len(X),)


def test_callbacks_see_the_epoch_that_a_training_stops_at(make):
    scores = EpochScoring("f1_macro", name="f1", lower_is_better=False)
    lines = []
    settings = {"max_epochs": 50, "head_lr": 1e-30, "lr": 1e-30, "n_iter_no_change": 2}
    classifier = make(
        callbacks=[scores, PrintLog(sink=lines.append)], early_stopping=True, **settings
    )
    classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert len(classifier.net_.history) == 2
    # A head and a line under it besides.
    assert len(lines) == 4
    assert len([row["f1"] for row in classifier.net_.history]) == 2


def test_callbacks_see_the_weights_that_a_training_ends_with(make):
    seen = []

    class Last(Callback):
        def on_train_end(self, net, **kwargs):
            seen.append({name: w.clone() for name, w in net.module_.state_dict().items()})

    # What is learnt is wrong of these, so that the first weights are the best.
    wrong = np.where(LABELS == "up", "down", "up")
    settings = {"max_epochs": 6, "early_stopping": True, "n_iter_no_change": 6, "head_lr": 0.1}
    classifier = make(callbacks=[Last()], **settings).fit(X, LABELS, X_val=X, y_val=wrong)
    scores = [row["valid_score"] for row in classifier.history_]
    assert max(scores) == scores[0] > scores[-1]
    assert classifier.score(X, wrong) == scores[0]
    found = classifier.net_.module_.state_dict()
    assert all(torch.equal(seen[0][name], weights) for name, weights in found.items())


@pytest.mark.parametrize("verbose", [0, 1])
def test_callbacks_of_skorch_print_where_more_is_to_be_shown(verbose, make, capsys):
    make(max_epochs=1, callbacks=[PrintLog()], verbose=verbose).fit(X, LABELS)
    assert ("train_loss" in capsys.readouterr().out) == bool(verbose)


def test_progress_bar_of_skorch(make, capsys):
    make(max_epochs=2, callbacks=[ProgressBar(detect_notebook=False)]).fit(X, LABELS)
    captured = capsys.readouterr()
    assert re.search(r"\d+/\d+|%", captured.out + captured.err)


def test_without_callbacks_nothing_is_shown(make, capsys):
    make(max_epochs=2).fit(X, LABELS, X_val=X, y_val=LABELS)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_callback_that_stops_leaves_a_fitted_classifier(where, make):
    stop = Raises(where)
    classifier = make(max_epochs=5, callbacks=[stop]).fit(X, LABELS)
    assert classifier.predict(X).shape == (len(X),)
    assert len(classifier.history_) == (1 if where == "on_epoch_end" else 0)


def test_ctrl_c_before_the_first_epoch_comes_through_to_the_user(make, monkeypatch):
    def interrupt(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(StateInputs, "batch", interrupt)
    classifier = make()
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert not hasattr(classifier, "net_")
