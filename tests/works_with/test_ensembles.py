"""Estimators made of ours: voting, stacking, calibration, thresholds, several classes or targets.

And those that take no texts, of which docs/scikit_learn.md says what works instead.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, TunedThresholdClassifierCV, cross_val_predict
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_bert import BertFineTuneRegressor
from sklearn_bert.encoder import work

FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)
REFUSE = [SelfTrainingClassifier, OneVsOneClassifier, ClassifierChain]
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def test_a_soft_vote_is_the_mean(classifier, featurizer, texts, labels):
    other = make_pipeline(featurizer, LogisticRegression())
    vote = VotingClassifier([("tuned", classifier), ("fixed", other)], voting="soft")
    vote.fit(texts, labels)
    expected = np.mean([e.fit(texts, labels).predict_proba(texts) for e in (classifier, other)], 0)
    np.testing.assert_allclose(vote.predict_proba(texts), expected, **CLOSE)
    assert vote.predict(texts).tolist() == vote.classes_[expected.argmax(axis=1)].tolist()


def test_a_stack_learns_from_predictions_across_folds(classifier, featurizer, texts, labels):
    members = [("tuned", classifier), ("fixed", make_pipeline(featurizer, LogisticRegression()))]
    before = work.counted()
    stack = StackingClassifier(members, LogisticRegression(), cv=FOLDS).fit(texts, labels)
    assert (work.counted() - before).texts == len(texts)
    of_members = [member.predict_proba(texts)[:, 1] for member in stack.estimators_]
    np.testing.assert_allclose(stack.transform(texts), np.column_stack(of_members), **CLOSE)
    across = [
        cross_val_predict(member, texts, labels, cv=FOLDS, method="predict_proba")[:, 1]
        for _, member in members
    ]
    final = LogisticRegression().fit(np.column_stack(across), labels)
    np.testing.assert_allclose(stack.final_estimator_.coef_, final.coef_, rtol=1e-4)


def test_calibration_across_folds(classifier, texts, labels):
    before = work.counted()
    calibrated = CalibratedClassifierCV(classifier, cv=FOLDS).fit(texts, labels)
    assert (work.counted() - before).texts == len(texts)
    probabilities = calibrated.predict_proba(texts)
    of_folds = [fold.predict_proba(texts) for fold in calibrated.calibrated_classifiers_]
    assert len(of_folds) == 2
    np.testing.assert_allclose(probabilities, np.mean(of_folds, axis=0), **CLOSE)


def test_calibration_of_what_is_fitted_is_a_sigmoid_of_its_decisions(classifier, texts, labels):
    fitted = classifier.fit(texts[:20], labels[:20])
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted)).fit(texts[20:], labels[20:])
    sigmoid = calibrated.calibrated_classifiers_[0].calibrators[0]
    expected = expit(-(sigmoid.a_ * fitted.decision_function(texts) + sigmoid.b_))
    np.testing.assert_allclose(calibrated.predict_proba(texts)[:, 1], expected, **CLOSE)


def test_a_tuned_threshold_decides(classifier, texts, labels):
    tuned = TunedThresholdClassifierCV(classifier, cv=FOLDS).fit(texts, labels)
    up = tuned.estimator_.predict_proba(texts)[:, 1] >= tuned.best_threshold_
    assert tuned.predict(texts).tolist() == np.where(up, "up", "down").tolist()


def test_one_against_the_rest(classifier, texts):
    y = np.array(["a", "b", "c"])[np.arange(len(texts)) % 3]
    before = work.counted()
    rest = OneVsRestClassifier(classifier).fit(texts, y)
    assert (work.counted() - before).texts == len(texts)
    expected = []
    for label in rest.classes_:
        binary = clone(classifier).fit(texts, (y == label).astype(int))
        expected.append(binary.predict_proba(texts)[:, 1])
    expected = np.array(expected).T
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rest.predict_proba(texts), expected, **CLOSE)


def test_several_targets_each_with_its_classifier(classifier, texts, labels):
    y = np.column_stack([labels, np.where(np.arange(len(texts)) < 9, "early", "late")])
    several = MultiOutputClassifier(classifier).fit(texts, y)
    for target in (0, 1):
        alone = clone(classifier).fit(texts, y[:, target])
        assert several.predict(texts)[:, target].tolist() == alone.predict(texts).tolist()
        np.testing.assert_allclose(
            several.predict_proba(texts)[target], alone.predict_proba(texts), **CLOSE
        )


def test_a_regressor_of_transformed_targets(saved_model, texts, labels):
    y = np.where(labels == "up", 100.0, 10.0)
    regressor = BertFineTuneRegressor(saved_model("bert"), freeze="all", random_state=0)
    found = TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp).fit(texts, y)
    expected = np.exp(clone(regressor).fit(texts, np.log(y)).predict(texts))
    np.testing.assert_allclose(found.predict(texts), expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [BaggingClassifier, AdaBoostClassifier])
def test_resampling_ensembles_take_a_frame(classes, classifier, texts, labels):
    frame = pd.DataFrame({"text": texts})
    # What bagging leaves out has a weight of 0, and makes no steps: an epoch has four, not five.
    learnt = classifier.set_params(max_epochs=30)
    # One is wrong: boosting ends with the first that has all right.
    y = labels.copy()
    y[0] = "down"
    ensemble = classes(learnt, n_estimators=2, random_state=0).fit(frame, y)
    assert len(ensemble.estimators_) == 2
    assert ensemble.score(frame, labels) > 0.6
    with pytest.raises(ValueError, match="Expected 2D array"):
        clone(ensemble).fit(texts, labels)


class TestRefusals:
    """What takes numbers only, takes them from a featurizer."""

    unlabelled = np.arange(40) % 4 == 0

    @pytest.fixture
    def targets(self, labels):
        y = (labels == "up").astype(int)
        return {
            SelfTrainingClassifier: np.where(self.unlabelled, -1, y),
            OneVsOneClassifier: np.arange(len(y)) % 3,
            ClassifierChain: np.column_stack([y, y[::-1]]),
        }

    @pytest.mark.parametrize("refuses", REFUSE)
    def test_texts(self, refuses, classifier, texts, targets):
        for X in (texts, pd.DataFrame({"text": texts})):
            with pytest.raises(ValueError, match=r"Expected 2D array|could not convert string"):
                refuses(classifier).fit(X, targets[refuses])

    @pytest.mark.parametrize("refuses", REFUSE)
    def test_vectors(self, refuses, featurizer, texts, targets):
        y = targets[refuses]
        found = make_pipeline(featurizer, refuses(LogisticRegression())).fit(texts, y)
        vectors = featurizer.transform(texts)
        expected = refuses(LogisticRegression()).fit(vectors, y).predict(vectors)
        np.testing.assert_array_equal(found.predict(texts), expected)


class TestPermutationImportance:
    def test_of_a_text_column_beside_another(self, featurizer, texts, labels):
        frame = pd.DataFrame({"text": texts, "constant": 1.0})
        columns = ColumnTransformer([("bert", featurizer, "text")], remainder="passthrough")
        pipeline = make_pipeline(columns, LogisticRegression(C=100, max_iter=1000))
        pipeline.fit(frame, labels)
        before = work.counted()
        found = permutation_importance(pipeline, frame, labels, n_repeats=3, random_state=0)
        assert found.importances_mean[0] > 0.2
        assert found.importances[1].tolist() == [0, 0, 0]
        assert (work.counted() - before).texts == 0

    def test_of_the_halves_of_pairs(self, classifier, texts, labels):
        frame = pd.DataFrame({"first": texts, "second": texts[::-1]})
        fitted = classifier.set_params(max_epochs=10).fit(frame, labels)
        found = permutation_importance(fitted, frame, labels, n_repeats=2, random_state=0)
        assert found.importances.shape == (2, 2)

    def test_a_list_has_no_columns(self, classifier, texts, labels):
        fitted = classifier.fit(texts, labels)
        with pytest.raises(ValueError, match="Expected 2D array"):
            permutation_importance(fitted, texts, labels)
