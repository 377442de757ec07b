"""Sentence pairs on MRPC: tell whether the second sentence is a paraphrase of the first.

BertFeaturizer takes 2-tuples and encodes both sentences as one input, or each sentence by itself;
BertFineTuneClassifier learns to read them together.
"""

from __future__ import annotations

import argparse
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.datasets import fetch_mrpc


def on_features(pairs: str) -> Pipeline:
    """Put a scaled linear classifier on features of pairs, read together or apart."""
    featurizer = BertFeaturizer(pairs=pairs, normalize=pairs == "separate")
    return make_pipeline(featurizer, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="pairs of each part to use (default all)")
    parser.add_argument(
        "--tuned-rows", type=int, default=1500, help="pairs to fine-tune on (default 1,500)"
    )
    options = parser.parse_args()
    train, test = fetch_mrpc(subset="train"), fetch_mrpc(subset="test")
    X_test, y_test = test.data[: options.rows], test.target[: options.rows]
    tuned_rows = min(options.tuned_rows, options.rows or options.tuned_rows)
    compared: dict[str, tuple[Any, int | None]] = {
        "always the larger class": (DummyClassifier(), options.rows),
        "features of both as one input": (on_features("joint"), options.rows),
        "features of each: [u, v, |u - v|, u * v]": (on_features("separate"), options.rows),
        "fine-tuned": (BertFineTuneClassifier(random_state=0), tuned_rows),
    }
    print(f"{'':<42}{'pairs':>8}{'accuracy':>10}{'F1':>8}")
    for name, (estimator, n_rows) in compared.items():
        X, y = train.data[:n_rows], train.target[:n_rows]
        predicted = estimator.fit(X, y).predict(X_test)
        accuracy, f1 = accuracy_score(y_test, predicted), f1_score(y_test, predicted)
        print(f"{name:<42}{len(X):>8,}{accuracy:>10.3f}{f1:>8.3f}")
    print("\nThe model was trained on single sentences, never on pairs as one input:")
    print("joint features of such a model are weak. Fine-tuning teaches it to read pairs.")


if __name__ == "__main__":
    main()
