"""Pipelines and columns: what is kept, what columns are called, and where weights go."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from sklearn_bert.encoder import work
from tests.models import HIDDEN

FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture
def frame(texts):
    numbers = np.arange(len(texts), dtype=float)
    return pd.DataFrame({"price": numbers, "title": texts, "body": texts[::-1]})


def test_a_pipeline_with_memory_keeps_vectors_by_itself(featurizer, texts, labels, tmp_path):
    featurizer.set_params(cache=None)
    steps = [("bert", featurizer), ("clf", LogisticRegression())]
    expected = Pipeline(steps).fit(texts, labels).predict_proba(texts)
    before = work.counted()
    for C in (1.0, 10.0, 1.0):
        kept = Pipeline(steps, memory=str(tmp_path)).set_params(clf__C=C).fit(texts, labels)
    assert (work.counted() - before).texts == len(texts)
    np.testing.assert_array_equal(kept.predict_proba(texts), expected)


def test_text_beside_numbers_and_another_text(featurizer, frame):
    columns = ColumnTransformer(
        [
            ("title", featurizer, "title"),
            ("body", clone(featurizer).set_params(pooling="cls"), "body"),
            ("numbers", StandardScaler(), ["price"]),
        ]
    )
    before = work.counted()
    found = columns.fit_transform(frame)
    # Both columns hold the same texts.
    assert (work.counted() - before).texts == len(frame)
    names = columns.get_feature_names_out().tolist()
    assert names[0] == "title__mean_0"
    assert names[HIDDEN] == "body__cls_0"
    assert names[-1] == "numbers__price"
    assert found.shape == (len(frame), 2 * HIDDEN + 1)
    np.testing.assert_allclose(found[:, :HIDDEN], featurizer.transform(frame["title"]), rtol=1e-6)
    cls = clone(featurizer).set_params(pooling="cls").transform(frame["body"])
    np.testing.assert_allclose(found[:, HIDDEN:-1], cls, rtol=1e-6)


@pytest.mark.parametrize("selector", [{"pattern": "title"}, {"dtype_exclude": "number"}])
def test_columns_by_a_selector(selector, featurizer, frame):
    frame = frame.drop(columns="body")
    columns = make_column_transformer(
        (featurizer, make_column_selector(**selector)), remainder="passthrough"
    ).set_output(transform="pandas")
    found = columns.fit_transform(frame)
    assert found.columns[0] == "bertfeaturizer__mean_0"
    assert found.columns[-1] == "remainder__price"
    expected = featurizer.transform(frame["title"])
    np.testing.assert_array_equal(found.iloc[:, :HIDDEN], expected)


def test_selected_pairs_are_read_together(featurizer, frame):
    columns = make_column_transformer((featurizer, make_column_selector("title|body")))
    found = columns.fit_transform(frame)
    np.testing.assert_array_equal(found, featurizer.transform(frame[["title", "body"]]))


def test_output_set_on_a_pipeline(featurizer, texts, labels):
    pipeline = make_pipeline(featurizer, StandardScaler()).set_output(transform="pandas")
    found = pipeline.fit_transform(pd.Series(texts, index=range(100, 140)), labels)
    assert found.index.tolist() == list(range(100, 140))
    assert found.columns.tolist() == [f"mean_{i}" for i in range(HIDDEN)]


def test_pictures_in_notebooks_load_nothing(classifier, featurizer, saved_model, tmp_path):
    nowhere = clone(classifier).set_params(model=tmp_path / "nowhere", freeze=-1)
    before = work.counted()
    shown = estimator_html_repr(make_pipeline(featurizer, LogisticRegression()))
    assert "BertFeaturizer" in shown
    assert "mean" in shown
    assert "nowhere" in estimator_html_repr(nowhere)
    assert "freeze" in repr(nowhere)
    assert work.counted() == before


def test_settings_of_scikit_learn(classifier, featurizer, texts, labels):
    expected = clone(classifier).fit(texts, labels).predict_proba(texts)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        found = clone(classifier).fit(texts, labels).predict_proba(texts)
        with pytest.raises(ValueError, match="pooling='middle'"):
            clone(featurizer).set_params(pooling="middle").fit(texts)
    np.testing.assert_array_equal(found, expected)
    with config_context(transform_output="pandas", display="text", print_changed_only=False):
        frame = featurizer.fit_transform(texts)
        assert "cache='memory'" in repr(featurizer)
    assert frame.columns.tolist() == featurizer.get_feature_names_out().tolist()


class TestWeights:
    @pytest.fixture
    def weights(self, texts):
        return np.linspace(0.1, 5, len(texts))

    def test_by_the_name_of_a_step(self, classifier, texts, labels, weights):
        pipeline = Pipeline([("clf", clone(classifier))])
        found = pipeline.fit(texts, labels, clf__sample_weight=weights).predict_proba(texts)
        expected = clone(classifier).fit(texts, labels, sample_weight=weights)
        np.testing.assert_array_equal(found, expected.predict_proba(texts))

    def test_routed_to_fit_and_score(self, classifier, texts, labels, weights):
        with config_context(enable_metadata_routing=True):
            asks = clone(classifier).set_fit_request(sample_weight=True)
            asks.set_score_request(sample_weight=True)
            found = cross_validate(
                Pipeline([("clf", asks)]),
                texts,
                labels,
                cv=FOLDS,
                params={"sample_weight": weights},
                return_estimator=True,
                error_score="raise",
            )
        for fold, (train, test) in enumerate(FOLDS.split(texts, labels)):
            held_out = [texts[i] for i in test]
            by_hand = clone(classifier).fit(
                [texts[i] for i in train], labels[train], weights[train]
            )
            np.testing.assert_allclose(
                found["estimator"][fold].predict_proba(held_out),
                by_hand.predict_proba(held_out),
                rtol=1e-6,
            )
            expected = by_hand.score(held_out, labels[test], weights[test])
            assert found["test_score"][fold] == pytest.approx(expected)

    def test_nobody_asked_for(self, classifier, texts, labels, weights):
        with config_context(enable_metadata_routing=True):
            search = GridSearchCV(classifier, {"head_lr": [0.01]}, cv=FOLDS, error_score="raise")
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                search.fit(texts, labels, sample_weight=weights)
