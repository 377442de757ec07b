import builtins

import matplotlib
import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_bert import (
    BertFeaturizer,
    BertFineTuneClassifier,
    FreezeDepthDisplay,
    LayerPoolingDisplay,
    TrainingCurveDisplay,
)
from tests.models import TEXTS

matplotlib.use("Agg")
from matplotlib import pyplot

Y = np.array([0, 1] * 5)
SETTINGS = {"device": "cpu", "precision": "float32"}
TUNING = {**SETTINGS, "max_epochs": 2, "random_state": 0, "batch_size": 4}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def labels(axis_labels):
    return [label.get_text() for label in axis_labels]


class TestTrainingCurve:
    def fitted(self, saved_model, **params):
        validation = {"X_val": TEXTS[:4], "y_val": Y[:4]}
        return BertFineTuneClassifier(saved_model(), **TUNING, **params).fit(TEXTS, Y, **validation)

    def test_it_draws_the_history(self, saved_model):
        classifier = self.fitted(saved_model, freeze="all", head_lr=1e-3)
        display = TrainingCurveDisplay.from_estimator(classifier, score_name="accuracy")
        drawn = {line.get_label(): line.get_xydata() for line in display.ax_.lines}
        rows = classifier.history_
        expected = [(row["epoch"], row["valid_loss"]) for row in rows]
        np.testing.assert_allclose(drawn["validation loss"], expected)
        expected = [(row["epoch"], row["train_loss"]) for row in rows if "train_loss" in row]
        np.testing.assert_allclose(drawn["training loss"], expected)
        (score,) = display.score_ax_.lines
        np.testing.assert_allclose(score.get_ydata(), [row["valid_score"] for row in rows])
        assert display.score_ax_.get_ylabel() == "Accuracy"
        legend = labels(display.ax_.get_legend().get_texts())
        rates = "learning rate, up to 5.0e-04"
        assert legend == ["training loss", "validation loss", "accuracy", rates]
        assert display.figure_ is display.ax_.figure

    @pytest.mark.parametrize("n_epochs", [1, 3, 100])
    def test_ticks_are_epochs_and_leave_room(self, n_epochs):
        history = [{"epoch": n, "train_loss": 1 / n, "lr": 1e-3} for n in range(1, n_epochs + 1)]
        display = TrainingCurveDisplay(history=history).plot()
        low, high = display.ax_.get_xlim()
        ticks = [tick for tick in display.ax_.get_xticks() if low <= tick <= high]
        assert 1 <= len(ticks) <= 10
        assert set(ticks) <= set(range(n_epochs + 1))

    def test_without_validation_data_there_is_no_score(self, saved_model):
        classifier = BertFineTuneClassifier(saved_model(), freeze="all", **TUNING).fit(TEXTS, Y)
        display = TrainingCurveDisplay.from_estimator(Pipeline([("last", classifier)]))
        assert display.score_ax_ is None
        legend = labels(display.ax_.get_legend().get_texts())
        assert legend[:-1] == ["training loss"]

    def test_it_marks_where_layers_are_unfrozen(self, saved_model):
        settings = TUNING | {"max_epochs": 3, "gradual_unfreezing": True}
        classifier = BertFineTuneClassifier(saved_model(), **settings).fit(TEXTS, Y)
        ax = TrainingCurveDisplay.from_estimator(classifier).ax_
        assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [
            1.5,
            2.5,
        ]
        fixed = BertFineTuneClassifier(saved_model(), freeze=-1, **TUNING).fit(TEXTS, Y)
        ax = TrainingCurveDisplay.from_estimator(fixed).ax_
        assert ":" not in {line.get_linestyle() for line in ax.lines}

    def test_on_axes_that_are_given(self):
        _, ax = pyplot.subplots()
        history = [{"epoch": 1, "train_loss": 0.5, "lr": 0.1}]
        display = TrainingCurveDisplay(history=history)
        assert display.plot(ax=ax) is display
        assert display.ax_ is ax

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            TrainingCurveDisplay.from_estimator(BertFineTuneClassifier())

    def test_of_a_search_it_draws_the_best(self, saved_model):
        classifier = BertFineTuneClassifier(saved_model(), freeze="all", **TUNING)
        search = GridSearchCV(classifier, {"head_lr": [1e-2]}, cv=2).fit(TEXTS, Y)
        display = TrainingCurveDisplay.from_estimator(search)
        assert display.history == search.best_estimator_.history_
        pipeline = Pipeline([("clf", classifier)])
        search = GridSearchCV(pipeline, {"clf__head_lr": [1e-2]}, cv=2).fit(TEXTS, Y)
        display = TrainingCurveDisplay.from_estimator(search)
        assert display.history == search.best_estimator_[-1].history_

    def test_what_has_no_history(self):
        search = GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2)
        search.fit(np.arange(10)[:, None], Y)
        for estimator in (search, LogisticRegression(), BertFeaturizer()):
            with pytest.raises(TypeError, match=r"without a history of training.*fine-tunes"):
                TrainingCurveDisplay.from_estimator(estimator)


