"""A set of labels for each text: which of three feelings are in two remarks read as one.

Remarks of emotion are glued together by twos, so that a text may have one feeling or two. The
classifier that is fine-tuned is beside one classifier a label, on TF-IDF and on fixed features.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer, StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.datasets import fetch_emotion

ROWS = 1000


def data(n_rows: int, seed: int) -> tuple[list[str], Any, list[str], Any]:
    """Glue remarks together; those of the test rows are in no row to train on."""
    texts, emotions = fetch_emotion(return_X_y=True)
    parts = train_test_split(texts, emotions, test_size=0.3, stratify=emotions, random_state=2024)
    train, test, y, y_test = parts
    return *glued(train, y, n_rows, seed), *glued(test, y_test, n_rows, 0)


def glued(texts: list[str], labels: Any, n_rows: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return two remarks at a time as one text, with an indicator column for each label."""
    rows = np.random.default_rng(seed).integers(len(texts), size=(n_rows, 2))
    sets = MultiLabelBinarizer(classes=sorted(set(labels)))
    both = [f"{texts[first]}. {texts[second]}" for first, second in rows]
    return both, sets.fit_transform([{labels[first], labels[second]} for first, second in rows])


def scores(seed: int, n_rows: int = ROWS) -> dict[str, dict[str, float]]:
    """Fit each classifier, and return its scores on test rows."""
    X, y, X_test, y_test = data(n_rows, seed)
    linear = OneVsRestClassifier(LogisticRegression(C=0.1, max_iter=1000))
    sparse = OneVsRestClassifier(LogisticRegression(C=10, max_iter=1000))
    classifiers = {
        "TF-IDF + OneVsRestClassifier": make_pipeline(TfidfVectorizer(), sparse),
        "features + OneVsRestClassifier": make_pipeline(BertFeaturizer(), StandardScaler(), linear),
        "BertFineTuneClassifier": BertFineTuneClassifier(max_epochs=5, random_state=seed),
    }
    found = {}
    for name, classifier in classifiers.items():
        predicted = classifier.fit(X, y).predict(X_test)
        found[name] = {
            "macro F1": float(f1_score(y_test, predicted, average="macro")),
            "whole sets right": float(accuracy_score(y_test, predicted)),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"default {ROWS:,}")
    for name, values in scores(0, parser.parse_args().rows).items():
        print(f"{name:<32}", ", ".join(f"{key}: {value:.3f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
