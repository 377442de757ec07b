"""`compare` as a whole, on candidates that take no time and on tiny encoders."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GroupKFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, compare
from sklearn_bert.comparison import comparing, default_candidates, duplicates
from sklearn_bert.comparison.clock import Clock
from sklearn_bert.comparison.columns import HEADINGS, cells_of
from sklearn_bert.comparison.recommending import recommend
from sklearn_bert.comparison.report import render
from sklearn_bert.comparison.running import METRICS, CandidateResult, pickled_size
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder import work
from sklearn_bert.errors import TrainingDivergedError
from sklearn_bert.store import open_store
from tests.models import MAX_LENGTH, PAIRS

GOOD = ["a good film", "a very good story", "wonderful", "good, very good", "the film is wonderful"]
BAD = ["a bad film", "a very dull story", "dull", "bad, very bad", "the film is dull"]
TEXTS = [f"{text} {number}" for number in range(3) for text in GOOD + BAD]
Y = np.array((["good"] * 5 + ["bad"] * 5) * 3)
SETTINGS = {"device": "cpu", "precision": "float32"}
WORDS = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
CHANCE = DummyClassifier(strategy="prior")
LINEAR = {"chance": CHANCE, "words": WORDS}


@pytest.fixture
def compared(saved_model):
    def compared(texts=TEXTS, y=Y, **params):
        defaults = {"cv": 3, "random_state": 0, "model": saved_model(), "candidates": LINEAR}
        return compare(texts, y, **{**defaults, **SETTINGS, **params})

    return compared


class Failing(ClassifierMixin, BaseEstimator):
    """Raises what it is told to, in its fit number so and so."""

    calls = 0

    def __init__(self, error=RuntimeError, after=0):
        self.error = error
        self.after = after

    def fit(self, X, y):
        type(self).calls += 1
        if type(self).calls > self.after:
            raise self.error("as told")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


class Long(Failing):
    """Takes long by a clock of its own."""

    now = 0.0

    def __init__(self, seconds=100, best=True):
        self.seconds = seconds
        self.best = best

    def fit(self, X, y):
        Failing.calls += 1
        Long.now += self.seconds
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        # The classes are told apart by words; the worse of two takes them for one another.
        good = [any(word in text for word in ("good", "wonderful")) for text in X]
        return np.where(np.array(good) == self.best, "good", "bad")


@pytest.fixture
def hours(monkeypatch):
    """Have `compare` read the clock that Long moves, and no other."""
    Long.now = 0.0
    monkeypatch.setattr(comparing, "Clock", functools.partial(Clock, now=lambda: Long.now))


@pytest.fixture(autouse=True)
def _no_calls():
    Failing.calls = 0


def test_scores_are_those_of_the_folds(compared):
    result = compared()
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(TEXTS, Y))
    f1, accuracy = [], []
    for train, test in splits:
        fitted = clone(WORDS).fit([TEXTS[i] for i in train], Y[train])
        predicted = fitted.predict([TEXTS[i] for i in test])
        np.testing.assert_array_equal(result.predictions["words"][test], predicted)
        f1.append(f1_score(Y[test], predicted, average="macro"))
        accuracy.append(accuracy_score(Y[test], predicted))
    row = result.table.loc["words"]
    assert row["mean_test_f1_macro"] == pytest.approx(np.mean(f1))
    assert row["std_test_f1_macro"] == pytest.approx(np.std(f1))
    assert row["mean_test_accuracy"] == pytest.approx(np.mean(accuracy))
    assert row["pickle_bytes"] == pytest.approx(len(pickle.dumps(fitted)), rel=0.1)
    assert list(result.table.index) == ["words", "chance"]
    assert result.folds.query("candidate == 'words'")["f1_macro"].tolist() == pytest.approx(f1)


def test_the_best_is_refit_on_all(compared):
    result = compared()
    assert result.best_name_ == "words"
    assert result.best_score_ == result.table["mean_test_f1_macro"].max()
    expected = clone(WORDS).fit(TEXTS, Y).predict_proba(GOOD)
    np.testing.assert_allclose(result.best_estimator_.predict_proba(GOOD), expected)


def test_the_metric_that_decides(compared):
    """One that predicts the larger class always has the higher accuracy, and the lower F1."""
    y = np.array(["many"] * 24 + ["few"] * 6)
    uniform = DummyClassifier(strategy="uniform", random_state=1)
    candidates = {"chance": CHANCE, "uniform": uniform}
    by_accuracy = compared(y=y, candidates=candidates, scoring="accuracy")
    assert by_accuracy.best_name_ == "chance"
    by_recall = compared(y=y, candidates=candidates, scoring="precision_macro")
    table = by_recall.table["mean_test_precision_macro"]
    assert by_recall.best_name_ == table.idxmax() == "uniform"


def test_what_is_said_of_the_best(compared):
    result = compared(candidates={"chance": CHANCE})
    assert result.label_counts.to_dict() == {"bad": 15, "good": 15}
    predicted = result.predictions["chance"]
    matrix = result.confusion_matrix
    assert matrix.loc["good", "bad"] == ((predicted == "bad") & (Y == "good")).sum() > 0
    assert matrix.to_numpy().sum() == len(Y)
    recall = (predicted == "bad")[Y == "bad"].mean()
    assert result.per_class.loc["bad", "recall"] == pytest.approx(recall)
    wrong = result.mistakes
    assert (wrong["true"] != wrong["predicted"]).all()
    assert wrong["confidence"].is_monotonic_decreasing
    assert wrong["text"].tolist() == [TEXTS[row] for row in wrong.index]


def test_half_an_emoji_in_texts_and_labels_is_shown_as_what_it_is_not(compared, tmp_path):
    """A text that was cut has one; UTF-8 and Arrow have no form for it."""
    half = "\ud83d"
    labels = np.array([f"{label}{half}" for label in Y])
    result = compared([f"{text} {half}" for text in TEXTS], labels, candidates={"chance": CHANCE})
    assert half in result.mistakes["text"].iloc[0]
    wrong = result.mistakes
    assert (wrong["true"] != wrong["predicted"]).all()
    assert (result.predictions["chance"].to_numpy()[wrong.index] == wrong["predicted"]).all()
    assert result.confusion_matrix.to_numpy().sum() == len(Y)
    result.per_class.to_string()
    str(result).encode("utf-8")
    result.to_html(tmp_path / "report.html")
    assert TEXTS[0] in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_confidence_is_that_of_what_is_predicted(compared):
    """With a threshold that need not be the class of the highest probability."""
    always_good = FixedThresholdClassifier(CHANCE, threshold=0.0, pos_label="good")
    y = np.array(["bad"] * 24 + ["good"] * 6)
    result = compared(y=y, candidates={"good": always_good})
    assert set(result.predictions["good"]) == {"good"}
    np.testing.assert_allclose(result.confidences["good"], 0.2)


def test_a_candidate_without_a_pickle_has_no_size(compared):
    """A function made on the spot can't be pickled."""
    letters = make_pipeline(TfidfVectorizer(analyzer=lambda text: list(text)), RidgeClassifier())
    result = compared(candidates={"letters": letters})
    assert result.best_name_ == "letters"
    assert np.isnan(result.table.loc["letters", "pickle_bytes"])
    assert cells_of(result.results[0])[HEADINGS.index("size")] == "–"
    assert "nan" not in str(result)
    assert ">–</td>" in render(result, "Letters")


