import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - for that search
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from sklearn_bert.search_results import SearchResults
from tests.models import TEXTS

Y = np.array([0, 1] * 5)


def searched(steps, grid, **params):
    return GridSearchCV(Pipeline(steps), grid, cv=2, refit=False, **params).fit(TEXTS, Y)


def words_and(classifier, **params):
    return [("words", CountVectorizer(**params)), ("clf", classifier)]


def test_scores_deviations_and_seconds_are_those_of_the_metric():
    metrics = ["accuracy", "neg_log_loss"]
    steps = words_and(LogisticRegression())
    search = searched(steps, {"clf__C": [1, 10]}, scoring=metrics)
    results = SearchResults.of(search, "neg_log_loss")
    found = search.cv_results_
    np.testing.assert_array_equal(results.scores, found["mean_test_neg_log_loss"])
    np.testing.assert_array_equal(results.deviations, found["std_test_neg_log_loss"])
    np.testing.assert_array_equal(results.seconds, found["mean_fit_time"])
    with pytest.raises(ValueError, match=r"metric='score' can't be used. Accepted: 'accuracy'"):
        SearchResults.of(search, "score")


def test_not_fitted():
    with pytest.raises(NotFittedError):
        SearchResults.of(GridSearchCV(LogisticRegression(), {}), "score")


def test_names_have_the_prefix_of_the_step_that_varied():
    search = searched(words_and(LogisticRegression()), {"clf__C": [1, 10]})
    results = SearchResults.of(search, "score")
    assert results.names("C") == ["clf__C"]
    assert results.names("C", "penalty") == ["clf__C", "clf__penalty"]
    with pytest.raises(ValueError, match=r"varied \['clf__C'\], of which 0 end with 'penalty'"):
        results.names("penalty")


def test_of_two_steps_alike_it_is_the_one_that_varied():
    both = FeatureUnion([("a", CountVectorizer(min_df=2)), ("b", TfidfVectorizer())])
    steps = [("words", both), ("clf", LogisticRegression())]
    results = SearchResults.of(searched(steps, {"words__a__max_df": [8, 9]}), "score")
    names = results.names("max_df", "min_df")
    assert names == ["words__a__max_df", "words__a__min_df"]
    assert [results.values(name) for name in names] == [[8, 9], [2, 2]]


def test_where_both_varied_neither_is_taken():
    both = FeatureUnion([("a", CountVectorizer()), ("b", TfidfVectorizer())])
    steps = [("words", both), ("clf", LogisticRegression())]
    grid = {"words__a__max_df": [9], "words__b__max_df": [9]}
    with pytest.raises(ValueError, match="of which 2 end with 'max_df'"):
        SearchResults.of(searched(steps, grid), "score").names("max_df")


def test_values_are_set_or_of_the_step_that_was_set_or_the_own():
    grid = [
        {"words": [CountVectorizer(max_df=7)], "words__min_df": [1, 2]},
        {"words__max_df": [8]},
        {"clf__C": [1]},
        {"words": [make_pipeline(CountVectorizer())]},
    ]
    results = SearchResults.of(searched(words_and(LogisticRegression(), max_df=9), grid), "score")
    assert results.values("words__max_df") == [7, 7, 8, 9, None]


def test_lists_become_tuples_which_can_be_keys():
    grid = {"words__ngram_range": [(1, 1)], "words__stop_words": [["the"], ["a", "an"]]}
    results = SearchResults.of(searched(words_and(LogisticRegression()), grid), "score")
    assert results.values("words__stop_words") == [("the",), ("a", "an")]


def test_numbers_of_numpy_become_pythons_which_can_stand_beside_tuples():
    grid = {"words__ngram_range": [(np.int64(1), 2)], "clf__C": [*np.arange(1, 3), 0.5]}
    results = SearchResults.of(searched(words_and(LogisticRegression()), grid), "score")
    found = results.values("clf__C") + results.values("words__ngram_range")
    assert found == [1, 2, 0.5, *3 * [(1, 2)]]
    assert not any(isinstance(value, np.generic) for value in [*found[:3], *found[3]])


def test_a_name_that_no_candidate_has():
    results = SearchResults.of(searched(words_and(LogisticRegression()), {"clf__C": [1]}), "score")
    with pytest.raises(ValueError, match="No candidate of the search has 'clf__pooling'"):
        results.values("clf__pooling")


def test_the_best_row_of_each_key_and_a_fit_that_failed_is_worst():
    search = GridSearchCV(LogisticRegression(), {"C": [1, -1, 1e-9]}, cv=2, refit=False)
    X = np.linspace(-1, 1, 10)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, X.ravel() > 0)
    results = SearchResults.of(search, "score")
    assert np.isnan(results.scores[1])
    assert results.best_by(["a", "a", "b"]) == {"a": 0, "b": 2}
    assert results.best_by(["a", "b", "b"]) == {"a": 0, "b": 2}
    assert results.best_by([None, "b", None]) == {"b": 1}


def test_of_a_search_by_halving_the_last_round_counts():
    own, params = {}, [{"C": 1}, {"C": 2}, {"C": 2}]
    scores, zeros = np.array([0.9, 0.8, 0.6]), np.zeros(3)
    results = SearchResults(own, params, scores, zeros, zeros, rounds=np.array([0, 0, 1]))
    assert results.best_by(["a", "b", "b"]) == {"a": 0, "b": 2}
    # A later round has more data, and lower scores may be the truer ones.
    assert results.best_by(["a", "a", "a"]) == {"a": 2}
    failed = replace(results, scores=np.array([0.9, 0.8, np.nan]))
    assert failed.best_by(["a", "b", "b"]) == {"a": 0, "b": 1}


def test_the_rounds_are_those_of_the_search():
    search = HalvingGridSearchCV(
        LogisticRegression(), {"C": [1, 2, 3]}, cv=2, min_resources=8, factor=2, random_state=0
    )
    X = np.linspace(-1, 1, 32)[:, None]
    results = SearchResults.of(search.fit(X, X.ravel() > 0), "score")
    assert results.rounds.tolist() == search.cv_results_["iter"].tolist()
    assert max(results.rounds) > 0
    grid = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(X, X.ravel() > 0)
    assert not SearchResults.of(grid, "score").rounds.any()
