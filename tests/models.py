"""Tiny encoders with random weights and real tokenizers, one family of architectures each.

Nothing is downloaded: the tokenizers have vocabularies written here, the models come from their
transformers configs.
"""

import contextlib
import io
import json
import string
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers import models as token_models
from transformers import AutoModel, AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast

WORDS = ["the", "film", "a", "good", "bad", "story", "is", "was", "very", "dull", "wonder", "##ful"]
CHINESE = list("这部电影很好看不喜欢服务房间酒店差")
PUNCTUATION = list(".,!?'-\"")
N_LAYERS = 4
HIDDEN = 32
MAX_LENGTH = 48

# Distinct, of many lengths and several scripts; none is longer than MAX_LENGTH tokens.
TEXTS = [
    "the film is good",
    "a bad story",
    "wonderful",
    "",
    "the story was very dull, was it? a good film!",
    "这部电影很好看",
    "room 房间 is good",
    "x",
    "naïve café films",
    "very very very very very very good",
]
PAIRS = [
    ("the film is good", "a good film"),
    ("bad", "the story was very dull, very bad"),
    ("a story", ""),
    ("", "wonderful"),
    ("这部电影", "很好看"),
]


_BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BERT_PAD_LATE = ("[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]")
_MPNET_SPECIALS = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")


def _wordpieces(specials: tuple[str, ...], more: Sequence[str] = ()) -> list[str]:
    letters = list(string.ascii_lowercase + string.digits)
    tokens = [*specials, *PUNCTUATION, *letters, *(f"##{c}" for c in letters), *CHINESE, *WORDS]
    return list(dict.fromkeys([*tokens, *more]))


