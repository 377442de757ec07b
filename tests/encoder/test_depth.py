"""The lower part of every architecture, against transformers' own hidden states."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel, BertConfig

from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.depth import LowerPart, resolve_layer
from sklearn_bert.errors import ModelLoadError
from tests.models import FAMILIES, N_LAYERS, PAIRS, TEXTS, layers_of

CPU = torch.device("cpu")


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def padded(tokenizer, texts):
    return dict(tokenizer(texts, padding=True, truncation=True, max_length=48, return_tensors="pt"))


def seen_states(lower, inputs, depth):
    """Return what `visit` saw, by depth, and what `run` returned."""
    seen = {}
    with torch.inference_mode():
        pooled = lower.run(inputs, depth, lambda i, states: seen.setdefault(i, states.clone()))
    return seen, pooled


def test_states_at_every_depth_equal_transformers_hidden_states(family, saved_model, reference):
    folder = saved_model(family)
    lower = load_checkpoint(folder, None, CPU, "float32").lower
    plain = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    inputs = padded(reference(family).tokenizer, TEXTS)
    present = inputs["attention_mask"].bool()
    assert not present.all()
    with torch.no_grad():
        expected = plain(**inputs, output_hidden_states=True)
    assert lower.n_layers == N_LAYERS
    for depth in range(N_LAYERS + 1):
        seen, _ = seen_states(lower, inputs, depth)
        assert list(seen) == list(range(depth + 1))
        for passed, states in seen.items():
            torch.testing.assert_close(
                states[present], expected.hidden_states[passed][present], atol=1e-5, rtol=1e-5
            )


def test_pooler_output_comes_at_full_depth_only(family, saved_model, reference):
    folder = saved_model(family)
    lower = load_checkpoint(folder, None, CPU, "float32").lower
    inputs = reference(family).tokenize(TEXTS[0])
    _, below = seen_states(lower, inputs, N_LAYERS - 1)
    _, full = seen_states(lower, inputs, N_LAYERS)
    assert below is None
    if FAMILIES[family].has_pooler:
        _, expected = reference(family).states(TEXTS[0])
        torch.testing.assert_close(full[0].double(), expected, atol=1e-5, rtol=1e-5)
    else:
        assert full is None


def test_layers_above_the_depth_are_not_run(family, saved_model, reference):
    model = AutoModel.from_pretrained(saved_model(family)).eval()
    lower = LowerPart(model)
    ran = []
    for number, layer in enumerate(layers_of(model, family)):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    inputs = reference(family).tokenize(TEXTS[0])
    for depth in range(N_LAYERS + 1):
        ran.clear()
        seen_states(lower, inputs, depth)
        assert ran == ([0] * depth if lower.shares_layers else list(range(depth)))


def test_the_model_still_runs_by_itself(saved_model, reference):
    model = AutoModel.from_pretrained(saved_model("bert")).eval()
    inputs = reference("bert").tokenize(TEXTS[0])
    with torch.no_grad():
        before = model(**inputs).last_hidden_state
        lower = LowerPart(model)
        lower.run(inputs, 1, lambda depth, states: None)
        after = model(**inputs).last_hidden_state
    torch.testing.assert_close(before, after, atol=0, rtol=0)


def test_an_error_in_the_visitor_reaches_the_caller_and_leaves_nothing_behind(
    saved_model, reference
):
    model = AutoModel.from_pretrained(saved_model("bert")).eval()
    lower = LowerPart(model)
    inputs = reference("bert").tokenize(TEXTS[0])

    def refuse(depth, states):
        raise KeyError("no")

    with torch.no_grad():
        with pytest.raises(KeyError):
            lower.run(inputs, 2, refuse)
        assert model(**inputs).last_hidden_state.shape[0] == 1
    seen, _ = seen_states(lower, inputs, 2)
    assert list(seen) == [0, 1, 2]


def test_pairs_have_their_own_states(saved_model, reference):
    lower = load_checkpoint(saved_model("bert"), None, CPU, "float32").lower
    inputs = reference("bert").tokenize(PAIRS[0])
    expected, _ = reference("bert").states(PAIRS[0])
    seen, _ = seen_states(lower, inputs, N_LAYERS)
    for depth in range(N_LAYERS + 1):
        torch.testing.assert_close(seen[depth][0].double(), expected[depth], atol=1e-5, rtol=1e-5)


def test_only_albert_shares_its_layers(family, saved_model):
    lower = LowerPart(AutoModel.from_pretrained(saved_model(family)))
    assert lower.shares_layers == (family == "albert")


@pytest.mark.parametrize("groups", [2, 4])
def test_albert_with_several_groups(groups):
    model, tokenizer = FAMILIES["albert"].build(num_hidden_groups=groups, inner_group_num=1)
    inputs = padded(tokenizer, TEXTS[:3])
    present = inputs["attention_mask"].bool()
    with torch.no_grad():
        expected = model(**inputs, output_hidden_states=True).hidden_states
    seen, _ = seen_states(LowerPart(model), inputs, N_LAYERS)
    for depth in range(N_LAYERS + 1):
        torch.testing.assert_close(seen[depth][present], expected[depth][present])


@pytest.mark.parametrize(
    ("layer", "depth"), [(0, 0), (4, 4), (-1, 4), (-2, 3), (-5, 0), (np.int64(-2), 3)]
)
def test_layers_count_as_in_numpy(layer, depth):
    assert resolve_layer(layer, 4) == depth


@pytest.mark.parametrize("layer", [5, -6])
def test_a_layer_that_the_model_does_not_have(layer):
    message = f"layers={layer} can't be used. Accepted: 0 (embeddings) to 4 (last layer), or -1"
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        resolve_layer(layer, 4)
    assert "The model has 4 layers." in str(error.value)


@pytest.mark.parametrize("layer", [True, 1.0, "last", None])
def test_a_layer_that_is_no_integer(layer):
    message = f"layers={layer!r} can't be used. Accepted: an integer, or a list of integers."
    with pytest.raises(ValueError, match=re.escape(message)):
        resolve_layer(layer, 4)


def test_a_model_without_layers_is_a_clear_error():
    model = nn.Linear(2, 2)
    model.config = BertConfig(num_hidden_layers=2)
    with pytest.raises(ModelLoadError, match=r"Linear has no list of layers.*Accepted: encoders"):
        LowerPart(model)
