"""A time budget: how it is written, and what is left of it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from sklearn_bert.errors import parameter_error
from sklearn_bert.validation import check_number

__all__ = ["Clock", "OutOfTimeError", "duration", "parse_budget"]

_ACCEPTED = "None, a number of seconds above 0, or a duration such as '90s', '10m' or '1h30m'"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?=.)(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?")


class OutOfTimeError(Exception):
    """A candidate does not fit into the budget; the message says why."""


class Clock:
    """What is left of a budget that began now.

    Parameters
    ----------
    budget : float
        Seconds; infinity where there is no limit.
    now : callable, default=time.perf_counter
        Tells the time in seconds.
    """

    def __init__(self, budget: float, now: Callable[[], float] = time.perf_counter) -> None:
        self.budget = budget
        self._now = now
        self._start = now()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._now() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left, never below 0."""
        return max(0.0, self.budget - self.elapsed)


def parse_budget(budget: Any) -> float:
    """Return a budget in seconds.

    Parameters
    ----------
    budget : float, str or None
        Seconds, or a duration such as "90s", "10m" or "1h30m"; None is no limit.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if budget is None:
        return math.inf
    seconds = _seconds(budget) if isinstance(budget, str) else budget
    check_number("budget", seconds, minimum=math.ulp(0.0), accepted=_ACCEPTED)
    return float(seconds)


def duration(seconds: float) -> str:
    """Return seconds as a reader says them.

    Examples
    --------
    >>> from sklearn_bert.comparison.clock import duration
    >>> [duration(seconds) for seconds in (0.0123, 4.56, 75, 4000)]
    ['0.01 s', '4.6 s', '1 min 15 s', '1 h 6 min']
    """
    if seconds < 59.5:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    found = _DURATION.fullmatch(text.replace(" ", "").lower())
    if not found:
        raise parameter_error("budget", text, _ACCEPTED)
    try:
        parts = zip(found.groups(), _UNITS.values(), strict=True)
        return sum(float(number) * unit for number, unit in parts if number)
    except ValueError:
        raise parameter_error("budget", text, _ACCEPTED) from None
