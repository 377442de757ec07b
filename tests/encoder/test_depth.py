"""The lower and the upper part of every architecture, against transformers' own states."""

import re
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModel, BertConfig

from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.encoder.depth import (
    LowerPart,
    UpperPart,
    checkpoint_activations,
    parameter_places,
    resolve_layer,
)
from sklearn_bert.errors import ModelLoadError
from tests.models import FAMILIES, HIDDEN, N_LAYERS, PAIRS, TEXTS, hidden_states, layers_of

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


def test_autocast_around_it_changes_nothing(family, saved_model, reference):
    lower = load_checkpoint(saved_model(family), None, CPU, "float32").lower
    inputs = padded(reference(family).tokenizer, TEXTS)
    expected, _ = seen_states(lower, inputs, N_LAYERS)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = seen_states(lower, inputs, N_LAYERS)
    for depth, states in expected.items():
        assert torch.equal(found[depth], states)


def test_states_at_every_depth_equal_transformers_hidden_states(family, saved_model, reference):
    folder = saved_model(family)
    lower = load_checkpoint(folder, None, CPU, "float32").lower
    plain = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    inputs = padded(reference(family).tokenizer, TEXTS)
    present = inputs["attention_mask"].bool()
    assert not present.all()
    with torch.no_grad():
        expected = hidden_states(plain(**inputs, output_hidden_states=True))
    assert lower.n_layers == N_LAYERS
    for depth in range(N_LAYERS + 1):
        seen, _ = seen_states(lower, inputs, depth)
        assert list(seen) == list(range(depth + 1))
        for passed, states in seen.items():
            torch.testing.assert_close(
                states[present], expected[passed][present], atol=1e-5, rtol=1e-5
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
    with pytest.raises(ModelLoadError, match=r"^Linear.*it has no list of layers\. Take an"):
        LowerPart(model)


@pytest.mark.parametrize(
    ("config", "settings", "depth"),
    [
        # Calls `forward` of its layers, so that hooks in front of them see nothing.
        ("SqueezeBertConfig", {"embedding_size": HIDDEN}, 1),
        ("SqueezeBertConfig", {"embedding_size": HIDDEN}, N_LAYERS),
        # Its layers are several in one, each of which a text passes as often as it has layers.
        ("AlbertConfig", {"embedding_size": 16, "inner_group_num": N_LAYERS}, N_LAYERS),
    ],
)
def test_a_text_that_passes_more_layers_or_fewer_is_an_error(config, settings, depth):
    model, tokenizer = replace(FAMILIES["bert"], config=config, settings=settings).build()
    with pytest.raises(ModelLoadError, match="does not pass 4 layers one after another"):
        seen_states(LowerPart(model), padded(tokenizer, TEXTS), depth)


UNSHARED = [name for name in FAMILIES if name != "albert"]
STARTS = range(1, N_LAYERS)
# Without those that differ from BERT in their tokenizers alone.
ARCHITECTURES = [name for name in UNSHARED if not name.startswith("bert-")]
SOME = [TEXTS[0], "", TEXTS[4], TEXTS[7]]


def exact(family, **changes):
    """Return a model in float64, and an input with padding."""
    model, tokenizer = FAMILIES[family].build(**changes)
    inputs = padded(tokenizer, SOME)
    assert not inputs["attention_mask"].all()
    return model.double(), inputs


def states_at(model, inputs, start):
    """Return the states at a depth as training gets them."""
    seen, _ = seen_states(LowerPart(model), inputs, start)
    return seen[start].clone()


def upper_output(model, inputs, start):
    states = states_at(model, inputs, start)
    return UpperPart(model, start)(states, inputs["attention_mask"])


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("family", UNSHARED)
def test_the_upper_part_goes_on_from_states_to_the_models_output(family, start):
    model, inputs = exact(family)
    present = inputs["attention_mask"].bool()
    with torch.no_grad():
        expected = model(**inputs)
        output = upper_output(model, inputs, start)
    torch.testing.assert_close(
        output.last_hidden_state[present], expected.last_hidden_state[present]
    )
    assert ("pooler_output" in expected) == FAMILIES[family].has_pooler
    if FAMILIES[family].has_pooler:
        torch.testing.assert_close(output.pooler_output, expected.pooler_output)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_upper_part_without_padding_needs_no_mask(family):
    model, tokenizer = FAMILIES[family].build()
    inputs = dict(tokenizer([TEXTS[0]] * 2, return_tensors="pt"))
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
        found = UpperPart(model, 2)(states_at(model, inputs, 2)).last_hidden_state
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_upper_part_goes_on_from_pairs():
    model, tokenizer = FAMILIES["bert"].build()
    model.double()
    inputs = dict(
        tokenizer([a for a, _ in PAIRS], [b for _, b in PAIRS], padding=True, return_tensors="pt")
    )
    present = inputs["attention_mask"].bool()
    assert inputs["token_type_ids"].any()
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
        output = upper_output(model, inputs, 1)
    torch.testing.assert_close(output.last_hidden_state[present], expected[present])


def test_albert_shares_layers_even_with_a_group_for_each(tmp_path):
    model, _ = exact("albert", num_hidden_groups=N_LAYERS, inner_group_num=1)
    assert LowerPart(model).shares_layers
    assert {parameter_places(model)[n] for n, _ in model.named_parameters() if "groups" in n} == {
        None
    }


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_parts_leave_the_model_as_it_is(family):
    model, inputs = exact(family)
    parameters = {name: (id(p), p.clone()) for name, p in model.named_parameters()}
    modules = {name: id(module) for name, module in model.named_modules()}
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state
        parts = [UpperPart(model, start) for start in STARTS]
        assert torch.equal(model(**inputs).last_hidden_state, expected)
        for part in parts:
            part.train()
            part(torch.zeros_like(expected), inputs["attention_mask"])
            part.eval()
            assert torch.equal(model(**inputs).last_hidden_state, expected)
    assert {name: id(module) for name, module in model.named_modules()} == modules
    for name, parameter in model.named_parameters():
        number, value = parameters[name]
        assert id(parameter) == number
        assert torch.equal(parameter, value)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_upper_part_has_neither_lower_layers_nor_tokens(family):
    model, _ = exact(family)
    tokens = model.get_input_embeddings().weight
    layers = layers_of(model, family)
    # DeBERTa's convolution follows the first layer, and is left out with it.
    conv = [p for n, p in model.named_parameters() if n.startswith("encoder.conv.")]
    for start in STARTS:
        below = [p for layer in layers[:start] for p in layer.parameters()]
        upper = [p for layer in layers[start:] for p in layer.parameters()]
        held = {id(p): p for p in UpperPart(model, start).parameters()}
        assert not {id(p) for p in [tokens, *below]} & set(held)
        assert {id(p) for p in upper} <= set(held)
        dropped = sum(p.numel() for p in [tokens, *below, *conv])
        # In place of the table of tokens stands one row.
        expected = sum(p.numel() for p in model.parameters()) - dropped + tokens.shape[1]
        assert sum(p.numel() for p in held.values()) == expected


def gradients(model, inputs, run):
    """Return the gradients that reach the model's parameters, by name."""
    model.zero_grad()
    weights = inputs["attention_mask"].unsqueeze(-1)
    (run().last_hidden_state * weights).square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_gradients_reach_the_layers_above_and_are_those_of_the_whole_model(family):
    model, inputs = exact(family)
    states, _ = seen_states(LowerPart(model), inputs, N_LAYERS)
    places = parameter_places(model)
    whole = gradients(model, inputs, lambda: model(**inputs))
    for start in STARTS:
        part = UpperPart(model, start)
        given = states[start].clone()
        run = partial(part, given, inputs["attention_mask"])
        found = gradients(model, inputs, run)
        reached = {places[name] for name, gradient in found.items() if gradient.any()}
        assert reached - {None, N_LAYERS} == set(range(start, N_LAYERS))
        above = [name for name in whole if (places[name] or 0) >= start]
        assert set(above) <= set(found)
        for name in above:
            torch.testing.assert_close(found[name], whole[name])


@pytest.mark.parametrize("start", [0, 1, N_LAYERS - 1])
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_checkpointing_activations_gives_the_same_gradients(family, start):
    model, inputs = exact(family)
    states = states_at(model, inputs, start)
    part = UpperPart(model, start) if start else None
    model.train()

    def run():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return part(states, inputs["attention_mask"]) if start else model(**inputs)

    ran = []
    inner = next(m for m in layers_of(model, family)[-1].modules() if isinstance(m, nn.Linear))
    inner.register_forward_hook(lambda *_: ran.append(1))
    expected = gradients(model, inputs, run)
    once = len(ran)
    checkpoint_activations(model)
    found = gradients(model, inputs, run)
    assert len(ran) == 3 * once
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name])
    with torch.no_grad():
        run()
    assert len(ran) == 4 * once


