"""The last layer for the first token alone, against the same model with all tokens."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from sklearn_bert.encoder.depth import UpperPart, checkpoint_activations
from sklearn_bert.encoder.first_token import read_first_token_alone
from sklearn_bert.encoder.hooks import arguments_of
from tests.models import FAMILIES, HIDDEN, N_LAYERS, TEXTS, layers_of

KNOWN = ["bert", "bert-pad-last", "distilbert", "electra", "roberta", "xlm-roberta"]
UNKNOWN = sorted(set(FAMILIES) - {*KNOWN, "bert-chinese"})


def _is_last_key_bias(name):
    return name.endswith(
        (f"{N_LAYERS - 1}.attention.self.key.bias", f"{N_LAYERS - 1}.attention.k_lin.bias")
    )


@pytest.fixture(params=KNOWN)
def family(request):
    return request.param


def built(family, **changes):
    """Return a model, the same with its last layer narrowed, and padded inputs."""
    return narrowed_beside(FAMILIES[family], **changes)


def narrowed_beside(family, **changes):
    whole, tokenizer = family.build(**changes)
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
        if _is_last_key_bias(name):
            # The softmax doesn't see it.
            assert found[name].grad is None
            assert parameter.grad.abs().max() < 1e-6
        elif parameter.grad is None:
            assert found[name].grad is None
        else:
            torch.testing.assert_close(found[name].grad, parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_upper_part_and_checkpointed_activations_give_the_same(family):
    whole, narrowed, inputs = built(family)
    states = whole(**inputs, output_hidden_states=True).hidden_states[2].detach()
    given = {"states": states, "attention_mask": inputs["attention_mask"]}
    checkpoint_activations(narrowed)
    first, gradients = [], []
    for model in (whole, narrowed):
        first.append(UpperPart(model, 2)(**given).last_hidden_state[:, 0])
        first[-1].square().mean().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(first[1], first[0], atol=1e-5, rtol=1e-5)
    without_key_bias = {n: g for n, g in gradients[0].items() if not _is_last_key_bias(n)}
    assert len(without_key_bias) == len(gradients[0]) - 1
    torch.testing.assert_close(gradients[1], without_key_bias, atol=1e-5, rtol=1e-4)


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_every_precision_is_as_close_as_with_all_tokens(dtype, family):
    whole, narrowed, inputs = built(family)
    with torch.no_grad():
        exact = whole.double()(**inputs).last_hidden_state[:, 0]
        if dtype == torch.float64:
            found = narrowed.double()(**inputs).last_hidden_state[:, 0]
            torch.testing.assert_close(found, exact)
            return
        with torch.autocast("cpu", dtype):
            rough = whole.float()(**inputs).last_hidden_state[:, 0]
            found = narrowed(**inputs).last_hidden_state[:, 0]
    assert (found - exact).abs().max() < 2 * (rough - exact).abs().max()


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (FAMILIES["bert"], {"num_hidden_layers": 1}),
        (replace(FAMILIES["xlm-roberta"], config="CamembertConfig"), {}),
    ],
    ids=["one layer", "camembert"],
)
def test_further_models(family, changes):
    whole, narrowed, inputs = narrowed_beside(family, **changes)
    with torch.no_grad():
        torch.testing.assert_close(
            narrowed(**inputs).last_hidden_state[:, 0],
            whole(**inputs).last_hidden_state[:, 0],
            atol=1e-5,
            rtol=1e-5,
        )