class TestFreezeDepth:
    def search(self, saved_model, grid, **params):
        classifier = BertFineTuneClassifier(saved_model(), **TUNING)
        return GridSearchCV(classifier, grid, cv=2, refit=False, **params).fit(TEXTS, Y)

    def test_it_draws_the_best_of_each_depth(self, saved_model):
        grid = {"freeze": ["none", -1, "all", 2], "head_lr": [1e-3, 1e-2]}
        search = self.search(saved_model, grid)
        display = FreezeDepthDisplay.from_search(search, score_name="accuracy")
        assert labels(display.ax_.get_xticklabels()) == ["all", "-1", "2", "none"]
        results = search.cv_results_
        of_depth = {
            freeze: max(
                score
                for params, score in zip(results["params"], results["mean_test_score"], strict=True)
                if params["freeze"] == freeze
            )
            for freeze in grid["freeze"]
        }
        drawn = display.ax_.lines[0].get_ydata()
        np.testing.assert_allclose(drawn, [of_depth[depth] for depth in ("all", -1, 2, "none")])
        heights = [bar.get_height() for bar in display.time_ax_.patches]
        assert len(heights) == 4
        assert set(heights) <= set(results["mean_fit_time"])
        assert display.ax_.get_ylabel() == "accuracy"

    def test_one_of_several_metrics(self, saved_model):
        metrics = ["accuracy", "neg_log_loss"]
        search = self.search(saved_model, {"freeze": ["all", -1]}, scoring=metrics)
        display = FreezeDepthDisplay.from_search(search, metric="neg_log_loss")
        drawn = display.ax_.lines[0].get_ydata()
        np.testing.assert_allclose(drawn, search.cv_results_["mean_test_neg_log_loss"])
        with pytest.raises(ValueError, match=r"metric='score' can't be used. Accepted: 'accuracy'"):
            FreezeDepthDisplay.from_search(search)

    def test_a_search_over_something_else(self, saved_model):
        search = self.search(saved_model, {"head_lr": [1e-3]})
        with pytest.raises(ValueError, match=r"varied \['head_lr'\], of which 0 end with 'freeze'"):
            FreezeDepthDisplay.from_search(search)

    def test_a_fit_that_failed_is_not_the_best(self, saved_model):
        grid = {"freeze": ["all"], "head_lr": [-1, 1e-2, -2]}
        with pytest.warns(FitFailedWarning), pytest.warns(UserWarning, match="non-finite"):
            search = self.search(saved_model, grid)
        drawn = FreezeDepthDisplay.from_search(search).ax_.lines[0].get_ydata()
        np.testing.assert_array_equal(drawn, search.cv_results_["mean_test_score"][1:2])

    def test_candidates_without_a_depth(self, saved_model):
        """Some have the estimator's own, and some are other estimators."""
        tuned = BertFineTuneClassifier(saved_model(), freeze=-1, **TUNING)
        texts = make_pipeline(CountVectorizer(), LogisticRegression())
        grid = [{"clf__freeze": ["all"]}, {"clf__head_lr": [1e-2]}, {"clf": [texts]}]
        search = GridSearchCV(Pipeline([("clf", tuned)]), grid, cv=2, refit=False).fit(TEXTS, Y)
        display = FreezeDepthDisplay.from_search(search)
        assert labels(display.ax_.get_xticklabels()) == ["all", "-1"]
        drawn = display.ax_.lines[0].get_ydata()
        np.testing.assert_array_equal(drawn, search.cv_results_["mean_test_score"][:2])


