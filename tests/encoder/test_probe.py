"""Architectures that the package can't read are refused when they are loaded, and no others."""

import pytest
import torch
import transformers
from transformers import AutoModel

from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import checkpoint, work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.depth import LowerPart
from sklearn_bert.encoder.probe import check_parts, check_states
from sklearn_bert.errors import TESTED, ModelLoadError
from tests.models import FAMILIES, HIDDEN, MAX_LENGTH, TEXTS, Family, save

CPU = torch.device("cpu")
BERT, ROBERTA, PLAIN = (FAMILIES[name].tokenizer for name in ("bert", "roberta", "distilbert"))


def family(config, tokenizer=BERT, **settings):
    return Family(config, tokenizer, "", False, settings)


class Unlike(Family):
    """A family whose config refuses the common settings."""

    def build(self, seed=0, **changes):
        tokenizer = self.tokenizer()
        settings = {"vocab_size": len(tokenizer)} | self.settings | changes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModel.from_config(getattr(transformers, self.config)(**settings))
        return model.eval(), tokenizer


XLM = {"emb_dim": HIDDEN, "n_layers": 4, "n_heads": 4}
ONE_SIDED = {"num_key_value_heads": 2, "head_dim": 8}
# Beside those of `FAMILIES`.
READ = {
    "albert with groups": family("AlbertConfig", embedding_size=16, num_hidden_groups=4),
    "big bird": family("BigBirdConfig", block_size=4, num_random_blocks=1),
    "data2vec": family("Data2VecTextConfig", ROBERTA, max_position_embeddings=MAX_LENGTH + 2),
    "ernie": family("ErnieConfig"),
    "esm": family("EsmConfig", max_position_embeddings=MAX_LENGTH + 2, mask_token_id=4),
    "flaubert": family("FlaubertConfig", **XLM),
    "gemma 3": family("Gemma3TextConfig", PLAIN, sliding_window=4, **ONE_SIDED),
    "gpt 2": family("GPT2Config", PLAIN, n_embd=HIDDEN, n_layer=4, n_head=4),
    "layoutlm": family("LayoutLMConfig"),
    "llama": family("LlamaConfig", PLAIN, **ONE_SIDED),
    "luke": family(
        "LukeConfig", ROBERTA, entity_emb_size=16, max_position_embeddings=MAX_LENGTH + 2
    ),
    "megatron": family("MegatronBertConfig"),
    "qwen 3": family("Qwen3Config", PLAIN, **ONE_SIDED),
    "rembert": family("RemBertConfig", input_embedding_size=16),
    "roberta with norms before": family(
        "RobertaPreLayerNormConfig", ROBERTA, max_position_embeddings=MAX_LENGTH + 2
    ),
    "rocbert": family("RoCBertConfig"),
    "roformer": family("RoFormerConfig", embedding_size=16),
    "splinter": family("SplinterConfig"),
    "xlm": family("XLMConfig", **XLM),
    "xlm-roberta xl": family("XLMRobertaXLConfig", ROBERTA, max_position_embeddings=MAX_LENGTH + 2),
    "xmod": family(
        "XmodConfig", ROBERTA, max_position_embeddings=MAX_LENGTH + 2, default_language="en_XX"
    ),
}

CONVBERT = family("ConvBertConfig", embedding_size=HIDDEN)
SQUEEZEBERT = family("SqueezeBertConfig", embedding_size=HIDDEN)
_TWO_STACKS = {
    "d_model": HIDDEN,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}
