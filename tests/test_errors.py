"""Messages name what they are about, and warnings whoever can do something about it."""

import re
import warnings
from pathlib import Path

import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.errors import TESTED, LongTextWarning, warn_caller

TEXTS = ["the film is good " * 30, "bad " * 100] * 4
LABELS = ["up", "down"] * 4


@pytest.fixture
def classifier(saved_model):
    return BertFineTuneClassifier(saved_model("bert"), freeze="all", max_epochs=1, device="cpu")


def test_a_warning_from_outside_the_package_is_at_its_own_line():
    with pytest.warns(UserWarning, match="so it is") as caught:
        warn_caller("so it is", UserWarning)
    assert caught[0].filename == __file__


def test_architectures_that_errors_recommend_are_those_of_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"from safetensors: (.*?) and Chinese BERT", readme, re.S)[1]
    assert tuple(re.split(r",\s+", listed)) == TESTED


@pytest.mark.parametrize("method", ["fit", "predict", "predict_proba", "score"])
def test_cut_texts_are_reported_where_the_estimator_was_called(method, classifier):
    if method != "fit":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classifier.fit(TEXTS, LABELS)
    arguments = (TEXTS,) if "predict" in method else (TEXTS, LABELS)
    with pytest.warns(LongTextWarning) as caught:
        getattr(classifier, method)(*arguments)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_featurizer_reports_them_there_too(saved_model):
    with pytest.warns(LongTextWarning) as caught:
        BertFeaturizer(saved_model("bert"), device="cpu").fit(TEXTS).transform(TEXTS)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_search_reports_them_there_too(classifier):
    with pytest.warns(LongTextWarning) as caught:
        GridSearchCV(classifier, {"head_lr": [1e-3]}, cv=2).fit(TEXTS, LABELS)
    assert {warning.filename for warning in caught} == {__file__}


def test_what_does_nothing_is_reported_there_too(classifier):
    classifier.set_params(layer_lr_decay=0.5)
    with pytest.warns(UserWarning, match="layer_lr_decay=0.5 does nothing") as caught:
        classifier.fit(["good", "bad"] * 4, LABELS)
    assert [warning.filename for warning in caught] == [__file__]


def test_labels_in_one_column_are_reported_there_too(classifier):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as caught:
        classifier.fit(["good", "bad"] * 4, [[label] for label in LABELS])
    assert [warning.filename for warning in caught] == [__file__]
