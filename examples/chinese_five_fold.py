"""Chinese reviews, five folds, a fresh model for each: precision, recall and F1 of each class.

First a small Chinese BERT is pretrained on shop reviews without their labels, some of those that
are classified later among them; no weights are downloaded. Then it is fine-tuned on hotel reviews
(good or bad) and on shop reviews (which of four goods), beside LogisticRegression on its fixed
features and on TF-IDF of characters.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import chinese_bert
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, BertMaskedLM
from sklearn_bert.datasets import fetch_chn_hotel, fetch_online_shopping
from sklearn_bert.errors import LongTextWarning

CATEGORIES = ["书籍", "手机", "水果", "衣服"]
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)
MAX_LENGTH = 96
SENTENCES = ["房间很干净，服务也好。", "再也不来了！", "早餐一般般", "👍👍👍", "差", "😡", "ok"]


def pretrain(texts: list[str], folder: Path) -> None:
    """Train a small BERT on texts without labels, and save it."""
    start = time.perf_counter()
    held_out, train = texts[: len(texts) // 20], texts[len(texts) // 20 :]
    random = folder / "random"
    chinese_bert.save_random_bert(chinese_bert.learn_tokenizer(train), random, hidden_size=128)
    before = BertMaskedLM(random, max_epochs=0).fit(train).perplexity(held_out)
    language = chinese_bert.pretrain(random, folder / "short", train)
    language.save_pretrained(folder / "pretrained")
    print(
        f"Pretrained on {len(train):,} reviews in {time.perf_counter() - start:.0f} s: perplexity "
        f"on held-out ones from {before:,.0f} to {language.perplexity(held_out):,.0f}\n"
    )


def classifiers(folder: Path) -> dict[str, Any]:
    """Return what is compared."""
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True)
    features = BertFeaturizer(folder, pooling=["mean", "max"], max_length=MAX_LENGTH)
    scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return {
        "TF-IDF of characters": make_pipeline(characters, LogisticRegression(max_iter=1000)),
        "fixed features": make_pipeline(features, scaled),
        "fine-tuned": BertFineTuneClassifier(
            folder, max_epochs=8, max_length=MAX_LENGTH, random_state=0
        ),
    }


def five_folds(title: str, texts: list[str], labels: Any, folder: Path) -> None:
    """Print a report of each classifier's predictions for folds it did not see."""
    print(f"{title}: {len(texts):,} reviews\n")
    for name, classifier in classifiers(folder).items():
        start = time.perf_counter()
        predicted = cross_val_predict(classifier, texts, labels, cv=FOLDS)
        print(f"{name}, {time.perf_counter() - start:.0f} s")
        print(classification_report(labels, predicted, digits=3, zero_division=0))


def part(texts: Any, labels: Any, n_rows: int | None) -> tuple[list[str], Any]:
    """Return so many rows, in the proportions of the classes."""
    if n_rows is None or n_rows >= len(texts):
        return list(texts), labels
    X, _, y, _ = train_test_split(texts, labels, train_size=n_rows, stratify=labels, random_state=0)
    return X, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="rows to classify (default 1,000)")
    parser.add_argument(
        "--pretraining-rows", type=int, default=20_000, help="reviews to pretrain on"
    )
    parser.add_argument("--all", action="store_true", help="all rows of everything: hours")
    options = parser.parse_args()
    # Long reviews lose their ends, on purpose and in each fold.
    warnings.simplefilter("ignore", LongTextWarning)
    rows = None if options.all else options.rows
    shops = fetch_online_shopping()
    unlabelled, _ = part(
        shops.data, shops.category, None if options.all else options.pretraining_rows
    )
    with tempfile.TemporaryDirectory() as root:
        pretrain(unlabelled, Path(root))
        folder = Path(root, "pretrained")
        names = np.array(["bad", "good"])
        hotels, labels = fetch_chn_hotel(return_X_y=True)
        texts, y = part(hotels, names[labels], rows)
        five_folds("Hotels, good or bad", texts, y, folder)
        goods = fetch_online_shopping(categories=CATEGORIES)
        five_folds("Which of four goods", *part(goods.data, goods.category, rows), folder)
        classifier = classifiers(folder)["fine-tuned"].fit(texts, y)
        print("Single sentences:")
        probabilities = classifier.predict_proba(SENTENCES)[:, 1]
        for sentence, probability in zip(SENTENCES, probabilities, strict=True):
            print(f"  {probability:.2f} good  {sentence}")


if __name__ == "__main__":
    main()
