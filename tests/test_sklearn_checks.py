"""scikit-learn's own checks, in full, on every public estimator; and what tags say of texts.

scikit-learn leaves estimators of texts out, so the checks that need data run on adapters that turn
rows of numbers into texts. None is expected to fail, and none may skip.
"""

import re
from inspect import cleandoc

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils._testing import SkipTest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import sklearn_bert
from tests.text_adapters import ADAPTERS, SETTINGS, SINGLE_TEXTS, save_model

TEXTS = ["c0l1 c1l1", "c0l9 c1l9", "c0l2 c1l2", "c0l8 c1l8"]
Y = [0, 1, 0, 1]
WITHOUT_DATA = [
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]


@pytest.fixture(scope="session")
def model_of_rows(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model-of-rows"))


@pytest.fixture(params=SETTINGS, ids=lambda estimator: estimator.__name__)
def estimator(request, model_of_rows):
    """Each estimator itself, which takes texts."""
    return request.param(model_of_rows, **SETTINGS[request.param])


@parametrize_with_checks([ADAPTERS[estimator](**SETTINGS[estimator]) for estimator in SETTINGS])
def test_scikit_learns_check(estimator, check, model_of_rows, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    try:
        check(estimator.set_params(model=model_of_rows))
    except SkipTest as skipped:
        pytest.fail(f"skipped: {skipped}")


def test_every_public_estimator_is_checked():
    public = {getattr(sklearn_bert, name) for name in sklearn_bert.__all__}
    assert {thing for thing in public if hasattr(thing, "fit")} == set(SETTINGS)


@pytest.mark.parametrize("check", WITHOUT_DATA)
def test_checks_without_data_pass_on_the_estimator_itself(check, estimator):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


def test_scikit_learn_knows_that_it_has_no_texts_to_check_with(estimator):
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(estimator)
    assert [result["status"] for result in results] == ["passed"]


def test_the_docstring_has_every_parameter_in_order(estimator):
    doc = cleandoc(type(estimator).__doc__).replace("\\\n", "")
    section = re.search(r"^Parameters\n-+\n(.*?)\n\n", doc, re.S | re.M)[1]
    described = [line for line in section.splitlines() if not line.startswith(" ")]
    names = [name for line in described for name in line.split(" :")[0].split(", ")]
    assert names == list(type(estimator).__init__.__code__.co_varnames[1 : 1 + len(names)])
    assert set(names) == set(estimator.get_params())


class TestTags:
    def test_strings_in_one_dimension(self, estimator):
        tags = get_tags(estimator).input_tags
        assert tags.string
        assert tags.one_d_array
        for X in (TEXTS, np.array(TEXTS), np.array(TEXTS, dtype=object)):
            assert clone(estimator).fit(X, Y) is not None

    def test_two_dimensions_are_pairs_and_no_matrix_of_numbers(self, estimator):
        assert not get_tags(estimator).input_tags.two_d_array
        pairs = np.array([TEXTS, TEXTS[::-1]]).T
        if type(estimator) in SINGLE_TEXTS:
            with pytest.raises(ValueError, match="X has text pairs"):
                estimator.fit(pairs, Y)
        else:
            assert clone(estimator).fit(pairs, Y) is not None
        with pytest.raises(TypeError, match="not of strings"):
            estimator.fit(np.zeros((4, 2)), Y)

    def test_nothing_sparse_and_nothing_missing(self, estimator):
        tags = get_tags(estimator).input_tags
        assert not tags.sparse
        assert not tags.allow_nan
        with pytest.raises(TypeError, match="X is a csr_array"):
            estimator.fit(sparse.csr_array(np.eye(4)), Y)
        with pytest.raises(ValueError, match="1 missing value"):
            estimator.fit([*TEXTS[:3], None], Y)

    def test_whether_a_fit_is_needed(self, estimator):
        methods = ("predict", "transform", "score")
        method = next(name for name in methods if hasattr(estimator, name))
        if get_tags(estimator).requires_fit:
            with pytest.raises(NotFittedError):
                getattr(estimator, method)(TEXTS)
        else:
            assert len(getattr(estimator, method)(TEXTS)) == len(TEXTS)

    def test_which_targets(self, estimator):
        tags = get_tags(estimator).target_tags
        if tags.required:
            with pytest.raises(ValueError, match="target y is None"):
                estimator.fit(TEXTS, None)
            columns = np.array([Y, Y[::-1]]).T
            assert tags.multi_output == (estimator.fit(TEXTS, columns).predict(TEXTS).ndim == 2)
        else:
            assert clone(estimator).fit(TEXTS) is not None

    def test_the_dtype_is_no_matter_of_the_input(self, estimator):
        tags = get_tags(estimator).transformer_tags
        if tags is not None:
            assert tags.preserves_dtype == []
            assert estimator.transform(TEXTS).dtype == np.float32
