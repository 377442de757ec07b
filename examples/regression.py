"""Numbers instead of labels: how positive a sentence is, and how long, from one encoder.

BertFineTuneRegressor trains on two outputs of different units at once, beside ridge regression on
TF-IDF and on fixed features.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneRegressor
from sklearn_bert.datasets import fetch_sst2

OUTPUTS = ["positive, from 0 to 1", "number of words"]
ROWS = 1000


def data(n_rows: int, seed: int) -> tuple[list[str], Any, list[str], Any]:
    """Draw rows to train on; the test set is always the same."""
    train, test = fetch_sst2(subset="train"), fetch_sst2(subset="test")
    drawn = np.random.default_rng(seed).permutation(len(train.data))[:n_rows]
    X = [train.data[row] for row in drawn]
    X_test = list(test.data)[:n_rows]
    return X, targets(X, train.target[drawn]), X_test, targets(X_test, test.target[:n_rows])


def targets(texts: list[str], positive: Any) -> np.ndarray:
    """Return a column for each output."""
    return np.column_stack([positive, [len(text.split()) for text in texts]]).astype(float)


def scores(seed: int, n_rows: int = ROWS) -> dict[str, dict[str, float]]:
    """Fit each regressor, and return R² on test rows for each output."""
    X, y, X_test, y_test = data(n_rows, seed)
    alphas = np.logspace(-1, 4, 6)
    regressors = {
        "TF-IDF + RidgeCV": make_pipeline(TfidfVectorizer(), RidgeCV(alphas)),
        "features + RidgeCV": make_pipeline(BertFeaturizer(), StandardScaler(), RidgeCV(alphas)),
        "BertFineTuneRegressor": BertFineTuneRegressor(random_state=seed),
    }
    found = {}
    for name, regressor in regressors.items():
        predicted = regressor.fit(X, y).predict(X_test)
        values = r2_score(y_test, predicted, multioutput="raw_values")
        found[name] = dict(zip((f"R² {output}" for output in OUTPUTS), values, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"default {ROWS:,}")
    for name, values in scores(0, parser.parse_args().rows).items():
        print(f"{name:<24}", ", ".join(f"{key}: {value:.3f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
