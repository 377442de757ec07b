"""From nothing but labelled Chinese reviews to features, with a WordPiece tokenizer learnt here.

The BERT is tiny and its weights are RANDOM: this shows the way and not the quality. With pretrained
weights at hand all it takes is BertFeaturizer("bert-base-chinese").
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from chinese_bert import learn_tokenizer, save_random_bert
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import fetch_chn_hotel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="reviews to use (default 2,000)")
    rows = parser.parse_args().rows
    # With a CSV of one's own: X, y = frame["review"], frame["label"] of a pandas.read_csv(...).
    texts, labels = fetch_chn_hotel(return_X_y=True)
    # The reviews are sorted by class; a split that shuffles also picks the rows.
    X_train, X_test, y_train, y_test = train_test_split(
        texts,
        labels,
        train_size=rows * 3 // 4,
        test_size=rows // 4,
        stratify=labels,
        random_state=0,
    )
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "random-chinese-bert")
        tokenizer = learn_tokenizer(X_train)
        save_random_bert(tokenizer, folder, n_layers=2, hidden_size=128)
        print(f"{X_train[0][:24]} → {' '.join(tokenizer.tokenize(X_train[0][:24]))}\n")
        pipeline = make_pipeline(
            BertFeaturizer(folder, long_text="chunk"),
            StandardScaler(),
            LogisticRegression(C=0.01, max_iter=1000),
        )
        accuracy = pipeline.fit(X_train, y_train).score(X_test, y_test)
    majority = DummyClassifier().fit(X_train, y_train).score(X_test, y_test)
    print(
        f"{len(X_train):,} reviews to fit, {len(X_test):,} to score, {len(tokenizer):,} word pieces"
    )
    print(f"accuracy {accuracy:.3f}, always the larger class {majority:.3f}")
    print("\nThe weights are random: this is the way, not the quality. For quality, put")
    print('BertFeaturizer("bert-base-chinese") in place of the folder.')


if __name__ == "__main__":
    main()