def test_whatever_an_object_raises_that_has_no_pickle():
    class Refusing:
        def __reduce__(self):
            raise ValueError("not me")

    assert np.isnan(pickled_size(Refusing()))


def test_where_all_texts_are_twins_no_score_without_them_is_said(compared):
    result = compared(TEXTS[:6] * 5, Y[:6].tolist() * 5, candidates={"chance": CHANCE})
    assert result.duplicates.any.all()
    assert "no text is without such a twin" in result.recommendation
    assert "nan" not in result.recommendation


def test_without_probabilities_mistakes_are_listed_all_the_same(compared):
    ridge = make_pipeline(TfidfVectorizer(token_pattern=r"\d"), RidgeClassifier())
    result = compared(candidates={"numbers": ridge})
    assert len(result.mistakes) > 0
    assert result.mistakes["confidence"].isna().all()


def test_each_text_is_encoded_once_for_all_features(compared, saved_model):
    candidates = {
        pooling: make_pipeline(
            BertFeaturizer(saved_model(), pooling=pooling, **SETTINGS), LogisticRegression()
        )
        for pooling in ("mean", "cls")
    }
    result = compared(candidates=candidates, refit=False)
    assert result.table.loc[["mean", "cls"], "texts_encoded"].tolist() == [len(TEXTS), 0]


