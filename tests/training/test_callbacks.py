import copy
import itertools
import weakref

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    TrainEndCheckpoint,
)
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sklearn_bert.encoder.freezing import resolve_freeze, unfreeze_gradually
from sklearn_bert.training import callbacks as callbacks_module
from sklearn_bert.training.callbacks import (
    BestWeights,
    Deadline,
    DeadlineError,
    EpochHistory,
    GradualUnfreezing,
    Progress,
    check_callbacks,
    check_monitors,
    check_one_schedule,
)
from sklearn_bert.training.module import FineTuneModule, build_head
from tests.models import HIDDEN, N_LAYERS, layers_of

OF_TRAINING = {"epoch", "train_loss", "lr", "n_trainable_parameters", "seconds"}


class Net:
    """As much of a net as a callback looks at between epochs."""

    def __init__(self, module=None):
        self.module_ = module
        self.history = []
        self.stops = False

    def stop(self):
        self.stops = True


def weights_of(net):
    return [p.detach().clone() for p in net.module_.trained_parameters()]


def test_history_has_a_row_for_each_epoch_and_one_before(net_of):
    net, dataset = net_of("all", max_epochs=3, schedule="linear")
    history = EpochHistory(dataset)
    net.set_params(callbacks=[history])
    net.train(dataset, dataset)
    first, *rows = history.rows
    assert first.keys() == {"epoch", "valid_loss", "valid_score"}
    assert [row["epoch"] for row in history.rows] == [0, 1, 2, 3]
    for row, found in zip(rows, net.history, strict=True):
        assert row.keys() == OF_TRAINING | {"valid_loss", "valid_score"}
        assert row["train_loss"] == found["train_loss"]
        assert row["valid_loss"] == found["valid_loss"]
        assert row["valid_score"] == found["valid_acc"]
        assert row["seconds"] == found["dur"] > 0
    np.testing.assert_allclose([row["lr"] for row in rows], [2e-2 / 3, 1e-2 / 3, 0])
    assert all(type(value) in (int, float) for row in history.rows for value in row.values())


def test_the_row_before_the_first_step_tells_of_the_untouched_model(net_of):
    net, dataset = net_of("all", optimizer={"lr": 1e-30, "head_lr": 1e-30})
    history = EpochHistory(dataset)
    net.set_params(callbacks=[history])
    net.train(dataset, dataset)
    for row in history.rows[1:]:
        assert row["valid_loss"] == pytest.approx(history.rows[0]["valid_loss"], rel=1e-5)
        assert row["valid_score"] == history.rows[0]["valid_score"]


def test_history_without_validation_data(net_of):
    net, dataset = net_of("all")
    history = EpochHistory(None)
    net.set_params(callbacks=[history])
    net.train(dataset, None)
    assert [row["epoch"] for row in history.rows] == [1, 2]
    assert history.rows[0].keys() == OF_TRAINING


def test_history_lets_go_of_the_data(net_of):
    _, dataset = net_of("all")
    history = EpochHistory(dataset)
    history.release()
    assert history.validation is None


def after(scores, patience, module):
    """Have callbacks see an epoch for each (score, loss), with weights that tell them apart."""
    history, net = EpochHistory(None), Net(module)
    best = BestWeights(history, patience)
    for epoch, (score, loss) in enumerate(scores):
        with torch.no_grad():
            for parameter in module.trained_parameters():
                parameter.fill_(epoch)
        history.rows.append({"epoch": epoch, "valid_score": score, "valid_loss": loss})
        if epoch == 0:
            best.on_train_begin(net)
        else:
            best.on_epoch_end(net)
            if net.stops:
                return best, net, epoch
    return best, net, None


