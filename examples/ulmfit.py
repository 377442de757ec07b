"""ULMFiT's methods (arXiv 1801.06146) on few rows: unfreeze from the top, lower layers slower.

What trains in each epoch, and what each method of the paper brings, on sentences of SST-2.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.datasets import fetch_sst2

ROWS = 300
# The model has six layers: the eighth epoch is the first in which all of it trains.
EPOCHS = 8
ULMFIT: dict[str, Any] = {
    "layer_lr_decay": 1 / 2.6,
    "lr_schedule": "slanted_triangular",
    "warmup": 0.1,
    "gradual_unfreezing": True,
    "pooling": ["last", "max", "mean"],
}


def fitted(parameters: dict[str, Any], n_rows: int, seed: int) -> BertFineTuneClassifier:
    """Train on rows that the seed draws."""
    texts, labels = fetch_sst2(subset="train", return_X_y=True)
    drawn = np.random.default_rng(seed).permutation(len(texts))[:n_rows]
    classifier = BertFineTuneClassifier(max_epochs=EPOCHS, random_state=seed, **parameters)
    return classifier.fit([texts[row] for row in drawn], labels[drawn])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"default {ROWS:,}")
    n_rows = parser.parse_args().rows
    test = fetch_sst2(subset="test")
    for name, parameters in {"ULMFiT's methods": ULMFIT, "the defaults": {}}.items():
        classifier = fitted(parameters, n_rows, seed=0)
        accuracy = classifier.score(test.data[:n_rows], test.target[:n_rows])
        print(f"{name}: accuracy {accuracy:.3f} on test rows")
        for row in classifier.history_:
            print(
                f"  epoch {row['epoch']}: {row['n_trainable_parameters']:>12,} parameters train, "
                f"loss {row['train_loss']:.3f}, {row['seconds']:.1f} s"
            )


if __name__ == "__main__":
    main()
