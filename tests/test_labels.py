"""Labels of each kind: to targets and back, and through the classifier."""

import pickle
from datetime import date
from enum import Enum

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.labels import LabelSet, OneLabel, Tasks, as_labels, learn_labels

GOOD = ["the film is good", "a good story", "very good", "wonderful film", "good, very wonderful"]
BAD = ["the film is bad", "a dull story", "very bad", "dull film", "bad, very dull was it"]
X = [f"{text} {number}" for number in range(4) for text in GOOD + BAD]
UP = np.array([any(word in text for word in ("good", "wonder")) for text in X])
FILM = np.array(["film" in text for text in X])
VERY = np.array(["very" in text for text in X])
SETS = np.column_stack([UP, FILM, VERY]).astype(int)
TASKS = np.empty((len(X), 2), dtype=object)
TASKS[:, 0] = np.where(UP, "up", "down")
TASKS[:, 1] = np.where(FILM, 3, np.where(VERY, 5, 9))


@pytest.fixture
def make(saved_model):
    """Return a function that makes a quick exact classifier."""

    def classifier(**parameters):
        settings = {"model": saved_model("bert"), "precision": "float32", "batch_size": 8}
        more = {"random_state": 0, "device": "cpu", "lr": 1e-3, "head_lr": 1e-2, "max_epochs": 30}
        return BertFineTuneClassifier(**(settings | more | parameters))

    return classifier


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (["a", "b"] * 3, OneLabel),
        ([True, False] * 3, OneLabel),
        (np.array([[3]] * 3 + [[4]] * 3), OneLabel),
        (np.eye(6, 3), LabelSet),
        (csr_matrix(np.eye(6, 3, dtype=int)), LabelSet),
        (np.eye(6, 3, dtype=bool), LabelSet),
        ([[0, 2], [1, 3]] * 3, Tasks),
        ([["a", None], ["b", "x"], [None, "y"]] * 2, Tasks),
        ([[0, np.nan], [1, 1], [0, 0]] * 2, Tasks),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_the_kind_follows_from_y(y, kind):
    assert type(learn_labels(as_labels("y", y, 6))) is kind


@pytest.mark.parametrize(
    "as_types",
    [
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype("boolean"),
        lambda frame: frame.astype(object),
        lambda frame: frame.astype("category"),
        lambda frame: frame.astype({"a": bool, "b": float}),
    ],
)
def test_zeros_and_ones_of_whatever_types_are_sets(as_types):
    frame = pd.DataFrame(np.eye(6, 3, dtype=int), columns=list("abc"))
    y = as_labels("y", as_types(frame), 6)
    assert isinstance(learn_labels(y), LabelSet)
    np.testing.assert_array_equal(y, frame)
    with_gap = frame.astype(object)
    with_gap.iloc[5, 0] = None
    assert isinstance(learn_labels(as_labels("y", with_gap, 6)), Tasks)


def test_tasks_keep_their_own_classes_and_leave_out_what_is_missing():
    frame = pd.DataFrame({"a": ["x", None, "y", "x"], "b": [2.0, 7.0, np.nan, 7.0]})
    y = as_labels("y", frame, 4)
    labels = learn_labels(y)
    assert [classes.tolist() for classes in labels.classes] == [["x", "y"], [2.0, 7.0]]
    assert labels.n_outputs == 4
    assert labels.encode("y", y).tolist() == [[0, 0], [-100, 1], [1, -100], [0, 1]]
    outputs = np.array([[1, 0, 0, 1], [0, 1, 1, 0]])
    assert labels.predict(outputs).tolist() == [["x", 7.0], ["y", 2.0]]


# Unlike those of StrEnum, members have a str of their own.
class Mood(str, Enum):  # noqa: UP042
    GOOD = "pos"
    GREY = "neu"
    GRIM = "neg"


def test_members_of_a_string_enumeration_stay_apart_in_tasks():
    rows = [[Mood.GOOD, None], [Mood.GREY, 1], [Mood.GRIM, 2], [None, 1]]
    labels = learn_labels(as_labels("y", rows, 4))
    assert [classes.tolist() for classes in labels.classes] == [["neg", "neu", "pos"], [1, 2]]


