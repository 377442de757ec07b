"""Jobs in threads and in processes: the same results, and PyTorch's generators as they were."""

import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from skorch.callbacks import Callback

import sklearn_bert

FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)


class InStep(Callback):
    """Has fits in threads take their steps together."""

    def __init__(self, barrier):
        self.barrier = barrier

    def on_batch_begin(self, net, **kwargs):
        self.barrier.wait(timeout=60)


@pytest.fixture
def deep(classifier):
    """A classifier that draws much: first weights of two maps, dropout in encoder and head."""
    return classifier.set_params(freeze=-2, dropout=0.5, hidden_layer_sizes=(8,))


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_fits_that_take_turns_at_every_step_are_as_if_alone(
    gradient_checkpointing, deep, texts, labels
):
    deep.set_params(gradient_checkpointing=gradient_checkpointing)
    seeds = [0, 1]

    def fit(seed, callbacks=None):
        fitted = clone(deep).set_params(random_state=seed, callbacks=callbacks).fit(texts, labels)
        return fitted.predict_proba(texts)

    alone = [fit(seed) for seed in seeds]
    before = torch.get_rng_state()
    barrier = threading.Barrier(len(seeds))
    with ThreadPoolExecutor(len(seeds)) as pool:
        together = list(pool.map(lambda seed: fit(seed, [InStep(barrier)]), seeds))
    np.testing.assert_array_equal(together, alone)
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    assert torch.equal(torch.get_rng_state(), before)


def test_folds_in_threads(deep, texts, labels):
    expected = cross_val_predict(deep, texts, labels, cv=FOLDS, method="predict_proba")
    with parallel_config("threading", n_jobs=2):
        found = cross_val_predict(deep, texts, labels, cv=FOLDS, method="predict_proba")
    np.testing.assert_array_equal(found, expected)


def test_transforms_in_threads_encode_each_text_once(featurizer, texts):
    from sklearn_bert.encoder import work

    expected = featurizer.transform(texts)
    sklearn_bert.cache.clear()
    before = work.counted()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: clone(featurizer).transform(texts), range(8)))
    assert (work.counted() - before).texts == len(texts)
    for vectors in found:
        np.testing.assert_array_equal(vectors, expected)


@pytest.fixture
def hasty():
    """Has threads take turns much more often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(function, arguments):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(function, arguments))


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_one_estimator_predicts_in_threads(freeze, classifier, texts, labels, hasty):
    classifier.set_params(freeze=freeze).fit(texts, labels)

    def predict(text):
        return classifier.predict_proba([text])

    np.testing.assert_array_equal(in_threads(predict, texts * 3), [predict(t) for t in texts] * 3)


@pytest.mark.parametrize("freeze", [-1, "none"])
def test_what_was_unpickled_is_first_used_in_threads(freeze, classifier, texts, labels, hasty):
    classifier.set_params(freeze=freeze, lr=1e-2).fit(texts, labels)
    expected = classifier.predict_proba(texts)
    for _ in range(3):
        loaded = pickle.loads(pickle.dumps(classifier))
        for found in in_threads(lambda _, of=loaded: of.predict_proba(texts), range(4)):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(loaded.predict_proba(texts), expected)


def test_masked_lms_are_fitted_in_threads(masked_lm, texts, hasty):
    expected = cross_val_score(masked_lm, texts, cv=4)
    with parallel_config("threading", n_jobs=4):
        found = cross_val_score(masked_lm, texts, cv=4, error_score="raise")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(cross_val_score(masked_lm, texts, cv=4), expected)


def test_masks_are_filled_in_threads(masked_lm, texts, hasty):
    masked_lm.fit(texts)
    masked = [" ".join(["[MASK]", *text.split()[1:]]) for text in texts]

    def fill(text):
        return masked_lm.fill_mask([text])

    expected = [fill(text) for text in masked]
    assert in_threads(fill, masked) == expected
    loaded = pickle.loads(pickle.dumps(masked_lm))
    assert in_threads(lambda text: loaded.fill_mask([text]), masked) == expected


def test_folders_are_saved_in_threads(classifier, texts, labels, tmp_path, capsys, hasty):
    classifier.set_params(freeze=-1).fit(texts, labels)
    in_threads(lambda i: classifier.save_pretrained(tmp_path / str(i)), range(4))
    expected = classifier.predict_proba(texts)
    for i in range(4):
        loaded = type(classifier).from_pretrained(tmp_path / str(i))
        np.testing.assert_allclose(loaded.predict_proba(texts), expected, atol=1e-6)
    assert capsys.readouterr() == ("", "")


def test_a_search_in_processes_that_share_a_folder(deep, texts, labels, tmp_path):
    deep.set_params(cache=tmp_path)
    grid = {"freeze": ["all", -1]}
    expected = GridSearchCV(deep, grid, cv=FOLDS).fit(texts, labels)
    with parallel_config("loky", n_jobs=2):
        found = GridSearchCV(deep, grid, cv=FOLDS).fit(texts, labels)
    for split in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[split], expected.cv_results_[split])
    np.testing.assert_array_equal(found.predict_proba(texts), expected.predict_proba(texts))