def test_checkpointed_albert_has_the_same_gradients():
    model, inputs = exact("albert")
    expected = gradients(model, inputs, lambda: model(**inputs))
    checkpoint_activations(model)
    found = gradients(model, inputs, lambda: model(**inputs))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name])


def test_the_upper_part_lets_go_of_states():
    model, inputs = exact("bert")
    states = states_at(model, inputs, 2)
    part = UpperPart(model, 2)
    with torch.no_grad():
        part(states, inputs["attention_mask"])
    watched = weakref.ref(states)
    del states
    assert watched() is None


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_lower_part_visits_the_same_from_states_as_from_tokens(family):
    model, inputs = exact(family)
    present = inputs["attention_mask"].bool()
    from_tokens = LowerPart(model)
    expected, pooled = seen_states(from_tokens, inputs, N_LAYERS)
    for start in STARTS:
        from_states = LowerPart(model, start)
        given = {"states": expected[start], "attention_mask": inputs["attention_mask"]}
        for depth in (start, N_LAYERS - 1, N_LAYERS):
            seen, pooled_again = seen_states(from_states, given, depth)
            assert list(seen) == list(range(start, depth + 1))
            for passed, states in seen.items():
                torch.testing.assert_close(states[present], expected[passed][present])
            if depth == N_LAYERS and FAMILIES[family].has_pooler:
                torch.testing.assert_close(pooled_again, pooled)
            else:
                assert pooled_again is None
        # On the same model, right after.
        again, _ = seen_states(from_tokens, inputs, N_LAYERS)
        assert all(torch.equal(again[passed], expected[passed]) for passed in expected)


