"""Jobs in threads and in processes: the same results, and PyTorch's generators as they were."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
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


def test_a_search_in_processes_that_share_a_folder(deep, texts, labels, tmp_path):
    deep.set_params(cache=tmp_path)
    grid = {"freeze": ["all", -1]}
    expected = GridSearchCV(deep, grid, cv=FOLDS).fit(texts, labels)
    with parallel_config("loky", n_jobs=2):
        found = GridSearchCV(deep, grid, cv=FOLDS).fit(texts, labels)
    for split in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[split], expected.cv_results_[split])
    np.testing.assert_array_equal(found.predict_proba(texts), expected.predict_proba(texts))
