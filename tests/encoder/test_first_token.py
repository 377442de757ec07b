"""The last layer for the first token alone, against the same model with all tokens."""

import copy

import pytest
import torch
from torch import nn

from sklearn_bert.encoder.depth import UpperPart, checkpoint_activations
from sklearn_bert.encoder.first_token import read_first_token_alone
from sklearn_bert.encoder.hooks import arguments_of
from tests.models import FAMILIES, HIDDEN, N_LAYERS, TEXTS, layers_of

KNOWN = ["bert", "bert-pad-last", "distilbert", "electra", "roberta", "xlm-roberta"]
UNKNOWN = sorted(set(FAMILIES) - {*KNOWN, "bert-chinese"})


@pytest.fixture(params=KNOWN)
def family(request):
    return request.param


def built(family, **changes):
    """Return a model, the same with its last layer narrowed, and padded inputs."""
    whole, tokenizer = FAMILIES[family].build(**changes)
    # Biases start at 0, and would hide that one is forgotten.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.05
    narrowed = copy.deepcopy(whole)
    assert read_first_token_alone(narrowed)
    return whole, narrowed, dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))


def test_the_first_state_and_the_pooler_are_the_same(family):
    whole, narrowed, inputs = built(family)
    assert not inputs["attention_mask"].all()
    with torch.no_grad():
        expected, found = whole(**inputs), narrowed(**inputs)
    assert found.last_hidden_state.shape == (len(TEXTS), 1, HIDDEN)
    torch.testing.assert_close(
        found.last_hidden_state, expected.last_hidden_state[:, :1], atol=1e-5, rtol=1e-5
    )
    if FAMILIES[family].has_pooler:
        torch.testing.assert_close(
            found.pooler_output, expected.pooler_output, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_whatever_mask_the_model_makes_is_understood(implementation, family):
    whole, narrowed, inputs = built(family)
    whole.set_attn_implementation(implementation)
    narrowed.set_attn_implementation(implementation)
    with torch.no_grad():
        for given in (inputs, {"input_ids": inputs["input_ids"][:1]}):
            torch.testing.assert_close(
                narrowed(**given).last_hidden_state[:, 0],
                whole(**given).last_hidden_state[:, 0],
                atol=1e-5,
                rtol=1e-5,
            )


def test_gradients_are_the_same_under_the_same_names(family):
    whole, narrowed, inputs = built(family)
    for model in (whole, narrowed):
        model(**inputs).last_hidden_state[:, 0].square().mean().backward()
    expected, found = dict(whole.named_parameters()), dict(narrowed.named_parameters())
    assert list(found) == list(expected)
    for name, parameter in expected.items():
        if parameter.grad is None:
            assert found[name].grad is None
            continue
        # The softmax doesn't see the bias of the last layer's keys.
        gradient = found[name].grad
        gradient = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_upper_part_and_checkpointed_activations_give_the_same(family):
    whole, narrowed, inputs = built(family)
    states = whole(**inputs, output_hidden_states=True).hidden_states[2].detach()
    given = {"states": states, "attention_mask": inputs["attention_mask"]}
    checkpoint_activations(narrowed)
    gradients = []
    for model in (whole, narrowed):
        part = UpperPart(model, 2)
        part(**given).last_hidden_state[:, 0].square().mean().backward()
        gradients.append([p.grad for p in layers_of(model, family)[2].parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_what_is_attended_to_has_the_weights_that_dropout_left():
    _, narrowed, inputs = built("bert", attention_probs_dropout_prob=0.5)
    attention = layers_of(narrowed, "bert")[-1].attention.self.train()
    kept = []
    attention.dropout.register_forward_hook(lambda module, args, output: kept.append(output))
    with arguments_of(attention) as states, torch.no_grad():
        attended = []
        attention.register_forward_hook(lambda module, args, output: attended.append(output[0]))
        narrowed(**inputs)
        values = attention.value(states[0]).unflatten(2, (4, -1)).transpose(1, 2)
    assert (kept[0] == 0).float().mean() > 0.4
    expected = (kept[0].unsqueeze(2) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attended[0], expected, atol=1e-5, rtol=1e-5)


def test_one_token_a_text_is_computed(family):
    _, narrowed, inputs = built(family)
    calls = {}
    for name, module in layers_of(narrowed, family)[-1].named_modules():
        if isinstance(module, (nn.Linear, nn.LayerNorm)):
            module.register_forward_hook(
                lambda module, args, output, name=name: calls.update({name: output.numel()})
            )
    with torch.no_grad():
        narrowed(**inputs)
    # Query, output, two of the feed-forward part, two norms; no keys and no values.
    assert len(calls) == 6
    assert not [name for name in calls if "key" in name or "value" in name or "k_lin" in name]
    assert sum(calls.values()) == len(TEXTS) * (5 * HIDDEN + 64)


@pytest.mark.parametrize("family", UNKNOWN)
def test_other_architectures_are_left_as_they_are(family):
    model, tokenizer = FAMILIES[family].build()
    assert not read_first_token_alone(model)
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    assert states.shape == (*inputs["input_ids"].shape, HIDDEN)


@pytest.mark.parametrize(
    "changes",
    [
        {"is_decoder": True},
        {"chunk_size_feed_forward": 2},
        {"position_embedding_type": "relative_key"},
    ],
)
def test_variants_that_need_more_than_the_first_token_are_left(changes):
    model, _ = FAMILIES["bert"].build(**changes)
    assert not read_first_token_alone(model)


def test_one_layer_is_enough():
    whole, narrowed, inputs = built("bert", num_hidden_layers=1)
    assert N_LAYERS > 1
    with torch.no_grad():
        torch.testing.assert_close(
            narrowed(**inputs).last_hidden_state[:, 0],
            whole(**inputs).last_hidden_state[:, 0],
            atol=1e-5,
            rtol=1e-5,
        )
