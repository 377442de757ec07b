"""From nothing but labelled Chinese reviews to features, with a WordPiece tokenizer learnt here.

The BERT is tiny and its weights are RANDOM: this shows the way and not the quality. With pretrained
weights at hand all it takes is BertFeaturizer("bert-base-chinese").
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import fetch_chn_hotel

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_LENGTH = 128


def learn_tokenizer(texts: list[str], vocabulary: int = 6000) -> PreTrainedTokenizerFast:
    """Learn WordPiece as BERT has it: Chinese characters apart, other words in pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=ends,
    )
    names = ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        **dict(zip(names, SPECIAL_TOKENS, strict=True)),
    )


def save_random_bert(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save the tokenizer with a tiny, untrained BERT: a folder like that of any saved model."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=tokenizer.pad_token_id,
    )
    disable_progress_bar()
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
        save_random_bert(tokenizer, folder)
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
