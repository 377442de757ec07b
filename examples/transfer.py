"""From one task to another: a model fine-tuned on sentences helps with 100 long reviews.

The first classifier is trained on sentences of SST-2 and saved; the folder is the `model=` of the
second, which has a hundred reviews of IMDB to learn from.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.datasets import fetch_imdb_sample, fetch_sst2
from sklearn_bert.errors import LongTextWarning

ROWS = 2000
LABELLED = 100
TEST_ROWS = 400
MAX_LENGTH = 128


def scores(seed: int, n_rows: int = ROWS) -> dict[str, dict[str, float]]:
    """Classify reviews with the model as it comes and as trained on sentences; return accuracy."""
    # A review's beginning has to do here.
    warnings.simplefilter("ignore", LongTextWarning)
    texts, labels = fetch_imdb_sample(return_X_y=True)
    rest, X_test, y_rest, y_test = train_test_split(
        texts, labels, test_size=TEST_ROWS, stratify=labels, random_state=0
    )
    X, _, y, _ = train_test_split(
        rest, y_rest, train_size=LABELLED, stratify=y_rest, random_state=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        train_on_sentences(n_rows, seed).save_pretrained(folder)
        models = {"as it comes": BertFeaturizer().model, "trained on SST-2": folder}
        return {
            name: {
                when: float(classifier.fit(X, y).score(X_test, y_test))
                for when, model in models.items()
                for classifier in [kind(model, seed)]
            }
            for name, kind in KINDS.items()
        }


def train_on_sentences(n_rows: int, seed: int) -> BertFineTuneClassifier:
    """Fine-tune on sentences of SST-2."""
    sentences, sentiments = fetch_sst2(subset="train", return_X_y=True)
    drawn = np.random.default_rng(seed).permutation(len(sentences))[:n_rows]
    classifier = BertFineTuneClassifier(random_state=seed)
    return classifier.fit([sentences[row] for row in drawn], sentiments[drawn])


def on_features(model: str, seed: int) -> Any:
    """Return a linear classifier of fixed features."""
    featurizer = BertFeaturizer(model, max_length=MAX_LENGTH)
    return make_pipeline(featurizer, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def fine_tuned(model: str, seed: int) -> Any:
    """Return a classifier that trains its two top layers."""
    return BertFineTuneClassifier(
        model, freeze=-2, max_epochs=10, batch_size=16, max_length=MAX_LENGTH, random_state=seed
    )


KINDS = {"features + LogisticRegression": on_features, "BertFineTuneClassifier": fine_tuned}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of SST-2 (default {ROWS:,})")
    print(f"Accuracy on {TEST_ROWS} reviews, {LABELLED} to learn from")
    for name, values in scores(0, parser.parse_args().rows).items():
        print(f"{name:<32}", ", ".join(f"{key}: {value:.3f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
