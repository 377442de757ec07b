"""The module that predicts masked tokens, beside transformers' own models."""

import copy
import pickle

import pytest
import torch

from sklearn_bert.encoder.freezing import resolve_freeze
from sklearn_bert.encoder.language_model import load_language_model
from sklearn_bert.training.masked_module import MaskedLMModule
from tests.models import FAMILIES, N_LAYERS

HIDDEN_IDS = torch.arange(10, 34).view(2, 12)


@pytest.fixture
def make(checkpoint_of):
    """Return a function that makes a module, attached to a checkpoint, with a fixed head."""

    def module(freeze="none", family="bert", precision="float32", **options):
        checkpoint = checkpoint_of(family, precision)
        places = {
            name: place
            for name, place in checkpoint.parameter_places.items()
            if not name.startswith("pooler.")
        }
        shares = checkpoint.lower.shares_layers
        freezing = resolve_freeze(freeze, None, N_LAYERS, places, shares)
        made = MaskedLMModule()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made.attach(checkpoint, freezing, **options)
        return made

    return module


def batch(seed=0):
    """Return ids, a mask with padding, and what to predict."""
    masked = torch.rand(2, 12, generator=torch.Generator().manual_seed(seed)) < 0.3
    present = torch.ones(2, 12, dtype=torch.long)
    present[1, 9:] = 0
    return {
        "input_ids": HIDDEN_IDS,
        "attention_mask": present,
        "masked": masked & present.bool(),
    }


def plain(module, checkpoint):
    """Return transformers' own model with the module's weights."""
    model, _ = load_language_model(checkpoint)
    weights = dict(module.model.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.data.copy_(weights[name])
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_whole_model(family, make, checkpoint_of):
    module = make(family=family).eval()
    inputs = batch()
    with torch.no_grad():
        found = module(**inputs)
        masked = inputs.pop("masked")
        expected = plain(module, checkpoint_of(family))(**inputs).logits[masked]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert found.std() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_tied_to_the_embeddings(family, make):
    module = make("embeddings" if family != "albert" else "all", family)
    embeddings = module.model.get_input_embeddings().weight
    assert module.model.get_output_embeddings().weight is embeddings
    assert not any(parameter is embeddings for parameter in module.head)
    assert not embeddings.requires_grad
    assert not module.has_pretrained_head


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_whole_model(family, make, checkpoint_of):
    module = make(family=family).eval()
    inputs = batch()
    targets = HIDDEN_IDS[inputs["masked"]]
    torch.nn.functional.cross_entropy(module(**inputs), targets).backward()
    expected = plain(module, checkpoint_of(family))
    masked = inputs.pop("masked")
    labels = torch.where(masked, HIDDEN_IDS, -100)
    expected(**inputs, labels=labels).loss.backward()
    found = dict(module.model.named_parameters())
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(
            found[name].grad, parameter.grad, atol=1e-5, rtol=1e-3, msg=lambda m, n=name: f"{n} {m}"
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("freeze", ["all", -1, 2, "embeddings", "none"])
def test_names_of_the_encoder_are_those_that_freeze_knows(family, freeze, make, checkpoint_of):
    if family == "albert" and not isinstance(freeze, str):
        pytest.skip("its layers are one")
    module = make(freeze, family)
    places = checkpoint_of(family).parameter_places
    assert set(module.encoder_parameters) <= set(places)
    trains = {id(p) for p in module.parameters() if p.requires_grad}
    assert trains == {id(p) for p in module.trained_parameters()}
    assert len(module.trained_parameters()) == len(trains)
    assert bool(module.encoder_parameters) == (freeze != "all")
    n_all = {n for n in places if not n.startswith("pooler.")}
    assert freeze != "none" or set(module.encoder_parameters) == n_all


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_frozen_parts_stay_in_evaluation_mode(freeze, make):
    module = make(freeze).train(False).train()
    layers = module.model.bert.encoder.layer
    assert [layer.training for layer in layers] == [
        freeze == "none" or (freeze == -1 and number == N_LAYERS - 1) for number in range(N_LAYERS)
    ]
    assert module.model.bert.embeddings.training == (freeze == "none")
    assert not any(part.training for part in module.eval().modules())


def test_activations_can_be_checkpointed(make):
    inputs = batch()
    gradients = []
    for checkpointing in (False, True):
        module = make(-2, gradient_checkpointing=checkpointing).eval()
        module(**inputs).square().mean().backward()
        gradients.append([p.grad for p in module.trained_parameters()])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_bfloat16_is_near_and_ends_in_an_exact_head(make):
    inputs = batch()
    rough, exact = make(precision="bfloat16").eval(), make().eval()
    with torch.no_grad():
        found, expected = rough(**inputs), exact(**inputs)
    assert found.dtype == torch.float32
    assert torch.cosine_similarity(found, expected).min() > 0.999
    assert len(found[0].unique()) > 0.9 * found.shape[1]
    rough(**inputs).sum().backward()
    assert {p.grad.dtype for p in rough.trained_parameters()} == {torch.float32}


@pytest.mark.parametrize("freeze", ["all", -1, "none"])
def test_copies_and_pickles_hold_what_was_trained(freeze, make, checkpoint_of):
    module = make(freeze).eval()
    with torch.no_grad():
        for parameter in module.trained_parameters():
            parameter.add_(0.1)
        expected = module(**batch())
    trained = {f"bert.{name}" for name in module.encoder_parameters}
    freezing = resolve_freeze(freeze, None, N_LAYERS, checkpoint_of().parameter_places)
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert other.model is None
        assert {name for name in other.trained() if name.startswith("bert.")} == trained
        other.attach(checkpoint_of(), freezing)
        with torch.no_grad():
            torch.testing.assert_close(other.eval()(**batch()), expected)