@pytest.mark.parametrize(
    ("scores", "patience", "epoch", "stopped"),
    [
        ([(0.5, 1.0), (0.6, 1.0), (0.7, 1.0)], None, 2, None),
        ([(0.5, 1.0), (0.9, 1.0), (0.7, 0.1)], None, 1, None),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], None, 1, None),
        ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], None, 0, None),
        ([(0.9, 1.0), (0.5, 1.0), (0.6, 1.0), (0.7, 1.0)], 3, 0, 3),
        ([(0.5, 1.0), (0.6, 1.0), (0.6, 1.0), (0.6, 1.0), (0.9, 1.0)], 2, 1, 3),
        ([(0.5, 1.0), (0.6, 1.0), (0.5, 1.0), (0.7, 1.0), (0.1, 1.0)], 2, 3, None),
        ([(0.5, 1.0), (0.4, 1.0)], 1, 0, 1),
        ([(np.nan, 1.0), (np.nan, 0.4), (np.nan, 0.7)], None, 1, None),
        ([(np.nan, 1.0), (0.1, 2.0), (np.nan, 0.7)], None, 1, None),
    ],
)
def test_the_best_weights_are_those_of_the_best_epoch(scores, patience, epoch, stopped, module_of):
    best, net, found = after(scores, patience, module_of(-1))
    assert best.epoch == epoch
    assert found == stopped
    best.restore(net)
    for parameter in net.module_.trained_parameters():
        assert (parameter == epoch).all()


def test_remembered_weights_are_copies(module_of):
    best, net, _ = after([(0.5, 1.0), (0.9, 1.0), (0.1, 1.0)], None, module_of(-1))
    best.restore(net)
    with torch.no_grad():
        for parameter in net.module_.trained_parameters():
            parameter.fill_(-1)
    best.restore(net)
    assert all((p == 1).all() for p in net.module_.trained_parameters())


def test_without_validation_data_the_last_epoch_is_the_best(net_of):
    net, dataset = net_of("all", max_epochs=3)
    history = EpochHistory(None)
    best = BestWeights(history, None)
    net.set_params(callbacks=[history, best])
    net.train(dataset, None)
    last = weights_of(net)
    best.restore(net)
    assert best.epoch == 3
    assert all(torch.equal(a, b) for a, b in zip(weights_of(net), last, strict=True))


def test_patience_ends_a_training(net_of):
    net, dataset = net_of("all", max_epochs=50, optimizer={"lr": 1e-30, "head_lr": 1e-30})
    history = EpochHistory(dataset)
    best = BestWeights(history, 2)
    net.set_params(callbacks=[history, best])
    net.train(dataset, dataset)
    assert len(net.history) == best.epoch + 2


def test_a_training_that_may_stop_ends_with_the_best_weights(net_of):
    net, dataset = net_of("all", max_epochs=3)
    history = EpochHistory(dataset)
    best = BestWeights(history, 10)
    at_the_end = []

    class Look(Callback):
        def on_train_begin(self, net, **kwargs):
            history.rows[0]["valid_score"] = 2.0
            best.on_train_begin(net)
            at_the_end.append(weights_of(net))

        def on_train_end(self, net, **kwargs):
            at_the_end.append(weights_of(net))

    net.set_params(callbacks=[history, best, Look()])
    net.train(dataset, dataset)
    assert best.epoch == 0
    assert len(net.history) == 3
    assert all(torch.equal(a, b) for a, b in zip(*at_the_end, strict=True))


@pytest.fixture
def stages(checkpoint_of):
    """Return the stages of gradual unfreezing that end with all of BERT."""
    places = checkpoint_of().parameter_places
    freezing = resolve_freeze("none", None, N_LAYERS, places)
    return unfreeze_gradually(freezing, N_LAYERS + 2, N_LAYERS, places)


def begin(callback, net, **datasets):
    """Have the callback see the next epoch begin."""
    net.history.append(None)
    if len(net.history) == 1:
        callback.on_train_begin(net)
    callback.on_epoch_begin(net, **datasets)


