"""The recipes of other tools: they learn, predict classes, and freeze what they are told to."""

import argparse
from importlib import metadata

import numpy as np
import pytest
import torch

from benchmarks import finetune
from benchmarks.machine import versions
from benchmarks.report import Report
from benchmarks.rivals import trainer
from benchmarks.rivals.models import load_classifier
from benchmarks.rivals.recipes import RECIPES
from benchmarks.rivals.setfit import MOST_STEPS, default_pairs, steps
from benchmarks.rivals.trainer import run_frozen_without_gradients
from benchmarks.rivals.training import encode_labels, tokenize
from tests import needs

# What others warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = ["good film", "bad film", "a dull plot", "the good plot"] * 6
LABELS = np.array(["up", "down", "flat", "up"] * 6)
NEEDED = {"trainer": ["accelerate"], "expert": ["accelerate"], "setfit": ["setfit", "accelerate"]}
LENGTH = 16


def trained(name, folder, texts=TEXTS, labels=LABELS, freeze="none", epochs=1):
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    return RECIPES[name].train(
        texts,
        labels,
        folder=str(folder),
        freeze=freeze,
        epochs=epochs,
        seed=0,
        max_length=LENGTH,
    )


@pytest.mark.parametrize("name", list(RECIPES))
def test_predicts_the_classes_it_was_given(saved_model, name):
    fitted = trained(name, saved_model())
    predicted = fitted.predict(TEXTS[:5])
    assert predicted.shape == (5,)
    assert set(predicted) <= set(LABELS)
    assert fitted.run.seconds > 0


@pytest.mark.parametrize("name", ["trainer", "expert", "padded", "items"])
def test_predictions_belong_to_their_texts(saved_model, name):
    fitted = trained(name, saved_model(), epochs=2)
    longer = [" ".join([text] * (1 + i % 5)) for i, text in enumerate(TEXTS)]
    alone = [fitted.predict([text])[0] for text in longer]
    np.testing.assert_array_equal(fitted.predict(longer), alone)


@pytest.mark.parametrize("name", ["trainer", "expert", "padded", "items", "setfit"])
def test_pairs(saved_model, name):
    pairs = [(text, "the film") for text in TEXTS]
    assert len(trained(name, saved_model(), texts=pairs).predict(pairs[:3])) == 3


@pytest.mark.parametrize("freeze", ["none", "-1", "all"])
def test_freezes_as_ours(saved_model, freeze):
    from sklearn_bert import BertFineTuneClassifier

    model = load_classifier(str(saved_model()), 3, freeze, seed=0)
    ours = BertFineTuneClassifier(
        saved_model(),
        freeze=freeze if freeze in ("none", "all") else int(freeze),
        pooling=["pooler"],
        max_epochs=1,
        random_state=0,
    ).fit(TEXTS, LABELS)
    names = {name for name, p in model.base_model.named_parameters() if p.requires_grad}
    assert names == set(ours.freezing_.trainable)
    assert all(p.requires_grad for p in model.classifier.parameters())


def test_expert_runs_frozen_layers_without_gradients(saved_model):
    folder = str(saved_model())
    plain = load_classifier(folder, 3, "-1", seed=0).eval()
    expert = load_classifier(folder, 3, "-1", seed=0)
    run_frozen_without_gradients(expert)
    expert.train()
    layers = expert.base_model.encoder.layer
    recording = {}
    for number, layer in enumerate(layers):
        layer.register_forward_hook(
            lambda module, args, output, number=number: recording.update(
                {number: (output[0] if isinstance(output, tuple) else output).requires_grad}
            )
        )
    from transformers import AutoTokenizer

    batch = tokenize(AutoTokenizer.from_pretrained(folder), TEXTS[:4], padding=True)
    batch = {name: torch.tensor(values) for name, values in batch.items()}
    expert(**batch)
    top = len(layers) - 1
    assert recording == {number: number == top for number in range(len(layers))}
    assert [layer.training for layer in layers] == [number == top for number in range(len(layers))]
    assert not expert.base_model.embeddings.training
    expert.eval()
    torch.testing.assert_close(expert(**batch).logits, plain(**batch).logits, rtol=0, atol=0)


@pytest.mark.parametrize("native", ["bfloat16", "float32"])
def test_expert_computes_in_what_is_native(native, saved_model, monkeypatch):
    import transformers

    seen = set()

    class Watched(transformers.BertForSequenceClassification):
        def __init__(self, config):
            super().__init__(config)
            self.bert.encoder.layer[0].attention.self.query.register_forward_hook(
                lambda module, args, output: seen.add(output.dtype)
            )

    monkeypatch.setattr(transformers, "AutoModelForSequenceClassification", Watched, raising=True)
    assert trained("trainer", saved_model()).precision == "float32"
    assert seen == {torch.float32}
    seen.clear()
    monkeypatch.setattr(trainer, "auto_precision", lambda device: native)
    assert trained("expert", saved_model()).precision == native
    assert seen == {getattr(torch, native)}


def test_setfit_refuses_other_depths(saved_model):
    pytest.importorskip("setfit")
    with pytest.raises(ValueError, match="freeze='-1' is not what SetFit does"):
        trained("setfit", saved_model(), freeze="-1")


def test_setfit_draws_as_many_pairs_as_said():
    pytest.importorskip("setfit")
    from setfit.sampler import ContrastiveDataset

    _, targets = encode_labels(LABELS)
    drawn = ContrastiveDataset(TEXTS, targets.tolist(), multilabel=None)
    assert default_pairs(targets) == len(drawn)


def test_setfit_is_bound_only_where_pairs_explode():
    few, some, many = (np.arange(2 * n) % 2 for n in (8, 64, 4000))
    assert steps(few) == -1
    # The bound itself.
    assert default_pairs(some) == 16 * MOST_STEPS
    assert steps(some) == -1
    assert steps(many) == 2 * len(many) // 16
    assert steps(np.arange(2000) % 2) == MOST_STEPS


def test_only_what_is_measured_need_be_installed(monkeypatch):
    installed = metadata.version

    def version(package):
        if package == "setfit":
            raise metadata.PackageNotFoundError(package)
        return installed(package)

    monkeypatch.setattr(metadata, "version", version)
    report = Report("finetune", "Something.", {})
    finetune._add_notes(report, argparse.Namespace(rivals=["skorch"], repeats=1))
    assert "skorch" in report.notes[1]
    assert versions()["skorch"] == installed("skorch")
    assert "setfit" not in versions()


@needs.corpora
def test_rows_a_class_are_as_many_as_the_table_says():
    texts, labels, *_ = finetune._data(n_rows=20, n_test=1, rows_a_class=16, seed=0)
    assert len(texts) == 32
    assert np.bincount(labels).tolist() == [16, 16]
    texts, *_ = finetune._data(n_rows=20, n_test=1, rows_a_class=None, seed=0)
    assert len(texts) == 20