class TestLayerPooling:
    @pytest.mark.parametrize(
        ("grid", "columns", "rows"),
        [
            ({"bert__layers": [0, 1]}, ["0", "1"], ["max"]),
            ({"bert__layers": [[1, 2], *np.arange(2)]}, ["(1, 2)", "0", "1"], ["max"]),
            ({"bert__pooling": ["cls", "mean"]}, ["-2"], ["cls", "mean"]),
        ],
    )
    def test_what_was_not_varied_is_the_featurizers_own(self, grid, columns, rows, saved_model):
        featurizer = BertFeaturizer(saved_model(), layers=-2, pooling="max", **SETTINGS)
        pipeline = Pipeline([("bert", featurizer), ("clf", LogisticRegression())])
        search = GridSearchCV(pipeline, grid, cv=2).fit(TEXTS, Y)
        display = LayerPoolingDisplay.from_search(search)
        assert labels(display.ax_.get_xticklabels()) == columns
        assert labels(display.ax_.get_yticklabels()) == rows
        np.testing.assert_array_equal(display.scores.ravel(), search.cv_results_["mean_test_score"])

    def test_candidates_with_another_step(self, saved_model):
        """A featurizer put in the step's place has values of its own, others have none."""
        pipeline = Pipeline(
            [("bert", BertFeaturizer(saved_model(), **SETTINGS)), ("clf", LogisticRegression())]
        )
        another = BertFeaturizer(saved_model(), pooling="max", **SETTINGS)
        grid = [
            {"bert": [another], "bert__layers": [0, 1]},
            {"bert__layers": [0]},
            {"bert": [CountVectorizer()]},
        ]
        search = GridSearchCV(pipeline, grid, cv=2, refit=False).fit(TEXTS, Y)
        display = LayerPoolingDisplay.from_search(search)
        assert (display.layers, display.poolings) == ([0, 1], ["max", "mean"])
        expected = [*search.cv_results_["mean_test_score"][:3], np.nan]
        np.testing.assert_array_equal(np.ravel(display.scores), expected)

    def test_a_search_over_neither(self, saved_model):
        pipeline = Pipeline(
            [("bert", BertFeaturizer(saved_model(), **SETTINGS)), ("clf", LogisticRegression())]
        )
        search = GridSearchCV(pipeline, {"clf__C": [1]}, cv=2).fit(TEXTS, Y)
        with pytest.raises(ValueError, match="0 end with 'layers'"):
            LayerPoolingDisplay.from_search(search)

    def test_it_draws_each_pair(self, saved_model):
        pipeline = Pipeline(
            [("bert", BertFeaturizer(saved_model(), **SETTINGS)), ("clf", LogisticRegression())]
        )
        grid = [
            {"bert__layers": [-1, [1, 2]], "bert__pooling": ["cls", "mean"]},
            {"bert__layers": [-1], "bert__pooling": ["max"], "clf__C": [1, 10]},
        ]
        search = GridSearchCV(pipeline, grid, cv=2).fit(TEXTS, Y)
        display = LayerPoolingDisplay.from_search(search)
        assert labels(display.ax_.get_xticklabels()) == ["-1", "(1, 2)"]
        assert labels(display.ax_.get_yticklabels()) == ["cls", "mean", "max"]
        scores = search.cv_results_["mean_test_score"]
        np.testing.assert_allclose(display.scores[0], [scores[0], scores[2]])
        np.testing.assert_allclose(display.scores[2, 0], scores[4:].max())
        assert np.isnan(display.scores[2, 1])
        assert len(display.ax_.texts) == 5
        assert display.figure_.axes[-1].get_ylabel() == "score"


def test_without_matplotlib_the_remedy_is_said(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-bert\[plot\]'"):
        TrainingCurveDisplay(history=[]).plot()
