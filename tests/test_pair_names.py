"""The columns of pairs: the other way round is an error, where they have names."""

import copy
import pickle

import numpy as np
import pytest

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor
from sklearn_bert.pair_names import check_pair_names, pair_names
from sklearn_bert.validation import check_texts

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

COLUMNS = {
    "question": ["is it open", "where is it", "is it far", "who are you"],
    "answer": ["until nine", "behind the church", "ten minutes", "a friend"],
}
TABLE = pd.DataFrame(COLUMNS)
TURNED = TABLE[["answer", "question"]]
Y = [0, 1, 0, 1]
TABLES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


@pytest.fixture(params=[BertFeaturizer, BertFineTuneClassifier, BertFineTuneRegressor])
def fitted(request, saved_model):
    """Make an estimator of each kind, fitted on what it is called with."""

    def fit(X):
        if request.param is BertFeaturizer:
            return BertFeaturizer(saved_model("bert"), cache=None).fit(X)
        estimator = request.param(
            saved_model("bert"), freeze="all", max_epochs=1, random_state=0, cache=None
        )
        return estimator.fit(X, Y)

    return fit


def results(estimator, X):
    return estimator.transform(X) if isinstance(estimator, BertFeaturizer) else estimator.predict(X)


def names_of(X):
    return pair_names(X, check_texts(X))


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_names(table):
    assert names_of(TABLES[table](COLUMNS)).tolist() == ["question", "answer"]


@pytest.mark.parametrize(
    "X",
    [
        TABLE.to_numpy(),
        list(TABLE.itertuples(index=False, name=None)),
        pd.DataFrame(TABLE.to_numpy()),
        TABLE.set_axis(["question", 1], axis=1),
        TABLE.set_axis(pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]), axis=1),
        TABLE[["question"]],
        TABLE["question"],
    ],
)
def test_what_has_no_names_of_two_columns(X):
    assert names_of(X) is None
    check_pair_names(np.array(["answer", "question"], dtype=object), X, check_texts(X))


@pytest.mark.parametrize("table", TABLES)
def test_the_other_way_round_is_an_error(table, fitted):
    estimator = fitted(TABLE)
    assert estimator.feature_names_in_.tolist() == ["question", "answer"]
    turned = TABLES[table](TURNED.to_dict("list"))
    with pytest.raises(ValueError, match=r"\['answer', 'question'\].*Pass X\[\['question', 'a"):
        results(estimator, turned)


def test_other_names_are_an_error(fitted):
    with pytest.raises(ValueError, match=r"columns \['question', 'reply'\].*Rename"):
        results(fitted(TABLE), TABLE.rename(columns={"answer": "reply"}))


def test_the_same_columns_in_any_table_or_without_names_give_the_same(fitted):
    estimator = fitted(TABLE)
    expected = results(estimator, TABLE.to_numpy())
    for table in TABLES.values():
        np.testing.assert_array_equal(results(estimator, table(COLUMNS)), expected)


def test_without_names_in_fit_any_are_taken(fitted):
    estimator = fitted(TABLE.to_numpy())
    assert not hasattr(estimator, "feature_names_in_")
    np.testing.assert_array_equal(results(estimator, TURNED), results(estimator, TURNED.to_numpy()))


def test_a_refit_forgets_the_names_of_the_fit_before(fitted):
    estimator = fitted(TABLE)
    args = () if isinstance(estimator, BertFeaturizer) else (Y,)
    estimator.fit(TURNED, *args)
    assert estimator.feature_names_in_.tolist() == ["answer", "question"]
    estimator.fit(TABLE["question"], *args)
    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize("named", [True, False])
def test_copies_know_the_names(named, fitted, tmp_path):
    estimator = fitted(TABLE if named else TABLE.to_numpy())
    estimator.save_pretrained(tmp_path)
    loaded = type(estimator).from_pretrained(tmp_path)
    for copied in (loaded, pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        assert hasattr(copied, "feature_names_in_") is named
        if named:
            with pytest.raises(ValueError, match="in this order"):
                results(copied, TURNED)


@pytest.mark.parametrize("kind", [BertFineTuneClassifier, BertFineTuneRegressor])
def test_validation_data_has_the_names_of_the_training_data(kind, saved_model):
    estimator = kind(saved_model("bert"), freeze="all", max_epochs=1)
    with pytest.raises(ValueError, match=r"X_val has text pairs in the columns.*X_val\[\["):
        estimator.fit(TABLE, Y, X_val=TURNED, y_val=Y)
    assert not hasattr(estimator, "net_")


def test_a_featurizer_that_was_never_fitted_takes_any(saved_model):
    assert BertFeaturizer(saved_model("bert")).transform(TURNED).shape[0] == len(TURNED)
