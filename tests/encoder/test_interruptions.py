"""A pass that is ended between two batches keeps what it computed."""

import threading

import numpy as np
import pytest
import torch

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.frozen import FrozenEncoder
from sklearn_bert.encoder.interruptions import before_batch, check_before_batches
from sklearn_bert.store.memory import MemoryStore
from tests.models import TEXTS

MANY = [f"{text} {number}" for number in range(12) for text in TEXTS]
SETTINGS = {"device": "cpu", "precision": "float32", "batch_tokens": 64}


class Enough(Exception):
    """The check wants no more batches."""


def after(n_batches):
    """Return a check that lets so many batches run."""
    asked = []

    def check():
        asked.append(1)
        if len(asked) > n_batches:
            raise Enough

    return check


def batches_of(do):
    """Do something, and return how many batches that took."""
    before = work.counted()
    do()
    return (work.counted() - before).batches


def ended(check, do):
    with pytest.raises(Enough), check_before_batches(check):
        do()


def test_features_are_kept(saved_model):
    uncached = BertFeaturizer(saved_model(), cache=None, **SETTINGS)
    n_batches = batches_of(lambda: uncached.transform(MANY))
    featurizer = BertFeaturizer(saved_model(), **SETTINGS)
    assert batches_of(lambda: ended(after(3), lambda: featurizer.transform(MANY))) == 3 < n_batches
    vectors = []
    assert batches_of(lambda: vectors.append(featurizer.transform(MANY))) <= n_batches - 2
    np.testing.assert_allclose(vectors[0], uncached.transform(MANY), atol=2e-5)


def test_states_are_kept(saved_model):
    checkpoint = load_checkpoint(saved_model(), None, torch.device("cpu"), "float32")
    encoder = FrozenEncoder(checkpoint, MemoryStore(2**24), 48, "truncate", 64, for_tuning=True)
    assert batches_of(lambda: ended(after(3), lambda: encoder.keep_states(MANY, 2))) == 3
    kept = encoder.kept_states().has(encoder.keys().of_texts(MANY), 2)
    assert 0 < kept.sum() < len(MANY)
    rest = [text for text, is_kept in zip(MANY, kept, strict=True) if not is_kept]
    before = work.counted()
    encoder.keep_states(MANY, 2)
    assert (work.counted() - before).texts == len(rest)


def test_it_is_asked_before_each_batch_of_one_thread_alone(saved_model):
    featurizer = BertFeaturizer(saved_model(), cache=None, **SETTINGS)
    asked = []
    with check_before_batches(lambda: asked.append(threading.current_thread())):
        n_batches = batches_of(lambda: featurizer.transform(MANY))
        other = threading.Thread(target=before_batch)
        other.start()
        other.join()
    assert asked == [threading.current_thread()] * n_batches
    featurizer.transform(MANY)
    assert len(asked) == n_batches


def test_one_within_another_holds_until_it_ends():
    asked = []
    with check_before_batches(lambda: asked.append("outer")):
        with pytest.raises(Enough), check_before_batches(after(0)):
            before_batch()
        before_batch()
    before_batch()
    assert asked == ["outer"]
