"""Compare TF-IDF with fixed BERT features, by cross-validation on the bundled sample reviews.

The model comes with the package, so nothing is downloaded.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, cache
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder import work


def pipelines() -> dict[str, Pipeline]:
    """Return what is compared, by name."""
    compared = {"TF-IDF": make_pipeline(TfidfVectorizer(), LogisticRegression())}
    for pooling in ("cls", "mean", "max"):
        compared[f"BertFeaturizer, {pooling}"] = make_pipeline(
            BertFeaturizer(pooling=pooling),
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=1000),
        )
    return compared


def cross_validate(pipeline: Pipeline, texts: list[str], labels: Any) -> tuple[np.ndarray, float]:
    """Return the accuracy of each of five folds, and the seconds that all took."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    start = time.perf_counter()
    scores = cross_val_score(pipeline, texts, labels, cv=folds)
    return scores, time.perf_counter() - start


def main() -> None:
    texts, labels = load_sample_reviews(return_X_y=True)
    featurizer = BertFeaturizer().fit(texts[:1])  # loads the model, so that no row pays for it
    print(f"{len(texts)} reviews, {len(set(labels))} classes, 5-fold cross-validation\n")
    print(f"{'features, + LogisticRegression':<32}{'accuracy':>16}{'seconds':>10}")
    print("-" * 58)
    for name, pipeline in pipelines().items():
        scores, seconds = cross_validate(pipeline, texts, labels)
        accuracy = f"{scores.mean():.3f} ± {scores.std():.3f}"
        print(f"{name:<32}{accuracy:>16}{seconds:>10.2f}")
    kept = cache.info()
    encoded = work.counted().texts
    print(f"\nModel: {featurizer.model}, computed in {featurizer.precision_}.")
    print(
        f"{encoded} texts went through the encoder, of {len(set(texts))} distinct ones: each once,"
    )
    print(
        f"in the first BertFeaturizer row. The other rows found {kept.hits:,} vectors in the cache."
    )


if __name__ == "__main__":
    main()
