"""The loop on masked chunks: each masked token counts alike, in the loss of an epoch too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from sklearn_bert.encoder.corpus import CorpusTokenizer
from sklearn_bert.encoder.freezing import resolve_freeze
from sklearn_bert.training.callbacks import EpochHistory
from sklearn_bert.training.losses import CrossEntropy
from sklearn_bert.training.masked_module import MaskedLMModule
from sklearn_bert.training.masked_net import MaskedLMNet
from sklearn_bert.training.masking import MaskedChunks, Masking
from sklearn_bert.training.optimizer import MakeOptimizer
from tests.models import N_LAYERS, TEXTS


@pytest.fixture
def made(checkpoint_of, saved_model):
    """Return a net, data with masks of a seed, and the same with fixed ones."""
    checkpoint = checkpoint_of()
    tokenizer = CorpusTokenizer(AutoTokenizer.from_pretrained(saved_model()))
    # Of 13 tokens and, the last one, of 4: batches of two have unlike numbers of masks.
    chunks = tokenizer.chunks(tokenizer.corpus(TEXTS, False), 13)[:4]
    chunks.append(type(chunks[0])(chunks[0].ids[:4], chunks[0].words[:4]))
    masking = Masking(0.3, tokenizer.mask_id, tokenizer.ordinary_ids)
    drawn = MaskedChunks(chunks, masking, tokenizer.pad_id, np.random.default_rng(0))
    fixed = MaskedChunks(chunks, masking, tokenizer.pad_id)
    module = MaskedLMModule()
    freezing = resolve_freeze(-1, None, N_LAYERS, checkpoint.parameter_places)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module.attach(checkpoint, freezing)
    history = EpochHistory(fixed)
    net = MaskedLMNet(
        module,
        criterion=CrossEntropy,
        max_epochs=2,
        batch_size=2,
        schedule="constant",
        warmup=0,
        make_optimizer=MakeOptimizer(checkpoint.parameter_places, N_LAYERS, 1e-3, 1e-2, 1, 0),
        device="cpu",
        callbacks=[history],
        callbacks__print_log=None,
        verbose=0,
    )
    return net, drawn, fixed, history


def loss_of(net, dataset):
    """Return the mean loss of a masked token, chunk by chunk."""
    losses = []
    net.module_.eval()
    for row in range(len(dataset)):
        inputs, targets = dataset.batch(np.array([row]))
        with torch.no_grad():
            logits = net.module_(**inputs)
        losses += torch.nn.functional.cross_entropy(logits, targets, reduction="none").tolist()
    return np.mean(losses)


def test_every_masked_token_counts_alike(made):
    net, drawn, fixed, history = made
    net.train(drawn, fixed)
    expected = loss_of(net, fixed)
    assert net.measure(fixed) == pytest.approx((expected, -expected), rel=1e-5)
    assert history.rows[-1]["valid_loss"] == pytest.approx(expected, rel=1e-5)
    assert history.rows[-1]["valid_score"] == -history.rows[-1]["valid_loss"]
    assert [row["epoch"] for row in history.rows] == [0, 1, 2]
    assert history.rows[0]["valid_loss"] > expected


def test_every_masked_token_counts_alike_where_gradients_are_added_up(made):
    net, _, fixed, _ = made
    gradients = []

    def note(net, **more):
        gradients.append([p.grad.clone() for p in net.module_.trained_parameters()])

    net.on_grad_computed = note
    for module in net.module.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    # Weights stand still, so that both begin with the same.
    net.set_params(max_epochs=1, max_grad_norm=None)
    net.make_optimizer = replace(net.make_optimizer, lr=0.0, head_lr=0.0)
    for batch_size, accumulation in ((2, 3), (5, 1)):
        net.set_params(batch_size=batch_size, gradient_accumulation=accumulation)
        net.train(fixed, fixed)
    assert len(gradients) == 2
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_probabilities_of_masked_tokens(made):
    net, _, fixed, _ = made
    net.initialize()
    net.module_.eval()
    inputs, targets = fixed.batch(np.array([0, 1]))
    found = net.probabilities({"input_ids": inputs["input_ids"]}, inputs["masked"])
    assert found.shape == (len(targets), net.module_.model.config.vocab_size)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(len(targets)))


def test_an_epoch_sees_new_masks(made):
    net, drawn, _, history = made
    seen = []
    history.release()
    net.set_params(max_epochs=3)
    net.initialize()
    infer = net.infer
    net.infer = lambda inputs, **more: seen.append(inputs["input_ids"]) or infer(inputs, **more)
    net.train(drawn, None)
    of_epochs = [sorted(row for ids in seen[i : i + 3] for row in ids.tolist()) for i in (0, 3, 6)]
    assert of_epochs[0] != of_epochs[1] != of_epochs[2]
