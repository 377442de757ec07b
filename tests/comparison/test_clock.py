import math

import pytest

from sklearn_bert.comparison.clock import Clock, parse_budget


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1H 5s", 3605),
        ("45", 45),
        ("1.5", 1.5),
        (2.5, 2.5),
    ],
)
def test_budgets(written, seconds):
    assert parse_budget(written) == seconds


def test_no_budget_is_no_limit():
    assert Clock(parse_budget(None)).left == math.inf


@pytest.mark.parametrize(
    "written",
    ["", "soon", "10x", "1h30", "2m5", "inf", "nan", "1.2.3m", "0s", 0, -1, math.inf, True, []],
)
def test_what_is_no_budget(written):
    with pytest.raises(ValueError, match=r"budget=.*Accepted: None, a number of seconds"):
        parse_budget(written)


def test_what_is_left_falls_to_nothing():
    now = iter([100.0, 103.0, 120.0])
    clock = Clock(10, now=lambda: next(now))
    assert [clock.left, clock.left] == [7.0, 0.0]