def test_a_comparison_once_more_keeps_nothing_more(compared, saved_model, tmp_path):
    candidates = {
        "features": make_pipeline(
            BertFeaturizer(saved_model(), cache=tmp_path, **SETTINGS), LogisticRegression()
        ),
        "tuned": BertFineTuneClassifier(
            saved_model(), freeze=-1, max_epochs=1, cache=tmp_path, random_state=0, **SETTINGS
        ),
    }
    entries = []
    for _ in range(2):
        compared(candidates=candidates)
        entries.append(open_store(tmp_path).info().entries)
    assert entries[0] == entries[1] > 0


@pytest.mark.parametrize(("texts", "times"), [(TEXTS, 1), (PAIRS * 6, 2)])
def test_the_texts_whose_prediction_is_timed_are_new_each_time(texts, times, compared, saved_model):
    featurizer = BertFeaturizer(
        saved_model(), pairs="joint" if times == 1 else "separate", **SETTINGS
    )
    candidates = {"features": make_pipeline(featurizer, LogisticRegression())}
    y = np.resize(["good", "bad"], len(texts))
    compared(texts, y, candidates=candidates, refit=False)
    for _ in range(2):
        before = work.counted()
        compared(texts, y, candidates=candidates, refit=False)
        # Those of the last fold; all others are kept.
        assert (work.counted() - before).texts == times * len(texts) // 3


def test_default_candidates_all_run(compared, saved_model):
    before = work.counted().models_loaded
    result = compared(candidates=None, cv=2)
    expected = default_candidates(TEXTS, model=saved_model(), **SETTINGS)
    assert [r.name for r in result.results] == list(expected)
    assert result.not_run == {}
    assert work.counted().models_loaded - before <= 1
    assert result.table.notna().all(axis=None)
    assert (result.table["predict_time"] > 0).all()
    *lines, _ = result.code.splitlines()
    namespace = {}
    exec("\n".join(lines), namespace)
    best = result.recommended().best.estimator
    assert repr(namespace["estimator"]) == repr(best)


def test_random_state_fixes_all(compared, saved_model):
    tuned = {"tuned": BertFineTuneClassifier(saved_model(), random_state=0, **SETTINGS)}
    one, other = (compared(candidates=tuned, random_state=7) for _ in range(2))
    pd.testing.assert_frame_equal(one.confidences, other.confidences)
    third = compared(candidates=tuned, random_state=8)
    assert (third.fold_of != one.fold_of).any()
    drawn = compared(candidates=None, cv=2, random_state=None, scoring="accuracy")
    seeds = {r.estimator.random_state for r in drawn.results if "tuning" in r.name}
    assert len(seeds) == 1
    assert isinstance(seeds.pop(), int)


def test_pairs(compared):
    result = compared(PAIRS * 4, ["a", "b", "a", "b", "a"] * 4, candidates=None, cv=2)
    assert "features: mean, last layer, each half by itself" in result.table.index
    assert result.not_run == {}


