"""Learning rates over the course of training: one short function a schedule.

Each function goes from the share of training that is done, after warmup, to a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler

__all__ = ["SCHEDULES", "count_steps", "factor", "leaves_rates", "scheduler"]

# Slanted triangular: the highest rate is so many times the lowest (ULMFiT, arXiv 1801.06146).
# The paper's own value; its cut fraction is the warmup.
_RATIO = 32


def _linear(done: float) -> float:
    return 1 - done


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _constant(done: float) -> float:
    return 1.0


def _step(done: float) -> float:
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def _slanted(done: float) -> float:
    return (1 + (1 - done) * (_RATIO - 1)) / _RATIO


SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": _linear,
    "cosine": _cosine,
    "constant": _constant,
    "step": _step,
    "slanted_triangular": _slanted,
}


def count_steps(
    n_samples: int, batch_size: int, gradient_accumulation: int, max_epochs: int
) -> int:
    """Return how many steps the optimizer takes in a training that nothing stops early."""
    # In integers: as floats parts of very large batches are 0.
    n_batches = -(-n_samples // batch_size)
    return max_epochs * -(-n_batches // gradient_accumulation)


def factor(schedule: str, step: int, n_steps: int, warmup: Any) -> float:
    """Return what the learning rates are multiplied with at a step, counted from 0.

    Parameters
    ----------
    schedule : str
        A key of `SCHEDULES`.
    step, n_steps : int
        The step of the optimizer, and how many there are.
    warmup : int or float
        Steps in which the rate rises from 0, or their share of all. A single step has none, since
        with a rate of 0 nothing would be trained.
    """
    is_count = isinstance(warmup, Integral)
    n_warmup = int(warmup if is_count else math.floor(warmup * n_steps)) if n_steps > 1 else 0
    if step < n_warmup:
        share = step / n_warmup
        # The slanted triangle rises from its lowest rate, the others from nothing.
        return (1 + share * (_RATIO - 1)) / _RATIO if schedule == "slanted_triangular" else share
    return SCHEDULES[schedule]((step - n_warmup) / max(1, n_steps - n_warmup))


def leaves_rates(schedule: str, warmup: float) -> bool:
    """Say whether learning rates stay what they are, or what a callback makes of them."""
    return schedule == "constant" and not warmup


def scheduler(optimizer: Optimizer, schedule: str, n_steps: int, warmup: float) -> LRScheduler:
    """Return a scheduler to be stepped after each step of the optimizer."""
    if leaves_rates(schedule, warmup):
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    return LambdaLR(optimizer, lambda step: factor(schedule, min(step, n_steps), n_steps, warmup))
