"""Sentence pairs on MRPC: tell whether the second sentence is a paraphrase of the first.

BertFeaturizer takes 2-tuples and encodes both sentences as one input, or each sentence by itself.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import fetch_mrpc

Pairs = list[tuple[str, str]]


def compare_apart(pairs: Pairs) -> np.ndarray:
    """Encode each sentence by itself, and return how the two vectors differ and agree."""
    featurizer = BertFeaturizer(normalize=True)
    first, second = (
        featurizer.transform(list(sentences)) for sentences in zip(*pairs, strict=True)
    )
    return np.hstack([np.abs(first - second), first * second])


def classifier(features: BertFeaturizer | FunctionTransformer) -> Pipeline:
    """Put a scaled linear classifier on features of pairs."""
    return make_pipeline(features, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="pairs of each part to use (default all)")
    rows = parser.parse_args().rows
    train, test = fetch_mrpc(subset="train"), fetch_mrpc(subset="test")
    X_train, y_train = train.data[:rows], train.target[:rows]
    X_test, y_test = test.data[:rows], test.target[:rows]
    print(f"{len(X_train):,} pairs to fit, {len(X_test):,} to score\n")
    print(f"{'':<34}{'accuracy':>10}{'F1':>8}")
    compared = {
        "always the larger class": DummyClassifier(),
        "both sentences as one input": classifier(BertFeaturizer()),
        "each by itself: |u - v| and u * v": classifier(FunctionTransformer(compare_apart)),
    }
    for name, estimator in compared.items():
        predicted = estimator.fit(X_train, y_train).predict(X_test)
        accuracy, f1 = accuracy_score(y_test, predicted), f1_score(y_test, predicted)
        print(f"{name:<34}{accuracy:>10.3f}{f1:>8.3f}")
    print("\nThe model was trained on single sentences, never on pairs as one input:")
    print("joint features of such a model are weak. Fine-tuning teaches it to read pairs.")


if __name__ == "__main__":
    main()