class TestRecommendation:
    def test_the_cheapest_within_one_standard_error(self, compared, hours):
        result = compared(candidates={"slow": Long(), "as good": Long(seconds=50)})
        assert result.best_name_ == "slow"
        assert result.cheapest_name_ == "as good"
        assert "Cheapest within one standard error" in result.recommendation
        assert "if time does" in result.recommendation

    def test_the_best_where_nothing_cheaper_is_as_good(self, compared, hours):
        result = compared(candidates={"best": Long(), "quick": Long(seconds=50, best=False)})
        assert result.cheapest_name_ == "best"
        assert "nothing clearly faster comes within one standard error" in result.recommendation

    @pytest.mark.parametrize(("seconds", "cheapest"), [(0.7, "other"), (0.9, "best")])
    def test_what_is_hardly_faster_is_not_cheaper(self, seconds, cheapest):
        def result(name, score, seconds):
            folds = [
                {"fold": i, **dict.fromkeys(METRICS, score + i / 10), "fit_time": seconds}
                for i in range(2)
            ]
            return CandidateResult(name, None, folds, predict_time=0.0)

        found = recommend([result("best", 0.7, 1.0), result("other", 0.69, seconds)], "accuracy")
        assert found.best.name == "best"
        assert found.cheapest.name == cheapest

    def test_duplicates_are_told_with_the_score_without_them(self, compared):
        texts, y = [*TEXTS, *TEXTS[:6]], np.concatenate([Y, Y[:6]])
        result = compared(texts, y)
        assert result.duplicates.exact.sum() >= 2
        alone = ~result.duplicates.any
        expected = f1_score(y[alone], result.predictions["words"][alone], average="macro")
        assert result.score_without_duplicates == pytest.approx(expected)
        assert f"is {expected:.3f}" in result.recommendation

    def test_texts_that_are_cut_are_told(self, compared):
        texts = ["good " * (MAX_LENGTH + 1), *TEXTS[1:]]
        result = compared(texts)
        assert result.lengths.n_cut == 1
        assert result.lengths.tokens[0] == MAX_LENGTH + 1 + 2
        assert f"1 texts are longer than the {MAX_LENGTH} tokens" in result.recommendation
        counts, edges = result.lengths.histogram()
        assert counts.sum() == len(texts)
        assert edges[0] == 0