def test_many_parts_of_one_model_keep_out_of_each_others_way():
    model, inputs = exact("bert")
    present = inputs["attention_mask"].bool()
    parts = [LowerPart(model, start) for start in (3, 0, 1, 2, 1)]
    expected, _ = seen_states(parts[1], inputs, N_LAYERS)
    for part in parts + parts[::-1]:
        given = inputs
        if part.start:
            states = expected[part.start]
            given = {"states": states, "attention_mask": inputs["attention_mask"]}
        seen, _ = seen_states(part, given, N_LAYERS)
        assert list(seen) == list(range(part.start, N_LAYERS + 1))
        torch.testing.assert_close(seen[N_LAYERS][present], expected[N_LAYERS][present])


def test_an_error_while_going_on_from_states_leaves_nothing_behind():
    model, inputs = exact("bert")
    lower, upper = LowerPart(model), LowerPart(model, 2)
    expected, _ = seen_states(lower, inputs, N_LAYERS)

    def refuse(depth, states):
        if depth == 3:
            raise KeyError("no")

    with torch.no_grad(), pytest.raises(KeyError):
        upper.run({"states": -expected[2]}, N_LAYERS, refuse)
    again, _ = seen_states(lower, inputs, N_LAYERS)
    assert torch.equal(again[N_LAYERS], expected[N_LAYERS])


def test_each_parameter_has_its_place(family):
    model, _ = exact(family)
    places = parameter_places(model)
    assert list(places) == [name for name, _ in model.named_parameters()]
    if family == "albert":
        assert not set(places.values()) - {-1, N_LAYERS, None}
    else:
        for number, layer in enumerate(layers_of(model, family)):
            of_layer = {id(p) for p in layer.parameters()}
            there = {name for name, place in places.items() if place == number}
            assert {id(model.get_parameter(name)) for name in there} == of_layer
    tokens = model.get_input_embeddings().weight
    assert [places[name] for name, p in model.named_parameters() if p is tokens] == [-1]


@pytest.mark.parametrize(
    ("family", "name", "place"),
    [
        ("bert", "embeddings.word_embeddings.weight", -1),
        ("bert", "embeddings.LayerNorm.bias", -1),
        ("bert", "encoder.layer.0.attention.self.query.weight", 0),
        ("bert", "encoder.layer.3.output.LayerNorm.bias", 3),
        ("bert", "pooler.dense.weight", N_LAYERS),
        ("distilbert", "embeddings.position_embeddings.weight", -1),
        ("distilbert", "transformer.layer.2.ffn.lin1.weight", 2),
        ("electra", "embeddings_project.weight", -1),
        ("albert", "encoder.embedding_hidden_mapping_in.weight", -1),
        ("albert", "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight", None),
        ("albert", "pooler.weight", N_LAYERS),
        ("mpnet", "encoder.relative_attention_bias.weight", None),
        ("deberta", "encoder.rel_embeddings.weight", None),
        ("deberta-v2", "encoder.conv.conv.weight", None),
        ("deberta-v2", "encoder.LayerNorm.weight", None),
        ("modernbert", "embeddings.norm.weight", -1),
        ("modernbert", "layers.1.mlp.Wi.weight", 1),
        ("modernbert", "final_norm.weight", N_LAYERS),
    ],
)
def test_places_by_name(family, name, place):
    assert parameter_places(FAMILIES[family].build()[0])[name] == place
