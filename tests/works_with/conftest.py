"""Texts, labels and quick exact estimators for what is composed with scikit-learn."""

import numpy as np
import pytest

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertMaskedLM

GOOD = ["the film is good", "a good story", "very good", "wonderful film", "good, very wonderful"]
BAD = ["the film is bad", "a dull story", "very bad", "dull film", "bad, very dull was it"]


@pytest.fixture(scope="session")
def texts():
    return [f"{text} {number}" for number in range(4) for text in GOOD + BAD]


@pytest.fixture(scope="session")
def labels(texts):
    return np.array(["up" if text[:-2] in GOOD else "down" for text in texts])


@pytest.fixture
def featurizer(saved_model):
    return BertFeaturizer(saved_model("bert"), precision="float32", device="cpu")


@pytest.fixture
def classifier(saved_model):
    """A head on kept vectors, trained for two short epochs."""
    return BertFineTuneClassifier(
        saved_model("bert"),
        freeze="all",
        head_lr=0.01,
        max_epochs=2,
        batch_size=8,
        precision="float32",
        device="cpu",
        random_state=0,
    )


@pytest.fixture
def masked_lm(saved_model):
    """A masked language model, trained for a short epoch."""
    return BertMaskedLM(
        saved_model("bert"),
        chunk_length=16,
        max_epochs=1,
        batch_size=8,
        precision="float32",
        device="cpu",
        random_state=0,
    )
