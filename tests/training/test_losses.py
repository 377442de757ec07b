"""Losses against torch's own, with weights, smoothing and missing targets, and contrasts."""

import pytest
import torch
from torch.nn import functional as F

from sklearn_bert.training.losses import (
    MISSING_TARGET,
    BinaryCrossEntropy,
    CrossEntropy,
    SquaredError,
    TaskCrossEntropy,
    contrastive_loss,
)


def test_weights_of_samples_weigh_losses():
    logits, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    weights = torch.tensor([2.0, 0.0, 1.0, 1.5, 0.5])
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    loss = CrossEntropy()
    torch.testing.assert_close(loss(logits, targets), each.mean())
    torch.testing.assert_close(loss(logits, targets, torch.ones(5)), each.mean())
    torch.testing.assert_close(loss(logits, targets, weights), (each * weights).mean())


def test_smoothed_labels():
    logits, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.2)
    torch.testing.assert_close(CrossEntropy(0.2)(logits, targets), expected)


def test_labels_in_sets_are_independent():
    outputs, targets = torch.randn(6, 3), torch.randint(0, 2, (6, 3)).float()
    expected = F.binary_cross_entropy_with_logits(outputs, targets)
    torch.testing.assert_close(BinaryCrossEntropy()(outputs, targets), expected)
    smooth = F.binary_cross_entropy_with_logits(outputs, targets * 0.8 + 0.1)
    torch.testing.assert_close(BinaryCrossEntropy(0.2)(outputs, targets), smooth)


def test_tasks_average_over_the_labels_that_are_there():
    outputs = torch.randn(4, 5, requires_grad=True)
    targets = torch.tensor([[0, 2], [1, MISSING_TARGET], [MISSING_TARGET, 1], [MISSING_TARGET] * 2])
    first = F.cross_entropy(outputs[:, :2], targets[:, 0], reduction="none")
    second = F.cross_entropy(outputs[:, 2:], targets[:, 1], reduction="none")
    expected = ((first[0] + second[0]) / 2 + first[1] + second[2]) / 4
    loss = TaskCrossEntropy(sizes=[2, 3])(outputs, targets)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not outputs.grad[1, 2:].any()
    assert not outputs.grad[2, :2].any()
    assert not outputs.grad[3].any()
    assert outputs.grad[0].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_squared_error(dtype):
    outputs, targets = torch.randn(4, 2, dtype=dtype), torch.randn(4, 2)
    weights = torch.tensor([0.0, 1.0, 2.0, 1.0], dtype=dtype)
    each = (outputs - targets).square().mean(dim=1)
    torch.testing.assert_close(SquaredError()(outputs, targets), each.mean())
    torch.testing.assert_close(SquaredError()(outputs, targets, weights), (each * weights).mean())


def contrasts(vectors, classes, weights):
    """Return the supervised contrastive loss, anchor by anchor and pair by pair."""
    losses = []
    for anchor, of_anchor in enumerate(vectors):
        others = [i for i in range(len(vectors)) if i != anchor]
        similar = {i: F.cosine_similarity(of_anchor, vectors[i], dim=0) / 0.05 for i in others}
        total = torch.stack(list(similar.values())).exp().sum()
        alike = [i for i in others if classes[i] == classes[anchor]]
        if alike:
            each = [-(similar[i].exp() / total).log() for i in alike]
            losses.append(weights[anchor] * torch.stack(each).mean())
    return torch.stack(losses).mean()


def test_contrasts_are_those_of_the_paper():
    vectors = torch.randn(7, 5, dtype=torch.float64)
    # One is alone in its class.
    classes = torch.tensor([0, 1, 0, 2, 1, 1, 0])
    ones, weights = torch.ones(7), torch.tensor([2.0, 0.5, 1.0, 1.0, 0.2, 1.5, 1.0])
    expected = contrasts(vectors, classes, ones)
    torch.testing.assert_close(contrastive_loss(vectors, classes), expected)
    torch.testing.assert_close(contrastive_loss(3 * vectors, classes, ones), expected)
    # The average is one of the six that have another of their class.
    expected = contrasts(vectors, classes, weights) * 6 / (weights.sum() - weights[3])
    torch.testing.assert_close(contrastive_loss(vectors, classes, weights), expected)


def test_texts_that_weigh_nothing_are_as_if_they_were_not_there():
    vectors = torch.randn(6, 4, requires_grad=True)
    classes, weights = torch.tensor([0, 1, 0, 1, 0, 2]), torch.tensor([1.0, 2, 1, 1, 0, 0])
    loss = contrastive_loss(vectors, classes, weights)
    torch.testing.assert_close(loss, contrastive_loss(vectors[:4], classes[:4], weights[:4]))
    loss.backward()
    assert vectors.grad[:4].any(dim=1).all()
    assert not vectors.grad[4:].any()
    assert contrastive_loss(vectors, classes, torch.zeros(6)).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [[0], [0, 1, 2]])
def test_texts_that_are_alone_in_their_class_have_no_contrasts(classes, dtype):
    vectors = torch.randn(len(classes), 4, dtype=dtype, requires_grad=True)
    loss = contrastive_loss(vectors, torch.tensor(classes))
    loss.backward()
    assert loss.item() == 0
    assert not vectors.grad.any()


def test_contrasts_draw_classes_together_and_apart():
    vectors = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    classes = torch.tensor([0, 0, 0, 1, 1, 1])
    optimizer = torch.optim.SGD([vectors], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        contrastive_loss(vectors, classes).backward()
        optimizer.step()
    similar = F.cosine_similarity(vectors[:, None], vectors, dim=2)
    alike = classes[:, None] == classes
    assert similar[alike].min() > similar[~alike].max() + 0.2