def _bert_tokenizer(
    specials: tuple[str, ...] = _BERT_SPECIALS, words: Sequence[str] = (), **options: Any
) -> PreTrainedTokenizerFast:
    vocabulary = {token: number for number, token in enumerate(_wordpieces(specials, words))}
    tokenizer = Tokenizer(token_models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    settings = {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "model_max_length": MAX_LENGTH,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **(settings | options))


def _vocabulary_file_tokenizer() -> Any:
    """As bert-base-chinese has it: a vocab.txt from which transformers builds the rest."""
    with tempfile.TemporaryDirectory() as folder:
        lines = "\n".join(_wordpieces(_BERT_SPECIALS))
        Path(folder, "vocab.txt").write_text(lines + "\n", encoding="utf-8")
        settings = {"tokenizer_class": "BertTokenizer", "model_max_length": MAX_LENGTH}
        Path(folder, "tokenizer_config.json").write_text(json.dumps(settings))
        return BertTokenizerFast.from_pretrained(folder)


def _without_types(**options: Any) -> PreTrainedTokenizerFast:
    return _bert_tokenizer(model_input_names=["input_ids", "attention_mask"], **options)


def _roberta_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, without a limit of its own, padding with 1."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "l"), ("g", "o"), ("o", "d")]
    tokens = [*specials, *alphabet, *("".join(merge) for merge in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(token_models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


def _unigram_tokenizer(
    cls: str, sep: str, pad: str, single: str, pair: str, with_types: bool
) -> PreTrainedTokenizerFast:
    """SentencePiece-like, as XLM-R, ALBERT and DeBERTa-v2 have."""
    specials = [cls, pad, sep, "<unk>", "<mask>"]
    plain = [word for word in WORDS if not word.startswith("##")]
    pieces = [(token, 0.0) for token in specials]
    pieces += [("▁", -3.0)]
    pieces += [(c, -6.0) for c in [*string.ascii_lowercase, *string.digits, *PUNCTUATION, *CHINESE]]
    pieces += [(f"▁{word}", -2.0 - 0.1 * number) for number, word in enumerate(plain)]
    tokenizer = Tokenizer(token_models.Unigram(pieces, unk_id=specials.index("<unk>")))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(token, specials.index(token)) for token in (cls, sep)],
    )
    names = ["input_ids", *(["token_type_ids"] if with_types else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=cls,
        sep_token=sep,
        pad_token=pad,
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=MAX_LENGTH,
        model_input_names=names,
    )


def _xlmr_tokenizer() -> PreTrainedTokenizerFast:
    pair = "<s> $A </s> </s> $B </s>"
    return _unigram_tokenizer("<s>", "</s>", "<pad>", "<s> $A </s>", pair, False)


def _sentencepiece_bert_tokenizer() -> PreTrainedTokenizerFast:
    pair = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"
    return _unigram_tokenizer("[CLS]", "[SEP]", "<pad>", "[CLS] $A [SEP]", pair, True)


@dataclass(frozen=True)
class Family:
    """An architecture with its tokenizer, as people meet it on the Hub.

    Attributes
    ----------
    config : str
        Name of the transformers config class.
    tokenizer : callable
        Builds the tokenizer.
    layers : str
        Where the list of layers lies in the model.
    has_pooler : bool
        Whether the model computes a `pooler_output`.
    settings : dict
        Settings of the config beside the common ones.
    """

    config: str
    tokenizer: Any
    layers: str
    has_pooler: bool
    settings: dict[str, Any] = field(default_factory=dict)

    def build(self, seed: int = 0, **changes: Any) -> tuple[Any, PreTrainedTokenizerFast]:
        """Return a model with random weights, and its tokenizer."""
        tokenizer = self.tokenizer()
        common = {
            "hidden_size": HIDDEN,
            "num_hidden_layers": N_LAYERS,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": MAX_LENGTH,
            "initializer_range": 0.2,
        }
        config = getattr(transformers, self.config)(
            **(
                common
                | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
                | self.settings
                | changes
            )
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModel.from_config(config)
        return model.eval(), tokenizer


_DEBERTA = {
    "relative_attention": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "max_relative_positions": -1,
}
_DEBERTA_V2 = _DEBERTA | {
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
}

FAMILIES = {
    "bert": Family("BertConfig", _bert_tokenizer, "encoder.layer", True),
    "bert-chinese": Family(
        "BertConfig",
        _vocabulary_file_tokenizer,
        "encoder.layer",
        True,
    ),
    "bert-pad-last": Family(
        "BertConfig", lambda: _bert_tokenizer(_BERT_PAD_LATE), "encoder.layer", True
    ),
    "distilbert": Family(
        "DistilBertConfig",
        _without_types,
        "transformer.layer",
        False,
        {"dim": HIDDEN, "hidden_dim": 64, "n_layers": N_LAYERS, "n_heads": 4},
    ),
    "roberta": Family(
        "RobertaConfig",
        _roberta_tokenizer,
        "encoder.layer",
        True,
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1},
    ),
    "xlm-roberta": Family(
        "XLMRobertaConfig",
        _xlmr_tokenizer,
        "encoder.layer",
        True,
        {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1},
    ),
    "electra": Family(
        "ElectraConfig", _bert_tokenizer, "encoder.layer", False, {"embedding_size": 16}
    ),
    "albert": Family(
        "AlbertConfig",
        _sentencepiece_bert_tokenizer,
        "encoder.albert_layer_groups",
        True,
        {"embedding_size": 16},
    ),
    "mpnet": Family(
        "MPNetConfig",
        lambda: _without_types(specials=_MPNET_SPECIALS),
        "encoder.layer",
        True,
        {"max_position_embeddings": MAX_LENGTH + 2},
    ),
    "deberta": Family(
        "DebertaConfig",
        _without_types,
        "encoder.layer",
        False,
        _DEBERTA | {"pos_att_type": ["c2p", "p2c"]},
    ),
    "deberta-v2": Family(
        "DebertaV2Config",
        _sentencepiece_bert_tokenizer,
        "encoder.layer",
        False,
        _DEBERTA_V2 | {"conv_kernel_size": 3, "conv_act": "gelu"},
    ),
    "deberta-v3": Family(
        "DebertaV2Config", _sentencepiece_bert_tokenizer, "encoder.layer", False, _DEBERTA_V2
    ),
    "modernbert": Family(
        "ModernBertConfig",
        _without_types,
        "layers",
        False,
        # Layers 0 and 3 attend to all tokens, 1 and 2 to four on each side.
        {
            "global_attn_every_n_layers": 3,
            "local_attention": 8,
            "initializer_cutoff_factor": 3.0,
            "bos_token_id": 2,
            "cls_token_id": 2,
            "eos_token_id": 3,
            "sep_token_id": 3,
        },
    ),
}


# Reads from one side, which is not what the package is for; vectors have to be right all the same.
DECODER = Family(
    "Qwen3Config",
    _without_types,
    "layers",
    False,
    {"num_key_value_heads": 4, "head_dim": HIDDEN // 4},
)


class ScaledEmbedding(torch.nn.Embedding):
    """Stands for those of models that multiply what they look up."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return 8 * super().forward(ids)


def bert_that_knows(words: Sequence[str]) -> Family:
    """Return BERT with these words in its vocabulary, beside the common ones."""
    return replace(FAMILIES["bert"], tokenizer=lambda: _bert_tokenizer(words=words))


def save(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Save both as a user would, and return the folder."""
    # Its progress would be in what the first test that needs the model reads of the terminal.
    with contextlib.redirect_stderr(io.StringIO()):
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_over(folder: Path) -> None:
    """Put zeros into all weights in a folder, in their place, as a copy of another file would."""
    for path in folder.glob("*.safetensors"):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))


def layers_of(model: Any, family: str) -> list[torch.nn.Module]:
    """Return the modules that are the layers."""
    return list(model.get_submodule(FAMILIES[family].layers))


def hidden_states(output: Any) -> list[torch.Tensor]:
    """Return the states at every depth; ModernBERT's last lacks its norm in transformers 5.0."""
    return [*output.hidden_states[:-1], output.last_hidden_state]


class Reference:
    """What plain transformers computes: one text at a time, no padding, in float64."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float64) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
        self.model.eval()

    def tokenize(self, text: Any, max_length: int | None = None) -> dict[str, torch.Tensor]:
        """Return the model's input for one text or pair."""
        # As lists: given strings, transformers takes a pair with an empty second for a single.
        parts = ([text],) if isinstance(text, str) else ([text[0]], [text[1]])
        return dict(
            self.tokenizer(
                *parts,
                truncation="longest_first",
                max_length=max_length or MAX_LENGTH,
                return_tensors="pt",
            )
        )

    def states(self, text: Any, max_length: int | None = None) -> tuple[torch.Tensor, Any]:
        """Return the hidden states (depths, tokens, hidden) and the pooler's output."""
        return self.states_of_ids(self.tokenize(text, max_length))

    def states_of_ids(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """Return the same for token ids."""
        with torch.no_grad():
            output = self.model(**inputs, output_hidden_states=True)
        pooled = getattr(output, "pooler_output", None)
        return torch.cat(hidden_states(output)), None if pooled is None else pooled[0]

    def vectors(
        self, texts: list[Any], pooling: str, layer: int = -1, max_length: int | None = None
    ) -> np.ndarray:
        """Return the pooled vectors of texts or pairs."""
        rows = []
        for text in texts:
            states, pooled = self.states(text, max_length)
            tokens = states[layer]
            rows.append(
                {
                    "cls": lambda tokens=tokens: tokens[0],
                    "mean": lambda tokens=tokens: tokens.mean(0),
                    "max": lambda tokens=tokens: tokens.max(0).values,
                    "last": lambda tokens=tokens: tokens[-1],
                    "pooler": lambda pooled=pooled: pooled,
                }[pooling]().numpy()
            )
        return np.stack(rows)
