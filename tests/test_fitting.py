"""Rates that "auto" stands for."""

import pytest

from sklearn_bert import BertFineTuneClassifier
from sklearn_bert.fitting import resolved_head_lr, resolved_lr


@pytest.mark.parametrize(
    ("hidden_size", "rate"), [(384, 2e-4), (768, 5e-5), (1024, 2.8125e-5), (64, 5e-4), (4096, 1e-5)]
)
def test_the_rate_of_layers_goes_by_the_width(hidden_size, rate):
    assert resolved_lr("auto", hidden_size) == pytest.approx(rate)
    assert resolved_lr(3e-3, hidden_size) == 3e-3


@pytest.mark.parametrize(
    ("n_features", "n_samples", "rate"),
    [
        (384, 32, 1e-2),
        (384, 320, 3e-3),
        (384, 32_000, 1e-3),
        (128, 320, 3e-3),
        (768, 320, 1.5e-3),
        (768, 32, 5e-3),
        (4096, 32, 1e-3),
    ],
)
def test_the_rate_of_a_head_alone_goes_by_steps_and_width(n_features, n_samples, rate):
    classifier = BertFineTuneClassifier(freeze="all", max_epochs=10, batch_size=32)
    assert resolved_head_lr(classifier, False, n_features, n_samples) == pytest.approx(rate)
    assert resolved_head_lr(classifier, True, n_features, n_samples) == 1e-3
    classifier.set_params(max_epochs=10**400)
    assert resolved_head_lr(classifier, False, n_features, n_samples) == 1e-3
    classifier.set_params(head_lr=0.5)
    assert resolved_head_lr(classifier, False, n_features, n_samples) == 0.5
