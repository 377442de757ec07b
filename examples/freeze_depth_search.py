"""How much of BERT to train: a grid search over `freeze`, beside fixed features, on SST-2.

Hooks on the layers of the shared, frozen encoder count the texts that pass: however many folds,
candidates and epochs there are, no text passes a frozen layer twice.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from torch import nn

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier
from sklearn_bert.datasets import fetch_sst2, load_sample_reviews
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.execution import resolve_device, resolve_precision

FOLDS = StratifiedKFold(3)


class PassCounter:
    """Counts the texts that pass each layer of the encoder that estimators share.

    Layers that are trained are copies, and not counted.

    Attributes
    ----------
    texts : list of int
        How many texts each layer has seen, the lowest first.
    """

    def __init__(self, model: str) -> None:
        device = resolve_device("auto")
        # Held, so that estimators find this copy and load no other.
        self.checkpoint = load_checkpoint(model, None, device, resolve_precision("auto", device))
        self.texts = [0] * self.checkpoint.n_layers
        for number, layer in enumerate(self.checkpoint.lower.model.encoder.layer):
            layer.register_forward_hook(self._counting(number))

    def _counting(self, number: int) -> Any:
        def count(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            states = output[0] if isinstance(output, tuple) else output
            self.texts[number] += len(states)

        return count


def load_texts(n_texts: int) -> tuple[list[str], Any]:
    """Return SST-2's first rows, or the bundled sample where the corpus is not at hand."""
    try:
        texts, labels = fetch_sst2(download_if_missing=False, return_X_y=True)
    except OSError:
        print("SST-2 is not on this machine; fetch_sst2() gets it. Using the bundled sample.\n")
        texts, labels = load_sample_reviews(return_X_y=True)
    return texts[:n_texts], labels[:n_texts]


def print_table(title: str, rows: dict[str, tuple[list[float], float]]) -> None:
    """Print the accuracy of each fold and the seconds of a fit, by name."""
    n_folds = FOLDS.get_n_splits()
    folds = "".join(f"{f'fold {fold + 1}':>9}" for fold in range(n_folds))
    print(f"{title:<28}{folds}{'mean':>9}{'seconds a fit':>16}")
    print("-" * (53 + 9 * n_folds))
    for name, (scores, seconds) in rows.items():
        each = "".join(f"{score:>9.3f}" for score in scores)
        print(f"{name:<28}{each}{sum(scores) / n_folds:>9.3f}{seconds:>16.2f}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000, help="texts to use (default 1,000)")
    texts, labels = load_texts(parser.parse_args().texts)
    counter = PassCounter(BertFineTuneClassifier().model)
    n_distinct = len(set(texts))
    print(f"{len(texts):,} texts, {n_distinct:,} of them distinct; {FOLDS.get_n_splits()} folds\n")

    # The search comes first: its pass keeps token states and pooled vectors, a featurizer's the
    # vectors alone, so that depths searched after it would need another pass.
    start = time.perf_counter()
    search = GridSearchCV(
        BertFineTuneClassifier(random_state=0), {"freeze": ["all", -1, -2, -3, "none"]}, cv=FOLDS
    ).fit(texts, labels)
    seconds = time.perf_counter() - start
    found = search.cv_results_
    by_fold = zip(*(found[f"split{i}_test_score"] for i in range(search.n_splits_)), strict=True)
    print_table(
        "BertFineTuneClassifier",
        {
            f"freeze={freeze!r}": (list(scores), fit_seconds)
            for freeze, scores, fit_seconds in zip(
                found["param_freeze"], by_fold, found["mean_fit_time"], strict=True
            )
        },
    )
    print(f"Best: {search.best_params_}; the search took {seconds:.0f} s, its refit included.\n")

    pipeline = Pipeline([("bert", BertFeaturizer()), ("clf", LogisticRegression(max_iter=1000))])
    validated = cross_validate(pipeline, texts, labels, cv=FOLDS)
    name = "+ LogisticRegression"
    print_table(
        "BertFeaturizer",
        {name: (list(validated["test_score"]), float(validated["fit_time"].mean()))},
    )

    # With freeze="all" every distinct text has to pass every layer, so each passed at least once;
    # what a layer saw beyond that are repeats, at worst all of one and the same text.
    print(f"Texts that passed each frozen layer, the lowest first: {counter.texts}")
    assert min(counter.texts) >= n_distinct, "the hooks missed texts"
    most = 1 + max(counter.texts) - n_distinct
    print(f"Most passes of any text through any frozen layer: {most}")
    assert most <= 1, "a text passed a frozen layer twice"


if __name__ == "__main__":
    main()
