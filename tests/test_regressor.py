"""The regressor: learning, scaling of targets, several outputs, bad targets."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertFineTuneRegressor

GOOD = ["the film is good", "a good story", "very good", "wonderful film", "good, very wonderful"]
BAD = ["the film is bad", "a dull story", "very bad", "dull film", "bad, very dull was it"]
X = [f"{text} {number}" for number in range(4) for text in GOOD + BAD]
UP = np.array([any(word in text for word in ("good", "wonder")) for text in X])
# Far from 0, and with a scale that no untrained head has.
Y = np.where(UP, 1500.0, 900.0)
NUMBERS = np.arange(40.0)


@pytest.fixture
def make(saved_model):
    """Return a function that makes a quick exact regressor."""

    def regressor(**parameters):
        settings = {"model": saved_model("bert"), "precision": "float32", "batch_size": 8}
        more = {"random_state": 0, "device": "cpu", "lr": 1e-3, "head_lr": 1e-2, "max_epochs": 20}
        return BertFineTuneRegressor(**(settings | more | parameters))

    return regressor


@pytest.mark.parametrize("freeze", [-1, -2, "embeddings", "none"])
def test_it_learns_at_every_depth(freeze, make):
    regressor = make(freeze=freeze).fit(X, Y)
    predicted = regressor.predict(X)
    assert predicted.shape == (len(X),)
    assert regressor.score(X, Y) > 0.5
    assert regressor.target_mean_ == pytest.approx([1200])
    assert regressor.target_scale_ == pytest.approx([300])


def test_units_of_the_target_change_nothing(make):
    plain = make(freeze=-1, max_epochs=3).fit(X, Y).predict(X)
    other = make(freeze=-1, max_epochs=3).fit(X, 1e4 * Y - 7e6).predict(X)
    np.testing.assert_allclose((other + 7e6) / 1e4, plain, rtol=1e-4)


def test_several_outputs_each_with_its_scale(make):
    y = np.column_stack([Y, -5 * Y + 2, np.full(len(X), 3.0)])
    regressor = make(freeze=-2).fit(X, y)
    predicted = regressor.predict(X)
    assert predicted.shape == y.shape
    assert regressor.n_outputs_ == 3
    np.testing.assert_allclose(predicted[:, 2], 3, atol=0.5)
    assert np.corrcoef(predicted[:, 0], predicted[:, 1])[0, 1] < -0.9
    one_column = make(freeze="all", max_epochs=1).fit(X, Y[:, None])
    assert one_column.predict(X).shape == (len(X), 1)


def test_scaling_comes_from_what_is_trained_on(make):
    y = np.where(np.arange(len(X)) == 3, 1e6, Y)
    for seed in range(30):
        regressor = make(freeze="all", max_epochs=1, early_stopping=True, random_state=seed)
        if regressor.fit(X, y).target_scale_[0] < 1000:
            break
    else:
        pytest.fail("the outlier was never held out")
    assert regressor.target_mean_[0] < 2000


def test_validation_scores_are_r2(make):
    regressor = make(freeze=-1, max_epochs=4).fit(X, Y, X_val=X[:20], y_val=Y[:20])
    rows = regressor.history_
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[-1]["valid_score"] == pytest.approx(regressor.score(X[:20], Y[:20]), abs=1e-4)
    assert rows[-1]["valid_score"] > rows[0]["valid_score"]


def test_sample_weights_count(make):
    high = make(freeze="all", max_epochs=3).fit(X, Y, sample_weight=np.where(UP, 9.0, 1.0))
    assert high.predict(X).mean() > make(freeze="all", max_epochs=3).fit(X, Y).predict(X).mean()


@pytest.mark.parametrize("target", [-5.0, 1e60, 1e200])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_samples_of_weight_0_are_as_if_they_were_not_there(target, early_stopping, make):
    y, weights = np.where(UP, target, NUMBERS), np.where(UP, 0.0, 2.0)
    regressor = make(freeze="all", max_epochs=2, early_stopping=early_stopping)
    found = clone(regressor).fit(X, y, weights).predict(X)
    expected = regressor.fit(np.array(X)[~UP], NUMBERS[~UP], weights[~UP]).predict(X)
    np.testing.assert_array_equal(found, expected)


def test_validation_samples_of_weight_0_are_too(make):
    y, weights = np.where(UP, 1e60, NUMBERS), np.where(UP, 0.0, 2.0)
    regressor = make(freeze="all", max_epochs=2)
    regressor.fit(X, NUMBERS, X_val=X, y_val=y, sample_weight_val=weights)
    alone = {"X_val": np.array(X)[~UP], "y_val": NUMBERS[~UP]}
    expected = clone(regressor).fit(X, NUMBERS, **alone)
    for row, other in zip(regressor.history_, expected.history_, strict=True):
        assert row["valid_score"] == other["valid_score"]
        assert row["valid_loss"] == pytest.approx(other["valid_loss"])


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_one_validation_sample_is_judged_by_its_loss(make):
    regressor = make(freeze="all", early_stopping=True, n_iter_no_change=20)
    regressor.fit(X, Y, X_val=X[:1], y_val=Y[:1])
    assert all(np.isnan(row["valid_score"]) for row in regressor.history_)
    losses = [row["valid_loss"] for row in regressor.history_]
    assert min(losses) < losses[0]
    error = (regressor.predict(X[:1])[0] - Y[0]) / regressor.target_scale_[0]
    assert error**2 == pytest.approx(min(losses), rel=1e-3)


def test_warm_start_keeps_the_scale(make):
    regressor = make(freeze=-1, warm_start=True, max_epochs=2).fit(X, Y)
    regressor.fit(X[:10], Y[:10] + 50)
    assert regressor.target_mean_ == pytest.approx([1200])
    with pytest.raises(ValueError, match="number of outputs"):
        regressor.fit(X, np.column_stack([Y, Y]))


def test_in_a_search_and_through_a_pickle(make):
    search = GridSearchCV(make(max_epochs=1), {"freeze": ["all", -1]}, cv=2).fit(X, Y)
    found = pickle.loads(pickle.dumps(search.best_estimator_)).predict(X)
    np.testing.assert_allclose(found, search.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "target y is None"),
        (["a"] * len(X), "no numbers"),
        (Y[:-1], "40 texts and y has 39 numbers"),
        (np.zeros((len(X), 2, 2)), r"y has shape \(40, 2, 2\)\. Accepted: numbers of shape"),
        (np.where(UP, np.nan, 1.0), "20 missing value"),
        (np.where(UP, np.inf, 1.0), "infinite"),
        (np.where(UP, 2e154, 0.0), "too big for a float"),
    ],
)
def test_bad_targets_are_named(y, message, make):
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)


def test_nothing_to_hold_out_is_no_matter_of_classes(make):
    with pytest.raises(ValueError, match="leaves samples in both parts"):
        make(freeze="all", early_stopping=True).fit(X[:1], Y[:1])


def test_validation_targets_need_as_many_outputs(make):
    with pytest.raises(ValueError, match="y_val has 2 outputs and y has 1"):
        make().fit(X, Y, X_val=X, y_val=np.column_stack([Y, Y]))