def test_only_what_trains_drops_out_and_little_else_is_run(stages, checkpoint_of):
    module = FineTuneModule(build_head(HIDDEN, (), 2, "relu", 0.1), ["mean"])
    module.attach(checkpoint_of(), stages[-1], depths=[stage.depth for stage in stages])
    layers = layers_of(module.train().encoder, "bert")
    embeddings = module.encoder.embeddings
    net, callback = Net(module), GradualUnfreezing(stages, lambda depth: depth)
    for epoch in range(1, N_LAYERS + 4):
        begin(callback, net)
        run = [] if module.encoder is None else list(module.encoder.modules())
        trains = [N_LAYERS - i < epoch for i in range(N_LAYERS)]
        assert [layer in run for layer in layers] == trains
        for layer, expected in zip(layers, trains, strict=True):
            assert {p.requires_grad for p in layer.parameters()} == {expected}
            assert not expected or all(part.training for part in layer.modules())
        assert (embeddings in run) == (epoch > N_LAYERS)
        assert embeddings not in run or embeddings.training == (epoch >= N_LAYERS + 2)
        assert module.head[0].training


def test_inputs_are_asked_for_when_the_depth_changes_and_those_before_let_go(stages, net_of):
    class Given:
        def __init__(self, depth):
            self.depth = depth

    callback = GradualUnfreezing(stages, Given)
    _, train = net_of("all")
    held_out = copy.copy(train)
    train.inputs = held_out.inputs = first = Given(N_LAYERS)
    net = Net(FineTuneModule(build_head(HIDDEN, (), 2, "relu", 0.1), ["mean"]))
    begin(callback, net, dataset_train=train, dataset_valid=held_out)
    assert train.inputs is held_out.inputs is first
    del first
    for epoch in range(2, N_LAYERS + 4):
        before = weakref.ref(train.inputs)
        begin(callback, net, dataset_train=train, dataset_valid=held_out)
        assert train.inputs is held_out.inputs
        assert train.inputs.depth == max(0, N_LAYERS + 1 - epoch)
        assert (before() is None) == (epoch <= N_LAYERS + 1)
    alone = GradualUnfreezing(stages, Given)
    net.history.clear()
    for _ in range(2):
        begin(alone, net, dataset_train=train, dataset_valid=None)
    assert train.inputs.depth == N_LAYERS - 1
    alone.release()
    assert alone.inputs_at is None


def progress(net_of, show, validation=True):
    net, dataset = net_of("all", max_epochs=2)
    held_out = dataset if validation else None
    history = EpochHistory(held_out)
    callback = Progress(history, show)
    net.set_params(callbacks=[history, callback])
    net.train(dataset, held_out)
    return callback


