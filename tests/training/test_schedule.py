import math

import numpy as np
import pytest
import torch

from sklearn_bert.training.schedule import SCHEDULES, count_steps, factor, scheduler

N_STEPS = 40


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "accumulated", "steps"),
    [(32, 8, 1, 4), (33, 8, 1, 5), (33, 8, 2, 3), (1, 8, 4, 1), (5, 10**400, 10**400, 1)],
)
def test_an_epoch_ends_with_a_step(n_samples, batch_size, accumulated, steps):
    assert count_steps(n_samples, batch_size, accumulated, 1) == steps
    assert count_steps(n_samples, batch_size, accumulated, 7) == 7 * steps


def factors(schedule, warmup, n_steps=N_STEPS):
    return [factor(schedule, step, n_steps, warmup) for step in range(n_steps + 1)]


def slanted_triangle(step, n_steps, cut_frac, ratio=32):
    """Return the factor as ULMFiT's paper has it, arXiv 1801.06146, equation 3."""
    cut = math.floor(n_steps * cut_frac)
    p = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / cut_frac - 1))
    return (1 + p * (ratio - 1)) / ratio


@pytest.mark.parametrize("cut_frac", [0.1, 0.25, 0.5])
def test_slanted_triangular_is_that_of_ulmfit(cut_frac):
    expected = [slanted_triangle(step, N_STEPS, cut_frac) for step in range(N_STEPS + 1)]
    np.testing.assert_allclose(factors("slanted_triangular", cut_frac), expected, rtol=1e-12)
    assert expected[0] == expected[-1] == 1 / 32


@pytest.mark.parametrize("n_warmup", [0, 1, 4, 10])
@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("linear", lambda done: 1 - done),
        ("cosine", lambda done: (1 + np.cos(np.pi * done)) / 2),
        ("constant", lambda done: 1 + 0 * done),
        ("step", lambda done: 10.0 ** -((done >= 0.5).astype(int) + (done >= 0.75))),
        ("slanted_triangular", lambda done: 1 - done * 31 / 32),
    ],
)
def test_after_warmup_each_follows_its_formula(schedule, formula, n_warmup):
    done = np.arange(N_STEPS - n_warmup + 1) / (N_STEPS - n_warmup)
    found = factors(schedule, n_warmup)[n_warmup:]
    np.testing.assert_allclose(found, formula(done), atol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "last"),
    [("linear", 0), ("cosine", 0), ("constant", 1), ("step", 0.01), ("slanted_triangular", 1 / 32)],
)
@pytest.mark.parametrize("warmup", [0, 0.0, 3, 0.1])
@pytest.mark.parametrize("n_steps", [4, 7, 100])
def test_where_each_ends(schedule, last, warmup, n_steps):
    assert factors(schedule, warmup, n_steps)[-1] == pytest.approx(last, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warmup_rises_in_a_line_to_the_highest_rate(schedule):
    found = factors(schedule, 10)
    start = 1 / 32 if schedule == "slanted_triangular" else 0
    np.testing.assert_allclose(found[:11], np.linspace(start, 1, 11))
    assert max(found) == 1
    assert all(0 <= value <= 1 for value in found)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("share", "steps"), [(0.1, 4), (0.25, 10), (0.0, 0), (0.99, 39), (0.01, 0)]
)
def test_warmup_as_a_share_and_as_steps(schedule, share, steps):
    assert factors(schedule, share) == factors(schedule, steps)


@pytest.mark.parametrize("share", [np.float64(0.25), np.float32(0.25)])
def test_a_share_may_be_any_kind_of_float(share):
    assert factors("linear", share) == factors("linear", 10)


@pytest.mark.parametrize("steps", [10, np.int64(10), np.int32(10)])
def test_steps_may_be_any_kind_of_integer(steps):
    assert factors("cosine", steps) == factors("cosine", 10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warmup_the_first_rate_is_the_highest(schedule):
    assert factor(schedule, 0, N_STEPS, 0) == factor(schedule, 0, N_STEPS, 0.0) == 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1, 5, 0.5])
def test_a_single_step_and_warmup_longer_than_training(schedule, warmup):
    assert factors(schedule, warmup, n_steps=1)[0] == 1
    for n_steps in (1, 3):
        found = factors(schedule, warmup, n_steps)
        assert all(math.isfinite(value) and 0 <= value <= 1 for value in found)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_scheduler_multiplies_each_groups_own_rate(schedule):
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, (0.5, 2.0), strict=True)]
    optimizer = torch.optim.AdamW(groups)
    found = scheduler(optimizer, schedule, N_STEPS, 0.1)
    for step in range(N_STEPS + 3):
        expected = factor(schedule, min(step, N_STEPS), N_STEPS, 0.1)
        rates = [group["lr"] for group in optimizer.param_groups]
        np.testing.assert_allclose(rates, [0.5 * expected, 2.0 * expected])
        optimizer.step()
        found.step()
