"""Generators: one a thread, PyTorch's own left alone, and passes that draw again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from sklearn_bert.encoder.randomness import (
    generator,
    own_randomness,
    same_draws,
    shared_draws,
)

CPU = torch.device("cpu")


def draw():
    return torch.rand(3, generator=generator())


def test_a_seed_fixes_what_is_drawn_and_pytorchs_own_is_as_it_was():
    before = torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with own_randomness(seed, CPU):
            drawn.append((draw(), torch.rand(3)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert torch.equal(torch.get_rng_state(), before)
    assert generator() is torch.default_generator


def test_an_error_leaves_all_as_it_was():
    before = torch.get_rng_state()

    def fail():
        with own_randomness(0, CPU):
            torch.rand(3)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)
    assert generator() is torch.default_generator


def test_one_inside_another():
    with own_randomness(1, CPU):
        expected = [draw(), draw()]
    with own_randomness(1, CPU):
        first = draw()
        with own_randomness(2, CPU):
            draw()
        second = draw()
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_threads_that_overlap(first_to_end):
    """The second begins before the first ends, and either may end first."""
    before = torch.get_rng_state()
    both, ended = threading.Barrier(2), threading.Event()

    def run(number):
        with own_randomness(number, CPU):
            both.wait(10)
            drawn = draw()
            torch.rand(number + 1)
            both.wait(10)
            if number != first_to_end:
                assert ended.wait(10)
        ended.set()
        return drawn

    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(run, range(2)))
    assert torch.equal(torch.get_rng_state(), before)
    for number in range(2):
        with own_randomness(number, CPU):
            assert torch.equal(drawn[number], draw())


def test_a_second_pass_draws_the_same_and_disturbs_nothing():
    with own_randomness(0, CPU):
        forward, again = same_draws()
        with forward:
            first = draw()
        between = draw()
        with again:
            second = draw()
        after = draw()
    with own_randomness(0, CPU):
        expected = [draw(), draw(), draw()]
    assert torch.equal(second, first)
    for found, drawn in zip((first, between, after), expected, strict=True):
        assert torch.equal(found, drawn)


def test_code_of_others_draws_what_the_thread_would():
    """Though another fit begins while it is at work, which would seed PyTorch's own generator."""
    with own_randomness(1, CPU):
        expected = draw()
    before = torch.get_rng_state()
    draws, began = threading.Event(), threading.Event()

    def load():
        with own_randomness(1, CPU), shared_draws():
            draws.set()
            assert began.wait(10)
            return torch.rand(3)

    def fit():
        assert draws.wait(10)
        with own_randomness(2, CPU):
            began.set()

    with ThreadPoolExecutor(2) as pool:
        found, _ = pool.submit(load), pool.submit(fit)
    assert torch.equal(found.result(), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_code_of_others_after_which_a_fit_goes_on_draws_apart():
    with own_randomness(1, CPU):
        expected = torch.rand(3)
    with own_randomness(1, CPU):
        with shared_draws():
            torch.rand(5)
        assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("fit_ends_first", [True, False])
def test_code_of_others_beside_a_fit_in_another_thread(fit_ends_first):
    before = torch.get_rng_state()
    begun, ended = threading.Event(), threading.Event()

    def fit():
        with own_randomness(0, CPU):
            begun.set()
            if not fit_ends_first:
                assert ended.wait(10)

    with ThreadPoolExecutor(1) as pool:
        fitted = pool.submit(fit)
        assert begun.wait(10)
        with shared_draws():
            torch.rand(3)
            if fit_ends_first:
                fitted.result()
        ended.set()
    assert torch.equal(torch.get_rng_state(), before)


def test_code_of_others_leaves_the_users_generator_alone():
    before = torch.get_rng_state()
    with shared_draws():
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