def test_a_bar_for_each_epoch_on_standard_error(net_of, capsys):
    progress(net_of, show=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Epoch 0: valid_loss=0." in captured.err
    for epoch in (1, 2):
        assert f"Epoch {epoch}/2: 100%" in captured.err
    assert "3/3" in captured.err
    assert "train_loss=0." in captured.err
    assert "valid_score=" in captured.err


def test_a_bar_without_validation_data(net_of, capsys):
    progress(net_of, show=True, validation=False)
    captured = capsys.readouterr()
    assert "Epoch 0" not in captured.err
    assert "Epoch 2/2: 100%" in captured.err
    assert "valid" not in captured.err


def test_no_bar_unless_asked_for(net_of, capsys):
    progress(net_of, show=False)
    assert capsys.readouterr() == ("", "")


def test_closing_a_bar_that_was_never_open():
    callback = Progress(EpochHistory(None), True)
    callback.close()
    callback.close()


@pytest.mark.parametrize(
    ("check", "callback", "message"),
    [
        (
            check_callbacks,
            Checkpoint(f_pickle="net.pkl"),
            r"Checkpoint.f_pickle='net.pkl'.*Pickle the estimator",
        ),
        (
            check_callbacks,
            ("last", TrainEndCheckpoint(f_pickle="net.pkl")),
            r"TrainEndCheckpoint.f_pickle=",
        ),
        (
            check_callbacks,
            EpochScoring("f1_macro", use_caching=False),
            r"EpochScoring.use_caching=False.*callable",
        ),
        (
            check_monitors,
            EarlyStopping(),
            r"monitor='valid_loss'.*Accepted: 'train_loss'\..*pass X_val",
        ),
        (
            check_monitors,
            EarlyStopping,
            r"monitor='valid_loss'.*Accepted: 'train_loss'\..*pass X_val",
        ),
        (
            check_monitors,
            Checkpoint("valid_acc_best"),
            r"monitor='valid_acc_best'.*Accepted: 'train_loss_best'\.",
        ),
        (
            check_monitors,
            LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
            r"LRScheduler.monitor='valid_loss'.*Accepted: 'train_loss'\.",
        ),
        (
            check_monitors,
            ("slower", LRScheduler(ReduceLROnPlateau, monitor="valid_loss")),
            r"LRScheduler.monitor='valid_loss'",
        ),
    ],
)
def test_callbacks_that_would_fail_later_are_refused(check, callback, message):
    with pytest.raises(ValueError, match=message):
        check([callback])


def test_callbacks_that_can_do_their_work_pass():
    check_callbacks([EarlyStopping, Checkpoint()])
    check_one_schedule([EarlyStopping, Checkpoint()], "linear", 0.1)
    check_one_schedule([LRScheduler], "constant", 0)
    alone = [EarlyStopping("train_loss"), Checkpoint(None), Checkpoint("train_loss_best")]
    own = EpochScoring(lambda net, dataset, y: 0, use_caching=False)
    # By epochs, and by what there is.
    rates = [LRScheduler("StepLR", "valid_loss", step_size=1), LRScheduler("ReduceLROnPlateau")]
    for check in (check_callbacks, check_monitors):
        check([*alone, *rates, Checkpoint(lambda net: True), own])


class TestDeadline:
    """With a clock that each look at it moves by what a batch takes: a second."""

    @pytest.fixture(autouse=True)
    def _seconds(self, monkeypatch):
        self.clock(monkeypatch, itertools.repeat(1.0))

    def clock(self, monkeypatch, steps):
        times = itertools.accumulate(steps)

        class Time:
            monotonic = staticmethod(lambda: next(times))

        monkeypatch.setattr(callbacks_module, "time", Time)

    def train(self, net_of, seconds, max_epochs=20, begin=None):
        """Train epochs of some batches, and return how many batches were run, and there are."""
        deadline = Deadline(seconds, begin)
        net, dataset = net_of("all", max_epochs=max_epochs, callbacks=[deadline])
        error = None
        try:
            net.train(dataset, None)
        except DeadlineError as raised:
            error = str(raised)
        return net.batch_number_, net.n_batches_ * max_epochs, error

    def test_what_ends_in_time_is_left_alone(self, net_of):
        run, n_batches, error = self.train(net_of, seconds=1000)
        assert run == n_batches > 16
        assert error is None

    def test_what_will_not_is_ended_as_soon_as_its_pace_is_known(self, net_of):
        run, n_batches, error = self.train(net_of, seconds=20)
        assert (run, n_batches > 20) == (16, True)
        assert error == f"training takes about {n_batches}.0 s"

    def test_a_slow_beginning_is_not_the_pace(self, net_of, monkeypatch):
        self.clock(monkeypatch, itertools.chain([5.0] * 25, itertools.repeat(1.0)))
        run, n_batches, error = self.train(net_of, seconds=1500, max_epochs=200)
        assert error is None
        assert run == n_batches
        assert 5.0 * n_batches > 1500

    def test_and_before_that_when_its_time_is_up(self, net_of):
        run, _, error = self.train(net_of, seconds=5)
        assert run == 6
        assert error == "training takes more than 6.0 s"

    def test_what_came_before_the_training_counts_too(self, net_of):
        # The training begins at 1 by its clock.
        run, _, error = self.train(net_of, seconds=10, begin=-4.0)
        assert run == 6
        assert error == "training takes more than 6.0 s, after 5.0 s of preparation"

    def test_and_is_not_told_where_it_is_little(self, net_of):
        _, _, error = self.train(net_of, seconds=11, begin=0.0)
        assert error == "training takes more than 11.0 s"
