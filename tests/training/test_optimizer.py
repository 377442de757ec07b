import pytest
import torch

from sklearn_bert.training.optimizer import MakeOptimizer
from tests.models import FAMILIES, N_LAYERS

RATES = {"lr": 1e-2, "head_lr": 0.5, "layer_lr_decay": 0.5, "weight_decay": 0.01}


def maker(checkpoint, **changes):
    return MakeOptimizer(checkpoint.parameter_places, N_LAYERS, **(RATES | changes))


@pytest.mark.parametrize("freeze", ["all", -1, 2, "embeddings", "none"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_trained_parameter_is_in_one_group(family, freeze, module_of, checkpoint_of):
    if family == "albert" and not isinstance(freeze, str):
        pytest.skip("its layers are one")
    module = module_of(freeze, family=family, sizes=(8,))
    groups = maker(checkpoint_of(family)).groups(module)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in module.parameters() if p.requires_grad}
    assert set(grouped) == {id(p) for p in module.trained_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_norms_do_not_decay_and_all_else_does(family, module_of, checkpoint_of):
    module = module_of(family=family, sizes=(8,))
    decays = {
        id(p): group["weight_decay"]
        for group in maker(checkpoint_of(family)).groups(module)
        for p in group["params"]
    }
    for name, parameter in module.named_parameters():
        plain = name.endswith("bias") or "norm" in name.lower()
        # DeBERTa's q_bias and v_bias end in "bias" too; MPNet's table of positions is no bias.
        plain = plain and not name.endswith("relative_attention_bias.weight")
        assert decays[id(parameter)] == (0.0 if plain else 0.01), name


@pytest.mark.parametrize("family", FAMILIES)
def test_rates_fall_from_layer_to_layer(family, module_of, checkpoint_of):
    module = module_of(family=family)
    rates = {
        id(p): group["lr"]
        for group in maker(checkpoint_of(family)).groups(module)
        for p in group["params"]
    }
    places = checkpoint_of(family).parameter_places
    assert all(rates[id(p)] == 0.5 for p in module.head.parameters())
    for name, parameter in module.encoder_parameters.items():
        place = places[name]
        height = 0 if place is None else min(place, N_LAYERS - 1)
        expected = 1e-2 * 0.5 ** (N_LAYERS - 1 - height)
        assert rates[id(parameter)] == pytest.approx(expected), name
    assert {rates[id(module.encoder.get_input_embeddings().weight)]} == {1e-2 * 0.5**N_LAYERS}


def test_rates_do_not_depend_on_how_much_is_frozen(module_of, checkpoint_of):
    def rate_of_top(freeze):
        groups = maker(checkpoint_of()).groups(module_of(freeze))
        return {group["lr"] for group in groups if group["name"] == "layer.3"}

    assert rate_of_top(-1) == rate_of_top(1) == rate_of_top("none") == {1e-2}


def test_without_decay_of_rates_all_layers_learn_alike(module_of, checkpoint_of):
    groups = maker(checkpoint_of(), layer_lr_decay=1.0).groups(module_of())
    assert {group["lr"] for group in groups if group["name"] != "head"} == {1e-2}
    assert {group["lr"] for group in groups if group["name"] == "head"} == {0.5}


def test_the_pooler_learns_as_the_top_layer(module_of, checkpoint_of):
    module = module_of(-1, poolings=("pooler",))
    [group, *_] = [
        group
        for group in maker(checkpoint_of()).groups(module)
        if any(p is module.encoder_parameters["pooler.dense.weight"] for p in group["params"])
    ]
    assert (group["name"], group["lr"]) == ("layer.3", 1e-2)


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_the_optimizer_moves_what_trains_and_nothing_else(freeze, module_of, checkpoint_of):
    module = module_of(freeze)
    before = {name: p.clone() for name, p in module.named_parameters()}
    optimizer = maker(checkpoint_of())(module)
    assert isinstance(optimizer, torch.optim.AdamW)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


def test_without_a_gradient_decay_alone_shrinks_weights(module_of, checkpoint_of):
    module = module_of(-1)
    before = {name: p.clone() for name, p in module.named_parameters()}
    optimizer = maker(checkpoint_of(), weight_decay=0.1)(module)
    for parameter in module.trained_parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    weight = "encoder.model.encoder.layer.0.output.dense.weight"
    norm = "encoder.model.encoder.layer.0.output.LayerNorm.weight"
    after = dict(module.named_parameters())
    torch.testing.assert_close(after[weight], before[weight] * (1 - 1e-2 * 0.1))
    assert torch.equal(after[norm], before[norm])