class TestWhatDoesNotRun:
    def test_one_that_fails_leaves_the_others(self, compared):
        result = compared(candidates={"failing": Failing(), **LINEAR})
        assert result.not_run == {"failing": "failed: RuntimeError: as told"}
        assert result.best_name_ == "words"

    def test_ctrl_c_keeps_what_is_done(self, compared):
        interrupted = Failing(KeyboardInterrupt, after=1)
        result = compared(candidates={**LINEAR, "interrupted": interrupted, "never": CHANCE})
        assert list(result.table.index) == ["words", "chance"]
        assert result.not_run == {"interrupted": "interrupted", "never": "interrupted"}
        assert result.interrupted
        with pytest.raises(AttributeError, match="The lines in `code`"):
            _ = result.best_estimator_

    def test_ctrl_c_before_anything_is_done(self, compared):
        with pytest.raises(KeyboardInterrupt):
            compared(candidates={"interrupted": Failing(KeyboardInterrupt), **LINEAR})

    def test_ctrl_c_while_the_best_is_refit(self, compared):
        result = compared(candidates={"only": Failing(KeyboardInterrupt, after=3)})
        assert result.interrupted
        assert not hasattr(result, "best_estimator_")
        assert result.best_name_ == "only"

    @pytest.mark.parametrize("error", [MemoryError, TrainingDivergedError])
    def test_a_refit_that_fails_leaves_what_was_found(self, compared, error, capsys):
        result = compared(candidates={"only": Failing(error, after=3)}, verbose=1)
        reason = f"{error.__name__}: as told"
        assert result.refit_failed == reason
        assert not result.interrupted
        assert result.best_name_ == "only"
        assert f"that failed: {reason}" in capsys.readouterr().err
        said = f"The best could not be fitted on all texts ({reason})."
        assert said in " ".join(str(result).split())
        assert said in render(result)
        with pytest.raises(AttributeError, match=rf"all texts failed \({reason}\).*`code`"):
            _ = result.best_estimator_

    @pytest.mark.parametrize(
        ("budget", "refit", "n_fits"),
        [
            # Three folds of 100 s, and a refit that has half as many texts more.
            (460, True, 4),
            (440, True, 1),
            (350, False, 3),
            (250, False, 1),
        ],
    )
    def test_a_budget_is_kept(self, compared, hours, budget, refit, n_fits):
        """What will not fit is given up after the first fold; what comes after it runs."""
        candidates = {"chance": CHANCE, "long": Long(), "last": CHANCE}
        result = compared(candidates=candidates, budget=budget, refit=refit)
        runs = n_fits > 1
        assert Failing.calls == n_fits
        assert ("long" in result.table.index) == runs
        assert "last" in result.table.index
        if not runs:
            assert result.not_run == {"long": result.not_run["long"]}
            said = "out of time: 1 of 3 folds were done, 1 min 40 s each; "
            assert result.not_run["long"].startswith(said)
        assert result.seconds == 100 * n_fits <= budget

    def test_what_comes_before_the_candidates_is_not_counted(self, compared, hours, monkeypatch):
        def find_duplicates(*args):
            Long.now += 1000
            return duplicates.find_duplicates(*args)

        monkeypatch.setattr(comparing, "find_duplicates", find_duplicates)
        result = compared(candidates={"long": Long()}, budget=460)
        assert result.not_run == {}
        assert result.seconds == 1000 + 400

    def test_time_for_the_refit_of_the_best_so_far_is_kept(self, compared, hours):
        """The second would fit by itself, but then the first, if it stays best, would not."""
        candidates = {"first": Long(), "second": Long(seconds=10, best=False)}
        result = compared(candidates=candidates, budget=455)
        assert "second" in result.not_run
        assert result.seconds == 300 + 10 + 100

    def test_training_stops_when_it_can_not_end_in_time(self, compared, saved_model):
        endless = BertFineTuneClassifier(
            saved_model(), freeze="all", max_epochs=100_000, random_state=0, **SETTINGS
        )
        result = compared(candidates={"words": WORDS, "endless": endless}, budget="20s")
        assert result.not_run["endless"].startswith("out of time: training takes")
        assert endless.callbacks is None

    def test_no_budget_for_anything(self, compared, hours):
        with pytest.raises(ValueError, match=r"None of the 1 candidates.*Raise budget"):
            compared(candidates={"long": Long()}, budget=90)


