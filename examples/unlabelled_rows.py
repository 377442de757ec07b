"""What rows without labels are worth: 100 labelled rows of emotion, and thousands without.

Two ways to use them: BertMaskedLM first, which teaches the encoder the language of such texts,
and SelfTrainingClassifier over features, which labels by itself what it is sure of. Both are
beside what the labelled rows bring alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertMaskedLM
from sklearn_bert.datasets import fetch_emotion

Texts = list[str]
# From a model's name or folder, labelled texts, labels and texts without, to a fitted classifier.
Recipe = Callable[[Any, Texts, Any, Texts, int], Any]
# scikit-learn's mark of a row without a label.
UNLABELLED = -1


def on_features(model: Any) -> Any:
    """Return a linear classifier on fixed features."""
    linear = LogisticRegression(C=0.01, max_iter=1000)
    return make_pipeline(BertFeaturizer(model), StandardScaler(), linear)


def features(model: Any, texts: Texts, y: Any, unlabelled: Texts, seed: int) -> Any:
    """Use the labelled rows alone."""
    return on_features(model).fit(texts, y)


def self_training(model: Any, texts: Texts, y: Any, unlabelled: Texts, seed: int) -> Any:
    """Label what the classifier is sure of, and train again."""
    bert, scaler, linear = (step for _, step in on_features(model).steps)
    own = SelfTrainingClassifier(make_pipeline(scaler, linear), threshold=0.8)
    labels = np.concatenate([y, np.full(len(unlabelled), UNLABELLED)])
    return make_pipeline(bert, own).fit([*texts, *unlabelled], labels)


def fine_tuning(model: Any, texts: Texts, y: Any, unlabelled: Texts, seed: int) -> Any:
    """Fine-tune the whole encoder on the labelled rows."""
    return BertFineTuneClassifier(model, max_epochs=10, batch_size=16, random_state=seed).fit(
        texts, y
    )


RECIPES: dict[str, Recipe] = {
    "features + LogisticRegression": features,
    "features + SelfTrainingClassifier": self_training,
    "BertFineTuneClassifier": fine_tuning,
}


def pretrain(texts: Texts, folder: Path, epochs: int) -> None:
    """Go on with the pretraining of the default model on these texts, and save it."""
    start = time.perf_counter()
    language = BertMaskedLM(chunk_length=128, max_epochs=epochs, random_state=0)
    held_out = texts[: len(texts) // 20]
    language.fit(texts[len(held_out) :], X_val=held_out).save_pretrained(folder)
    first, last = (np.exp(language.history_[row]["valid_loss"]) for row in (0, -1))
    seconds = time.perf_counter() - start
    print(
        f"BertMaskedLM on {len(texts):,} texts, {epochs} epochs: {seconds:.0f} s, perplexity "
        f"on held-out ones from {first:,.0f} to {last:,.0f}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=int, default=100, help="labelled rows (default 100)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labelled rows (default 3)")
    parser.add_argument("--epochs", type=int, default=3, help="of BertMaskedLM (default 3)")
    options = parser.parse_args()
    texts, emotions = fetch_emotion(return_X_y=True)
    labels = np.unique(emotions, return_inverse=True)[1]
    X, X_test, y, y_test = train_test_split(
        texts, labels, test_size=0.3, stratify=labels, random_state=2024
    )
    with tempfile.TemporaryDirectory() as folder:
        pretrain(X, Path(folder), options.epochs)
        models = {"as it comes": BertFeaturizer().model, "after BertMaskedLM": folder}
        print(f"{'macro F1 on test rows':<36}" + "".join(f"{name:>22}" for name in models))
        for name, recipe in RECIPES.items():
            cells = []
            for model in models.values():
                scores = []
                for seed in range(options.seeds):
                    some, rest, y_some, _ = train_test_split(
                        X, y, train_size=options.labelled, stratify=y, random_state=seed
                    )
                    fitted = recipe(model, some, y_some, rest, seed)
                    scores.append(f1_score(y_test, fitted.predict(X_test), average="macro"))
                cells.append(f"{np.mean(scores):.3f} ± {np.std(scores):.3f}")
            print(f"{name:<36}" + "".join(f"{cell:>22}" for cell in cells))
    print(
        f"\n{options.labelled} labelled rows, {len(X) - options.labelled:,} without labels, "
        f"{len(X_test):,} to test; mean ± standard deviation over {options.seeds} draws."
    )


if __name__ == "__main__":
    main()