_T5 = {"d_model": HIDDEN, "d_kv": 8, "d_ff": 64, "num_layers": 4, "num_heads": 4}
REFUSED = {
    "albert of many in one": (
        family("AlbertConfig", embedding_size=16, inner_group_num=4),
        "does not pass 4 layers one after another",
    ),
    "albert of two in one": (
        family("AlbertConfig", embedding_size=16, inner_group_num=2),
        "hidden states",
    ),
    "bart": (family("BartConfig", **_TWO_STACKS), "it has a decoder behind its encoder"),
    "canine": (family("CanineConfig"), "it is not one stack of layers"),
    "clip": (family("CLIPConfig"), "it is not one stack of layers"),
    "convbert": (CONVBERT, "a text's states depend on the padding"),
    "feed-forward part in chunks": (
        family("BertConfig", chunk_size_feed_forward=2),
        "it can't read a text given as token ids (ValueError(",
    ),
    "fnet": (family("FNetConfig"), "a text's states depend on the padding"),
    "funnel": (
        Unlike(
            "FunnelConfig",
            BERT,
            "",
            False,
            {
                "d_model": HIDDEN,
                "n_head": 4,
                "d_head": 8,
                "d_inner": 64,
                "block_sizes": [2, 2, 2],
                "architectures": ["FunnelModel"],
            },
        ),
        "does not pass 6 layers one after another",
    ),
    "longformer": (
        family(
            "LongformerConfig",
            ROBERTA,
            max_position_embeddings=MAX_LENGTH + 2,
            attention_window=[8] * 4,
        ),
        "not of shape (texts, tokens, hidden_size)",
    ),
    "mamba": (family("MambaConfig", PLAIN), "its hidden states"),
    "opt with a projection": (
        family("OPTConfig", PLAIN, ffn_dim=64, word_embed_proj_dim=16),
        "not of shape (texts, tokens, hidden_size)",
    ),
    "squeezebert": (SQUEEZEBERT, "does not pass 4 layers one after another"),
    "t5": (family("T5Config", PLAIN, **_T5), "it has a decoder behind its encoder"),
    "vit": (family("ViTConfig"), "it is not one stack of layers"),
    "xlnet": (
        Unlike(
            "XLNetConfig",
            BERT,
            "",
            False,
            {"d_model": HIDDEN, "n_layer": 4, "n_head": 4, "d_inner": 64},
        ),
        "not of shape (texts, tokens, hidden_size)",
    ),
    "yoso": (family("YosoConfig"), "a text's states depend on the padding"),
}


def check(model, tokenizer, longest=MAX_LENGTH):
    check_parts(model)
    check_states(LowerPart(model), tokenizer.pad_token_id, longest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", [*FAMILIES, *READ])
def test_what_is_read_rightly_passes(name, dtype):
    model, tokenizer = (FAMILIES | READ)[name].build()
    check(model.to(dtype), tokenizer)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_is_refused_with_the_reason(name):
    refused, reason = REFUSED[name]
    model, tokenizer = refused.build()
    with pytest.raises(ModelLoadError) as error:
        check(model, tokenizer)
    assert f"{type(model).__name__} (model type {model.config.model_type!r})" in str(error.value)
    assert reason in str(error.value)
    assert all(architecture in str(error.value) for architecture in TESTED)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_does_not_hide_that_padding_is_read(dtype):
    # Small enough to be lost in what rounding does to states of another shape.
    model, tokenizer = CONVBERT.build(initializer_range=0.05)
    with pytest.raises(ModelLoadError, match="depend on the padding"):
        check(model.to(dtype), tokenizer)


@pytest.mark.parametrize("refused", [CONVBERT, SQUEEZEBERT])
def test_fit_says_it_and_transform_too(refused, tmp_path):
    save(tmp_path, *refused.build())
    for act in (BertFeaturizer.fit, BertFeaturizer.transform):
        with pytest.raises(ModelLoadError, match="is an architecture that can't be used"):
            act(BertFeaturizer(tmp_path), TEXTS)


def test_a_model_is_tried_once_and_nothing_is_counted(saved_model, monkeypatch):
    tried = []
    monkeypatch.setattr(checkpoint, "check_states", lambda *args: tried.append(check_states(*args)))
    monkeypatch.setattr(checkpoint, "_loaded", {})
    before = work.counted()
    kept = [load_checkpoint(saved_model(), None, CPU, "float32") for _ in range(2)]
    assert len(tried) == 1
    assert kept[0] is kept[1]
    assert work.counted() - before == work.Work(models_loaded=1)


def test_random_states_stay_as_they_are():
    model, tokenizer = FAMILIES["bert"].build()
    model.register_forward_hook(lambda *_: torch.rand(1) and None)
    before = torch.get_rng_state()
    check(model, tokenizer)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("longest", [1, 2])
def test_short_limits(longest):
    check(*FAMILIES["bert"].build(max_position_embeddings=longest), longest)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damaged_weights_are_no_matter_of_architecture(value):
    model, tokenizer = FAMILIES["bert"].build()
    model.encoder.layer[1].output.dense.weight.data[0, 0] = value
    check(model, tokenizer)


def test_too_little_memory_is_no_matter_of_architecture():
    model, tokenizer = FAMILIES["bert"].build()

    def fill(*_):
        raise torch.OutOfMemoryError("full")

    model.register_forward_hook(fill)
    with pytest.raises(torch.OutOfMemoryError, match="full"):
        check(model, tokenizer)
