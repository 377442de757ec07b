"""scikit-learn's searches, splitters and curves, on texts; each text is encoded once in all."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import make_pipeline

from sklearn_bert.encoder import work

FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture
def n_encoded():
    """Return a function that says how many texts were encoded since the test began."""
    before = work.counted()
    return lambda: (work.counted() - before).texts


def test_halving_over_epochs(classifier, texts, labels, n_encoded):
    search = HalvingGridSearchCV(
        classifier,
        {"head_lr": [1e-4, 1e-3, 1e-2, 1e-1]},
        resource="max_epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=FOLDS,
        random_state=0,
    ).fit(texts, labels)
    assert search.n_resources_ == [2, 4, 8]
    assert search.n_candidates_ == [4, 2, 1]
    assert len(search.best_estimator_.history_) == 8
    assert n_encoded() == len(texts)


def test_a_random_search_of_all_candidates_is_a_grid_search(classifier, texts, labels, n_encoded):
    grid = {"head_lr": [1e-3, 1e-2], "hidden_layer_sizes": [(), (4,)]}
    by_search = []
    for search in (
        GridSearchCV(classifier, grid, cv=FOLDS),
        RandomizedSearchCV(classifier, grid, n_iter=4, cv=FOLDS, random_state=3),
    ):
        found = search.fit(texts, labels).cv_results_
        candidates = [tuple(sorted(candidate.items())) for candidate in found["params"]]
        by_search.append(dict(zip(candidates, found["mean_test_score"], strict=True)))
    assert by_search[0] == by_search[1]
    assert n_encoded() == len(texts)


def test_nested_cross_validation(featurizer, texts, labels, n_encoded):
    pipeline = make_pipeline(featurizer, LogisticRegression())
    grid = {"bertfeaturizer__pooling": ["cls", "mean"], "logisticregression__C": [0.1, 10.0]}
    inner = GridSearchCV(pipeline, grid, cv=FOLDS)
    scores = cross_val_score(inner, texts, labels, cv=FOLDS, error_score="raise")
    assert n_encoded() == len(texts)
    expected = []
    for train, test in FOLDS.split(texts, labels):
        inner.fit([texts[i] for i in train], labels[train])
        expected.append(inner.score([texts[i] for i in test], labels[test]))
    assert scores.tolist() == expected


def test_predictions_across_folds(classifier, texts, labels, n_encoded):
    found = cross_val_predict(classifier, texts, labels, cv=FOLDS, method="predict_proba")
    assert n_encoded() == len(texts)
    for train, test in FOLDS.split(texts, labels):
        fitted = clone(classifier).fit([texts[i] for i in train], labels[train])
        expected = fitted.predict_proba([texts[i] for i in test])
        np.testing.assert_allclose(found[test], expected, rtol=1e-6)


def test_a_learning_curve(classifier, texts, labels, n_encoded):
    sizes, of_training, of_test = learning_curve(
        classifier, texts, labels, cv=FOLDS, train_sizes=[8, 20]
    )
    assert sizes.tolist() == [8, 20]
    assert n_encoded() == len(texts)
    for fold, (train, test) in enumerate(FOLDS.split(texts, labels)):
        for number, size in enumerate(sizes):
            X, y = [texts[i] for i in train[:size]], labels[train[:size]]
            fitted = clone(classifier).fit(X, y)
            assert of_training[number, fold] == fitted.score(X, y)
            assert of_test[number, fold] == fitted.score([texts[i] for i in test], labels[test])


def test_a_validation_curve_over_depths_is_a_search(classifier, texts, labels):
    depths = ["all", -1, "none"]
    of_training, of_test = validation_curve(
        classifier, texts, labels, param_name="freeze", param_range=depths, cv=FOLDS
    )
    search = GridSearchCV(classifier, {"freeze": depths}, cv=FOLDS, return_train_score=True)
    found = search.fit(texts, labels).cv_results_
    np.testing.assert_allclose(of_test.mean(axis=1), found["mean_test_score"])
    np.testing.assert_allclose(of_training.mean(axis=1), found["mean_train_score"])


def test_a_permutation_test(classifier, texts, labels, n_encoded):
    score, permuted, p_value = permutation_test_score(
        classifier.set_params(max_epochs=10), texts, labels, cv=FOLDS, n_permutations=9
    )
    assert score == cross_val_score(classifier, texts, labels, cv=FOLDS).mean()
    assert permuted.shape == (9,)
    assert p_value == ((permuted >= score).sum() + 1) / 10
    assert n_encoded() == len(texts)


@pytest.mark.parametrize(
    "cv",
    [
        StratifiedKFold(4),
        StratifiedGroupKFold(2),
        RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0),
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_splitters_find_in_texts_what_they_find_in_vectors(
    cv, featurizer, texts, labels, n_encoded
):
    head = LogisticRegression()
    groups = np.arange(len(texts)) // 10 if isinstance(cv, StratifiedGroupKFold) else None
    pipeline = make_pipeline(featurizer, head)
    found = cross_val_score(pipeline, texts, labels, groups=groups, cv=cv, error_score="raise")
    vectors = featurizer.transform(texts)
    expected = cross_val_score(head, vectors, labels, groups=groups, cv=cv)
    assert found.tolist() == expected.tolist()
    assert n_encoded() == len(texts)
