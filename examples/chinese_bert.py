"""A small Chinese BERT from nothing but texts: its word pieces learnt here, its weights random.

Other examples and the benchmarks make theirs with it. What it writes is a folder like that of any
saved model; `BertMaskedLM` trains it.

BERT's own start suits large models and billions of words. With a few million a small one stays
where it only knows which characters a text is likely to have, and none of their order. Four things
together get it beyond: wide initial weights, heads of few dimensions, positions that start as
sinusoids, and short chunks first, in which a neighbour is not one among a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from sklearn_bert import BertMaskedLM

__all__ = ["learn_tokenizer", "pretrain", "save_random_bert"]

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_HEAD_SIZE = 32
_SHORT_CHUNK = 18


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
    n_layers: int = 2,
    hidden_size: int = 192,
    seed: int = 0,
) -> None:
    """Save the tokenizer with a small, untrained BERT.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        From `learn_tokenizer`.
    folder : Path
        Made if need be.
    n_layers, hidden_size : int, default=2, 192
        The size of the model; a multiple of 32 for the second.
    seed : int, default=0
        Fixes the weights.
    """
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=n_layers,
        num_attention_heads=hidden_size // _HEAD_SIZE,
        intermediate_size=4 * hidden_size,
        initializer_range=hidden_size**-0.5,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(config, add_pooling_layer=False)
    positions = model.embeddings.position_embeddings.weight
    with torch.no_grad():
        positions.copy_(config.initializer_range * _sinusoids(*positions.shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def pretrain(
    random: Path, folder: Path, texts: list[str], *, epochs: tuple[int, int] = (2, 1), seed: int = 0
) -> BertMaskedLM:
    """Train a model of `save_random_bert`, on short chunks first, as BERT's authors did (A.2).

    Parameters
    ----------
    random : Path
        The folder with random weights.
    folder : Path
        Where the model is saved after the short chunks.
    texts : list of str
        What to learn from.
    epochs : (int, int), default=(2, 1)
        Over the texts in chunks of 18 tokens, and then of 128.
    seed : int, default=0
        Fixes masks, dropout and the order of chunks.
    """
    short = BertMaskedLM(
        random,
        chunk_length=_SHORT_CHUNK,
        mlm_probability=0.2,
        batch_size=32,
        lr=2e-3,
        max_epochs=epochs[0],
        random_state=seed,
    )
    short.fit(texts).save_pretrained(folder)
    long = BertMaskedLM(folder, batch_size=16, lr=1e-3, max_epochs=epochs[1], random_state=seed)
    return long.fit(texts)


def _sinusoids(n_positions: int, size: int) -> torch.Tensor:
    """Return sines and cosines of unit variance (Vaswani et al. 2017, 3.5)."""
    frequencies = 10_000 ** (-torch.arange(0, size, 2) / size)
    angles = torch.arange(n_positions)[:, None] * frequencies
    return 2**0.5 * torch.cat([angles.sin(), angles.cos()], dim=1)
