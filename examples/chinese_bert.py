"""A small Chinese BERT from nothing but texts: its word pieces learnt here, its weights random.

Other examples and the benchmarks make theirs with it. What it writes is a folder like that of any
saved model; `BertMaskedLM` trains it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

__all__ = ["learn_tokenizer", "save_random_bert"]

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_HEAD_SIZE = 64


def learn_tokenizer(
    texts: Iterable[str], vocabulary: int = 6000, max_length: int = 128
) -> PreTrainedTokenizerFast:
    """Learn WordPiece as BERT has it: Chinese characters apart, other words in pieces.

    Parameters
    ----------
    texts : iterable of str
        What to learn from.
    vocabulary : int, default=6000
        Word pieces at most; rare characters beyond are unknown.
    max_length : int, default=128
        The limit in tokens that the tokenizer will tell.
    """
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
        model_max_length=max_length,
        **dict(zip(names, SPECIAL_TOKENS, strict=True)),
    )


def save_random_bert(
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    n_layers: int = 4,
    hidden_size: int = 256,
    seed: int = 0,
) -> None:
    """Save the tokenizer with a small, untrained BERT.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        From `learn_tokenizer`.
    folder : Path
        Made if need be.
    n_layers, hidden_size : int, default=4, 256
        The size of the model; a multiple of 64 for the second.
    seed : int, default=0
        Fixes the weights.
    """
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=hidden_size // _HEAD_SIZE,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