@pytest.mark.parametrize("freeze", ["all", -2, "none"])
def test_sets_of_labels_are_learnt(freeze, make):
    classifier = make(freeze=freeze).fit(X, SETS)
    probabilities, predicted = classifier.predict_proba(X), classifier.predict(X)
    assert probabilities.shape == predicted.shape == classifier.decision_function(X).shape
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    assert (predicted == SETS).mean() > (0.65 if freeze == "all" else 0.8)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert np.abs(probabilities.sum(axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(
        pickle.loads(pickle.dumps(classifier)).predict_proba(X), probabilities, atol=1e-6
    )


def test_tasks_are_learnt_with_missing_labels(make):
    y = TASKS.copy()
    y[::5, 0] = None
    y[2::5, 1] = np.nan
    classifier = make(freeze=-2).fit(X, y)
    first, second = classifier.predict_proba(X)
    assert (first.shape, second.shape) == ((len(X), 2), (len(X), 3))
    np.testing.assert_allclose(second.sum(axis=1), 1, rtol=1e-6)
    assert [classes.tolist() for classes in classifier.classes_] == [["down", "up"], [3, 5, 9]]
    predicted = classifier.predict(X)
    assert (predicted == TASKS).mean() > 0.8
    assert classifier.score(X, TASKS) == (predicted == TASKS).all(axis=1).mean()


def test_missing_labels_are_left_out_of_the_score(make):
    classifier = make(freeze=-2).fit(X, TASKS)
    predicted = classifier.predict(X)
    y = predicted.astype(object)
    y[::3, 0] = None
    y[1::3, 1] = np.nan
    y[2] = None
    assert classifier.score(X, y) == 1
    y[3, 1] = 3 if y[3, 1] != 3 else 5
    assert classifier.score(X, y) == pytest.approx(1 - 1 / (len(X) - 1))
    weights = np.ones(len(X))
    weights[3] = 0
    assert classifier.score(X, y, sample_weight=weights) == 1
    # Whatever stands for what is missing.
    assert classifier.score(X, pd.DataFrame(y).convert_dtypes()) == classifier.score(X, y)
    with pytest.raises(ValueError, match="y has no labels"):
        classifier.score(X, np.full(y.shape, None))
    # One sample alone has labels, and it counts nothing.
    with pytest.raises(ValueError, match="a sample that counts"):
        classifier.score(X, np.where(np.arange(len(X))[:, None] == 3, y, None), weights)


def test_where_each_text_has_a_label_of_one_task_the_score_is_of_those(make):
    y = TASKS.copy()
    y[::2, 0] = y[1::2, 1] = None
    classifier = make(freeze=-2, max_epochs=5).fit(X, y, X_val=X, y_val=y)
    assert classifier.score(X, y) == pytest.approx(classifier.history_[-1]["valid_score"])


@pytest.mark.parametrize("y", [SETS, TASKS], ids=["sets", "tasks"])
def test_several_labels_are_validated_and_stopped_early(y, make):
    classifier = make(freeze=-1, max_epochs=6).fit(X, y, X_val=X[:20], y_val=y[:20])
    rows = classifier.history_
    assert rows[-1]["valid_loss"] < rows[0]["valid_loss"]
    predicted = classifier.predict(X[:20])
    right = predicted == y[:20]
    expected = right.mean() if y is TASKS else right.all(axis=1).mean()
    assert rows[-1]["valid_score"] == pytest.approx(expected)
    stopped = make(freeze=-1, max_epochs=2, early_stopping=True).fit(X, y)
    assert len(stopped.history_) == 3


def test_texts_without_any_label_are_left_out(make):
    """In what is trained on, held out and validated on; all that is told is of the others."""
    y = TASKS.copy()
    y[5:-5] = None
    weights = np.arange(len(X)) + 1
    there = np.r_[:5, len(X) - 5 : len(X)]
    alone, y_alone, w_alone = [X[i] for i in there], y[there], weights[there]
    for settings, more, more_alone in [
        ({"early_stopping": True}, {}, {}),
        ({}, {"X_val": X, "y_val": y}, {"X_val": alone, "y_val": y_alone}),
    ]:
        classifier = make(freeze="all", max_epochs=3, **settings)
        found = clone(classifier).fit(X, y, weights, **more)
        expected = classifier.fit(alone, y_alone, w_alone, **more_alone)
        assert found.history_[0]["valid_loss"] > 0
        assert found.history_[-1]["valid_loss"] == expected.history_[-1]["valid_loss"]
        for of_task, expected_of_task in zip(
            found.predict_proba(X), expected.predict_proba(X), strict=True
        ):
            np.testing.assert_array_equal(of_task, expected_of_task)


def test_no_label_in_any_task(make):
    classifier = make(freeze="all", max_epochs=1, warm_start=True)
    nothing = np.full((4, 2), None)
    with pytest.raises(ValueError, match=r"y_val has no labels. Accepted: at least one"):
        classifier.fit(X, TASKS, X_val=X[:4], y_val=nothing)
    classifier.fit(X, TASKS)
    with pytest.raises(ValueError, match="y has no labels"):
        classifier.fit(X[:4], nothing)
    nothing[0, 0] = "up"
    with pytest.raises(ValueError, match=r"validation_fraction=0.1.*n_samples=1"):
        classifier.set_params(early_stopping=True).fit(X[:4], nothing)


def test_sets_in_cross_val_predict(make):
    found = cross_val_predict(make(freeze="all", max_epochs=1), X, SETS, cv=2)
    assert found.shape == SETS.shape


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), r"Pass y.astype\(str\)"),
        (
            [date(2020, 1, 1), date(2020, 1, 2)],
            r"types: date\. .*Pass \[str\(label\) for label in y",
        ),
    ],
)
def test_dates_are_made_strings_by_the_user(y, remedy):
    with pytest.raises(TypeError, match=remedy):
        as_labels("y", y, 2)