class TestWhatComesIn:
    def test_too_few_rows_a_class(self, compared):
        y = np.array(["rare", "odd", "odd", *Y[3:]])
        message = r"2 of 4 classes have fewer than 3 texts.*'odd' \(2\), 'rare' \(1\).*lower cv"
        with pytest.raises(ValueError, match=message):
            compared(y=y)

    def test_one_label_a_text(self, compared):
        with pytest.raises(ValueError, match="one label for each text"):
            compared(y=np.zeros((len(TEXTS), 2), dtype=int))

    def test_numbers_are_no_classes(self, compared):
        with pytest.raises(ValueError, match="BertFineTuneRegressor"):
            compared(y=np.arange(len(TEXTS)) // 2)

    def test_folds_that_test_texts_not_once(self, compared):
        with pytest.raises(ValueError, match=r"cv=.*tests? each text exactly once"):
            compared(cv=ShuffleSplit(3, random_state=0))

    def test_folds_that_train_on_what_they_test(self, compared):
        half = np.arange(len(TEXTS)) < 15
        rows = np.arange(len(TEXTS))
        cv = [(rows[half], rows[~half]), (rows[~half | (rows == 3) | (rows == 7)], rows[half])]
        with pytest.raises(ValueError, match=r"cv=.*Fold 1 has 2, the first at position 3\. Take"):
            compared(cv=cv)

    def test_more_folds_than_groups(self, compared):
        # scikit-learn says it from version 1.9 on.
        theirs = "splits n_splits=3 greater than the number of groups: 2"
        with pytest.raises(ValueError, match=f"{theirs}|There are 2 groups, and a fold needs one"):
            compared(cv=3, groups=np.arange(len(TEXTS)) % 2)

    def test_folds_without_texts(self, compared):
        rows = np.arange(len(TEXTS))
        for cv, sizes in (
            ([(rows[:0], rows)], "Fold 0 has 0 and 30"),
            (
                [(rows[:15], rows[15:]), (rows[15:], rows[:15]), (rows, rows[:0])],
                "Fold 2 has 30 and 0",
            ),
        ):
            message = rf"(?s)cv=.*texts to train on and others to test.*{sizes}"
            with pytest.raises(ValueError, match=message):
                compared(cv=cv)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    @pytest.mark.parametrize("named", [False, True])
    def test_groups_that_are_missing(self, missing, named, compared):
        groups = [f"writer {i % 10}" if named else i % 10 for i in range(len(TEXTS))]
        groups[3] = groups[5] = missing
        with pytest.raises(ValueError, match=r"groups has 2 missing value.*position 3.*own"):
            compared(groups=groups)

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ([1, 2, 3], "groups has 3 groups"),
            ([("a", i % 5) for i in range(len(TEXTS))], "groups has shape"),
        ],
    )
    def test_groups_that_are_none(self, groups, message, compared):
        with pytest.raises(ValueError, match=message):
            compared(groups=groups)

    @pytest.mark.parametrize("kinds", [[int], [str], [int, str]])
    @pytest.mark.parametrize("cv", [GroupKFold(5), 5])
    def test_groups_stay_together(self, cv, kinds, compared):
        numbers = np.arange(len(TEXTS)) % 10
        groups = [kinds[number % len(kinds)](number) for number in numbers]
        result = compared(cv=cv, groups=groups)
        for group in range(10):
            assert len(set(result.fold_of[numbers == group])) == 1

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"cv": 1}, "cv=1"),
            ({"scoring": "f1"}, "scoring='f1'"),
            ({"budget": "soon"}, "budget='soon'"),
            ({"refit": 1}, "refit=1"),
            ({"random_state": -1}, "random_state=-1"),
            ({"random_state": "one"}, "random_state='one'"),
            ({"candidates": {}}, "candidates="),
            ({"candidates": {"words": "TF-IDF"}}, "candidates="),
        ],
        ids=str,
    )
    def test_parameters(self, compared, params, message):
        with pytest.raises(ValueError, match=message):
            compared(**params)


def test_refit_can_be_left_out(compared):
    result = compared(refit=False)
    assert not result.interrupted
    assert not hasattr(result, "best_estimator_")


def test_what_is_printed(compared):
    result = compared()
    assert repr(result).startswith("<Comparison of 2 candidates on 30 texts: best is 'words'")
    lines = str(result).splitlines()
    assert lines[0].startswith("30 texts, 2 classes, 3 folds")
    assert [line.split("  ")[0] for line in lines[2:5]] == ["candidate", "words", "chance"]
    assert lines[-1] == "estimator.fit(X, y)"


def test_plot(compared):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    result = compared()
    display = result.plot()
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["words", "chance"]
    drawn = [container[0].get_xydata()[0] for container in display.ax_.containers]
    expected = result.table[["mean_fit_time", "mean_test_f1_macro"]].to_numpy()
    np.testing.assert_allclose(drawn, expected)
    assert display.ax_.get_ylabel() == "Macro F1"
    pyplot.close("all")


def test_the_bundled_sample_with_the_embedded_model():
    """Real weights know more of short reviews than counts of words do."""
    X, y = load_sample_reviews(return_X_y=True)
    candidates = default_candidates(X, random_state=0)
    some = {name: candidates[name] for name in ("TF-IDF of words", "features: mean, last layer")}
    result = compare(X, y, cv=2, candidates=some, random_state=0, budget="10m")
    assert result.best_name_ == "features: mean, last layer"
    assert result.table.loc[result.best_name_, "texts_encoded"] == len(set(X))
    assert result.best_score_ > result.table.loc["TF-IDF of words", "mean_test_f1_macro"] + 0.1
