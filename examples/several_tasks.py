"""Two tasks, one encoder, half of the labels missing: sentiment of films, feelings of remarks.

Sentences of SST-2 have a sentiment and no feeling, remarks of emotion a feeling and no sentiment.
One classifier learns both and answers both for any text, beside one classifier for each task.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.datasets import fetch_emotion, fetch_sst2

ROWS = 500
TASKS = ["sentiment", "feeling"]
SENTENCES = ["What a wonderful evening we had!", "I am scared of what comes next."]
_SENTIMENTS = np.array(["negative", "positive"], dtype=object)

Rows = tuple[list[str], Any]


def data(n_rows: int, seed: int) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Draw rows to train on for each task; test rows are always the same."""
    films = [fetch_sst2(subset=subset) for subset in ("train", "test")]
    remarks, feelings = fetch_emotion(return_X_y=True)
    parts = train_test_split(remarks, feelings, test_size=0.3, stratify=feelings, random_state=2024)
    train = {
        "sentiment": (films[0].data, _SENTIMENTS[films[0].target]),
        "feeling": (parts[0], np.asarray(parts[2], dtype=object)),
    }
    test = {
        "sentiment": (films[1].data[:n_rows], _SENTIMENTS[films[1].target[:n_rows]]),
        "feeling": (parts[1][:n_rows], np.asarray(parts[3], dtype=object)[:n_rows]),
    }
    return {task: some(*rows, n_rows, seed) for task, rows in train.items()}, test


def some(texts: list[str], labels: Any, n_rows: int, seed: int) -> Rows:
    """Draw rows."""
    drawn = np.random.default_rng(seed).permutation(len(texts))[:n_rows]
    return [texts[row] for row in drawn], labels[drawn]


def joined(train: dict[str, Rows]) -> Rows:
    """Put the rows of all tasks below each other, with a column of labels for each task."""
    texts = [text for task in TASKS for text in train[task][0]]
    labels = np.full((len(texts), len(TASKS)), None, dtype=object)
    start = 0
    for column, task in enumerate(TASKS):
        own = train[task][1]
        labels[start : start + len(own), column] = own
        start += len(own)
    return texts, labels


def scores(seed: int, n_rows: int = ROWS) -> dict[str, dict[str, float]]:
    """Fit one classifier for both tasks and one for each; return accuracy on test rows."""
    train, test = data(n_rows, seed)
    both = together(train, seed)
    alone = {
        task: BertFineTuneClassifier(max_epochs=5, random_state=seed).fit(*rows)
        for task, rows in train.items()
    }
    return {
        "one classifier for both": {
            task: float(np.mean(both.predict(test[task][0])[:, column] == test[task][1]))
            for column, task in enumerate(TASKS)
        },
        "one classifier for each": {task: float(alone[task].score(*test[task])) for task in TASKS},
    }


def together(train: dict[str, Rows], seed: int) -> BertFineTuneClassifier:
    """Fit one classifier for both tasks."""
    return BertFineTuneClassifier(max_epochs=5, random_state=seed).fit(*joined(train))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of each task (default {ROWS:,})")
    n_rows = parser.parse_args().rows
    for name, values in scores(0, n_rows).items():
        print(f"{name:<26}", ", ".join(f"{key}: {value:.3f}" for key, value in values.items()))
    classifier = together(data(n_rows, 0)[0], 0)
    for sentence, answers in zip(SENTENCES, classifier.predict(SENTENCES), strict=True):
        print(f"  {sentence}  {', '.join(answers)}")


if __name__ == "__main__":
    main()