@pytest.mark.parametrize("y", [[2**64, 1], [2**63, -1], [-(2**70), 1.0], [10**5000, 1]])
@pytest.mark.parametrize("columns", [1, 2])
def test_numbers_beyond_64_bits_are_made_strings_by_the_user(y, columns):
    y = y if columns == 1 else [[label, "a"] for label in y]
    with pytest.raises(ValueError, match=r"labels as large as .*2\*\*63. Pass \[str\(label\)"):
        learn_labels(as_labels("y", y, 2))


@pytest.mark.parametrize(
    "y", [[2**63 - 1, 1], [2**64 - 1, 2**63], np.array([2**63 + 1, 2**63], object), [-(2**63), 1]]
)
def test_integers_of_64_bits_are_labels(y):
    assert learn_labels(as_labels("y", y, 2)).classes.tolist() == sorted(y)


@pytest.mark.parametrize("n_classes", [2, 30, 100])
@pytest.mark.parametrize("known", [int, str])
def test_numbers_are_not_taken_for_strings_of_digits(known, n_classes):
    labels = learn_labels(np.arange(n_classes).astype(known))
    others = np.arange(n_classes).astype(str if known is int else int)
    with pytest.raises(ValueError, match="y_val has classes that the model does not know"):
        labels.encode("y_val", others)
    assert labels.encode("y_val", labels.classes).tolist() == list(range(n_classes))


def test_bad_labels_are_named(make):
    classifier = make(freeze="all", max_epochs=1)
    with pytest.raises(ValueError, match=r"class_weight='balanced'.*sample_weight"):
        classifier.set_params(class_weight="balanced").fit(X, SETS)
    classifier.set_params(class_weight=None)
    for several in (SETS, TASKS):
        with pytest.raises(ValueError, match=r"contrastive_weight=1.*Accepted: 0"):
            clone(classifier).set_params(contrastive_weight=1).fit(X, several)
    with pytest.raises(ValueError, match=r"y_val has 2 column\(s\). Accepted: 3"):
        classifier.fit(X, SETS, X_val=X, y_val=SETS[:, :2])
    with pytest.raises(ValueError, match=r"y_val has 3 column\(s\). Accepted: 2"):
        classifier.fit(X, TASKS, X_val=X, y_val=np.column_stack([TASKS, TASKS[:, 0]]))
    with pytest.raises(ValueError, match=r"y_val has 1 column\(s\). Accepted: 2"):
        classifier.fit(X, TASKS, X_val=X, y_val=TASKS[:, 0])
    one_class = np.column_stack([TASKS[:, 0], np.full(len(X), "same", dtype=object)])
    with pytest.raises(ValueError, match=r"y\[:, 1\] has one class, 'same'"):
        classifier.fit(X, one_class)
    nothing = np.column_stack([TASKS[:, 0], np.full(len(X), None)])
    with pytest.raises(ValueError, match=r"y\[:, 1\] has no labels"):
        classifier.fit(X, nothing)
