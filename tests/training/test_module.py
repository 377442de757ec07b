import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_bert.encoder.depth import UpperPart
from sklearn_bert.encoder.freezing import resolve_freeze
from sklearn_bert.training.inputs import make_inputs
from sklearn_bert.training.module import ACTIVATIONS, FineTuneModule, build_head
from tests.models import FAMILIES, HIDDEN, N_LAYERS, PAIRS, TEXTS, ScaledEmbedding, layers_of

FREEZES = ["all", -1, 2, "embeddings", "none"]


def depth_of(freeze):
    return {"all": N_LAYERS, -1: N_LAYERS - 1, "embeddings": 0, "none": 0}.get(freeze, freeze)


def batch(encoder, freeze, poolings=("mean",)):
    inputs = make_inputs(encoder, TEXTS, poolings, depth_of(freeze), freeze != "all")
    return inputs.batch(torch.arange(len(TEXTS)).numpy())


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "deberta-v2", "modernbert"])
def test_outputs_are_the_same_at_every_depth(family, freeze, module_of, encoder_of, reference):
    poolings = ("mean", "cls", "max", "last") + ("pooler",) * FAMILIES[family].has_pooler
    module = module_of(freeze, family=family, poolings=poolings, sizes=(5,)).eval()
    vectors = [
        torch.from_numpy(reference(family).vectors(TEXTS, pooling)).float() for pooling in poolings
    ]
    with torch.no_grad():
        expected = module.head(torch.cat(vectors, dim=1))
        found = module(**batch(encoder_of(family), freeze, poolings))
    assert found.shape == (len(TEXTS), 2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("poolings", [("cls",), ("pooler",), ("pooler", "cls"), ("cls", "mean")])
def test_the_last_layer_reads_no_more_than_the_poolings_do(
    poolings, freeze, module_of, encoder_of, reference
):
    module = module_of(freeze, poolings=poolings).eval()
    vectors = [torch.from_numpy(reference("bert").vectors(TEXTS, p)).float() for p in poolings]
    lengths = []
    if freeze != "all":
        model = getattr(module.encoder, "model", module.encoder)
        layers_of(model, "bert")[-1].output.register_forward_hook(
            lambda layer, args, output: lengths.append(output.shape[1])
        )
    inputs = batch(encoder_of("bert"), freeze, poolings)
    with torch.no_grad():
        expected = module.head(torch.cat(vectors, dim=1))
        torch.testing.assert_close(module(**inputs), expected, atol=1e-4, rtol=1e-4)
    if freeze != "all":
        longest = inputs["attention_mask"].shape[1]
        assert lengths == [longest if "mean" in poolings else 1]


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta-v2", "modernbert"])
def test_the_head_sees_both_halves_of_separate_pairs(
    family, freeze, module_of, encoder_of, reference
):
    poolings = ("mean", "cls")
    module = module_of(freeze, family=family, poolings=poolings, pairs="separate").eval()
    vectors = reference(family).vectors
    first, second = (
        torch.cat([torch.from_numpy(vectors(half, p)).float() for p in poolings], dim=1)
        for half in zip(*PAIRS, strict=True)
    )
    joined = torch.cat([first, second, (first - second).abs(), first * second], dim=1)
    depth = depth_of(freeze)
    inputs = make_inputs(encoder_of(family), PAIRS, poolings, depth, freeze != "all", "separate")
    with torch.no_grad():
        found = module(**inputs.batch(np.arange(len(PAIRS))))
        torch.testing.assert_close(found, module.head(joined), atol=1e-4, rtol=1e-4)


def in_training(module):
    """Return the names of the modules in training mode."""
    return {name for name, part in module.named_modules() if part.training}


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta-v2", "modernbert"])
def test_what_is_frozen_stays_in_evaluation_mode(family, module_of):
    layer = "layers.1" if family == "modernbert" else "layer.1"
    module = module_of("all", unfreeze=[layer], family=family)
    layers = layers_of(module.encoder.model, family)
    assert len(layers) == N_LAYERS - 1
    for _ in range(2):
        module.train()
        trains, *frozen = layers
        assert in_training(module.head)
        assert all(part.training for part in trains.modules())
        for part in frozen:
            assert not any(inner.training for inner in part.modules())
        module.eval()
        assert not any(part.training for part in module.modules())


@pytest.mark.parametrize("freeze", ["all", -1, 2])
def test_frozen_embeddings_never_drop_out(freeze, module_of):
    module = module_of(freeze, encoder_dropout=True).train()
    assert not any("embeddings" in name for name in in_training(module))


def test_dropout_is_off_in_frozen_layers_and_on_in_those_that_train(module_of, encoder_of):
    def outputs(**parameters):
        module = module_of(encoder_dropout=True, **parameters).train()
        given = batch(encoder_of(), 3 if module.encoder.start == 3 else 2)
        with torch.no_grad():
            return module(**given), module(**given)

    with torch.random.fork_rng(devices=[]):
        frozen = outputs(freeze="all", unfreeze=["pooler"])
        partly = outputs(freeze="all", unfreeze=["layer.3.output.LayerNorm"])
        trained = outputs(freeze=2)
    assert torch.equal(*frozen)
    assert not torch.equal(*partly)
    assert not torch.equal(*trained)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_layer_that_trains_in_part_drops_out_in_that_part(pooling, module_of):
    module = module_of(
        "all", unfreeze=["layer.3.output"], poolings=(pooling,), encoder_dropout=True
    ).train()
    layer = layers_of(module.encoder.model, "bert")[0]
    assert all(part.training for part in layer.output.modules())
    assert not any(part.training for part in layer.attention.modules())
    assert not any(part.training for part in layer.intermediate.modules())


def test_modes_follow_what_trains(module_of):
    module = module_of(2).train()
    layers = layers_of(module.encoder.model, "bert")
    layers[0].requires_grad_(False)
    module.set_modes()
    assert not any(part.training for part in layers[0].modules())
    assert all(part.training for part in layers[1].modules())


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_gradients_reach_all_that_trains_and_nothing_else(family, freeze, module_of, encoder_of):
    module = module_of(freeze, family=family).train()
    module(**batch(encoder_of(family), freeze)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    trained = module.trained_parameters()
    assert {id(p) for p in trained} == {id(p) for p in module.parameters() if p.requires_grad}
    assert len({id(p) for p in trained}) == len(trained)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_the_first_token_alone_gives_gradients_to_all_but_the_bias_of_keys(
    family, module_of, encoder_of
):
    module = module_of(-1, family=family, poolings=("cls",)).train()
    module(**batch(encoder_of(family), -1, ("cls",))).square().sum().backward()
    without = [name for name, p in module.encoder_parameters.items() if p.grad is None]
    # It adds the same to all scores of a softmax.
    (name,) = without
    assert name.endswith(("self.key.bias", "k_lin.bias"))


@pytest.mark.parametrize("freeze", [-1, 2, "none"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_checkpointed_activations_give_the_same_gradients(pooling, freeze, module_of, encoder_of):
    given = batch(encoder_of(), freeze, (pooling,))
    gradients = []
    for checkpointing in (False, True):
        module = module_of(
            freeze,
            poolings=(pooling,),
            encoder_dropout=True,
            dropout=0.1,
            gradient_checkpointing=checkpointing,
        ).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module(**given).square().sum().backward()
        gradients.append([p.grad for p in module.trained_parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_word_embeddings_that_are_narrowed_give_the_same_and_come_back(
    family, module_of, encoder_of
):
    module = module_of("none", family=family)
    given = batch(encoder_of(family), "none")
    before = {name: weights.clone() for name, weights in module.trained().items()}
    n_trainable = module.n_trainable_parameters()
    expected = module(**given)
    embedding = module.encoder.get_input_embeddings()
    ids = given["input_ids"].unique()
    module.narrow(ids)
    assert module.encoder.get_input_embeddings().weight.shape == (len(ids), embedding.embedding_dim)
    assert module.n_trainable_parameters() == n_trainable
    torch.testing.assert_close(module(**given), expected)
    module.train()(**given).square().sum().backward()
    assert module.encoder.get_input_embeddings().weight.grad.any()
    with torch.no_grad():
        for parameter in module.trained_parameters():
            parameter.add_(1.0)
    trained = {name: weights.clone() for name, weights in module.trained().items()}
    module.widen()
    assert module.encoder.get_input_embeddings() is embedding
    name = next(n for n, p in module.encoder_parameters.items() if p is embedding.weight)
    used = torch.zeros(len(embedding.weight), dtype=torch.bool)
    used[ids] = True
    torch.testing.assert_close(embedding.weight[used], before[name][used] + 1)
    assert torch.equal(embedding.weight[~used], before[name][~used])
    assert all(torch.equal(weights, trained[n]) for n, weights in module.trained().items())


def test_word_embeddings_that_do_more_than_look_up_are_left_whole(module_of, encoder_of):
    module = module_of("none")
    weights = module.encoder.get_input_embeddings().weight
    scaled = ScaledEmbedding(*weights.shape)
    scaled.weight = weights
    module.encoder.set_input_embeddings(scaled)
    module.narrow(batch(encoder_of(), "none")["input_ids"].unique())
    assert module.encoder.get_input_embeddings() is scaled
    assert scaled.weight is weights


def test_the_shared_checkpoint_is_never_changed(module_of, encoder_of):
    given = batch(encoder_of(), "none")
    shared = encoder_of().checkpoint.lower.model

    def states():
        with torch.no_grad():
            return shared(**given).last_hidden_state

    before = states()
    module = module_of("none").train()
    assert not {id(p) for p in module.parameters()} & {id(p) for p in shared.parameters()}
    module(**given).square().sum().backward()
    with torch.no_grad():
        for parameter in module.trained_parameters():
            parameter.add_(1.0)
    assert torch.equal(states(), before)
    assert not any(p.requires_grad for p in shared.parameters())
    assert not any(part.training for part in shared.modules())


def disturb(module):
    with torch.no_grad():
        for number, parameter in enumerate(module.trained_parameters()):
            parameter.mul_(1 + 0.01 * (number % 7))
    return module.eval()


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize("freeze", FREEZES)
def test_a_copy_keeps_what_was_trained_and_gets_the_rest_again(freeze, how, module_of, encoder_of):
    module = disturb(module_of(freeze, sizes=(8,)))
    encoder = encoder_of()
    given = batch(encoder, freeze)
    with torch.no_grad():
        expected = module(**given)
    trained = {name: p.detach().clone() for name, p in module.trained().items()}
    kept = pickle.loads(pickle.dumps(module)) if how == "pickle" else copy.deepcopy(module)
    assert kept.encoder is None
    assert kept.encoder_parameters == {}
    assert kept.trained().keys() == trained.keys()
    assert all(torch.equal(kept.trained()[name], trained[name]) for name in trained)
    # A copy is a copy: what is done to the first does not reach it.
    disturb(module)
    again = pickle.loads(pickle.dumps(kept)) if how == "pickle" else copy.deepcopy(kept)
    for copied in (kept, again):
        checkpoint = encoder.checkpoint
        places = checkpoint.parameter_places
        copied.attach(checkpoint, resolve_freeze(freeze, None, N_LAYERS, places))
        with torch.no_grad():
            torch.testing.assert_close(copied(**given), expected, atol=0, rtol=0)
        assert not any(part.training for part in copied.modules())


def test_a_pickle_holds_what_was_trained_and_no_more(module_of):
    sizes = {freeze: len(pickle.dumps(module_of(freeze))) for freeze in FREEZES}
    trained = {
        freeze: sum(4 * p.numel() for p in module_of(freeze).trained_parameters())
        for freeze in FREEZES
    }
    for freeze in FREEZES:
        assert trained[freeze] < sizes[freeze] < 1.2 * trained[freeze] + 20_000
    assert sizes["all"] < 0.1 * sizes["none"]


def test_what_was_trained_goes_on_to_train_with_less_frozen(module_of, encoder_of):
    module = disturb(module_of(-1))
    checkpoint = encoder_of().checkpoint
    kept = copy.deepcopy(module)
    kept.attach(checkpoint, resolve_freeze(2, None, N_LAYERS, checkpoint.parameter_places))
    with torch.no_grad():
        found = kept(**batch(encoder_of(), 2))
        expected = module(**batch(encoder_of(), -1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert set(kept.trained()) > set(module.trained())


@pytest.mark.parametrize(("freeze", "kind"), [("all", type(None)), (2, UpperPart), (-1, UpperPart)])
def test_only_what_runs_is_held(freeze, kind, module_of):
    assert isinstance(module_of(freeze).encoder, kind)


def test_the_pooler_is_held_only_where_it_is_used(module_of):
    assert not any("pooler" in name for name in module_of(-1).trained())
    assert any("pooler" in name for name in module_of(-1, poolings=("mean", "pooler")).trained())


@pytest.mark.parametrize("precision", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("freeze", ["all", -1, "none"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_what_trains_is_exact(pooling, precision, freeze, module_of, encoder_of):
    module = module_of(freeze, poolings=(pooling,), precision=precision)
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in module.trained_parameters()} == {expected}
    outputs = module(**batch(encoder_of(precision=precision), freeze, (pooling,)))
    assert outputs.dtype == expected


@pytest.mark.parametrize(
    ("sizes", "shapes"),
    [
        ((), [(2, 64)]),
        ((10,), [(10, 64), (2, 10)]),
        ((16, 8, 4), [(16, 64), (8, 16), (4, 8), (2, 4)]),
    ],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_sizes_of_heads(sizes, shapes, activation):
    head = build_head(64, sizes, 2, activation, 0.3)
    linears = [part for part in head if isinstance(part, nn.Linear)]
    assert [tuple(linear.weight.shape) for linear in linears] == shapes
    between = [part for part in head if not isinstance(part, (nn.Linear, nn.Dropout))]
    assert [type(part) for part in between] == [ACTIVATIONS[activation]] * len(sizes)
    drops = [part for part in head if isinstance(part, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.3] * len(shapes)
    assert head(torch.zeros(3, 64)).shape == (3, 2)
    assert not isinstance(head[-1], nn.Dropout)


@pytest.mark.parametrize("sizes", [(), (200,)])
def test_heads_start_as_berts_do(sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = build_head(300, sizes, 50, "relu", 0.0)
    assert head[-1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not head[-1].bias.any()


def test_a_module_before_it_is_attached_has_its_head_alone():
    module = FineTuneModule(build_head(HIDDEN, (), 3, "relu", 0.0), ["mean"])
    assert module.trained() == {}
    assert len(module.trained_parameters()) == 2
    assert module(vectors=torch.zeros(4, HIDDEN)).shape == (4, 3)
