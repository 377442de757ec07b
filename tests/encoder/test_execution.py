"""Where and how the encoder runs: device, precision, memory, backing off, working ahead."""

import mmap
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder import execution
from sklearn_bert.encoder.execution import (
    Budget,
    ahead,
    has_matrix_units,
    has_slow_mkl,
    in_batches,
    resolve_batch_tokens,
    resolve_device,
    resolve_precision,
    without_autocast,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [({"avx512_bf16"}, "bfloat16"), ({"amx_bf16"}, "bfloat16"), ({"avx2"}, "float32")],
)
def test_auto_precision_follows_the_processor(flags, precision, monkeypatch):
    monkeypatch.setattr(execution, "_cpu_flags", lambda: frozenset(flags))
    assert resolve_precision("auto", CPU) == precision


@pytest.mark.parametrize(("flag", "has"), [("avx512_bf16", False), ("amx_bf16", True)])
def test_matrix_units_are_those_of_amx(flag, has, monkeypatch):
    monkeypatch.setattr(execution, "_cpu_flags", lambda: frozenset({flag}))
    assert has_matrix_units() == has


@pytest.mark.parametrize(
    ("flag", "precision", "tokens"),
    [
        ("avx512_bf16", "bfloat16", 2048),
        ("amx_bf16", "bfloat16", 4096),
        ("amx_bf16", "float32", 2048),
    ],
)
def test_batches_are_larger_where_bfloat16_has_matrix_units(flag, precision, tokens, monkeypatch):
    monkeypatch.setattr(execution, "_cpu_flags", lambda: frozenset({flag}))
    assert resolve_batch_tokens("auto", CPU, precision) == tokens
    assert resolve_batch_tokens(100, CPU, precision) == 100


@pytest.mark.parametrize(
    ("processor", "slow"),
    [
        ({"flags": "avx2 avx512f", "vendor_id": "AuthenticAMD"}, True),
        ({"flags": "avx2", "vendor_id": "AuthenticAMD"}, False),
        ({"flags": "avx2 avx512f", "vendor_id": "GenuineIntel"}, False),
        ({}, False),
    ],
)
def test_mkl_is_slow_where_it_leaves_long_vectors_alone(processor, slow, monkeypatch):
    monkeypatch.setattr(execution, "_cpu_line", lambda name: processor.get(name, ""))
    assert has_slow_mkl() == slow


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_where_there_is_none(device):
    with pytest.raises(ValueError, match=f"device='{device}' can't be used. Accepted: 'auto', 'c"):
        resolve_device(device)


def test_bfloat16_stays_close_to_float32():
    texts = load_sample_reviews().data[:60]
    exact, fast = (
        BertFeaturizer(precision=precision, normalize=True).transform(texts)
        for precision in ("float32", "bfloat16")
    )
    assert (exact * fast).sum(axis=1).min() >= 0.999


_COUNT_FAULTS = """
import ctypes
import resource
import statistics
from sklearn_bert import BertFeaturizer
from sklearn_bert.datasets import load_sample_reviews
from sklearn_bert.encoder import checkpoint

M_MMAP_THRESHOLD = -3
if {given_back}:
    # Each large block by itself, as glibc begins; what it does later depends on what else is kept.
    checkpoint.prepare_heap = lambda: ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 * 1024)
featurizer = BertFeaturizer(cache=None, device="cpu")
texts = load_sample_reviews().data[:100]
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    featurizer.transform(texts)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(round(statistics.median(faults)))
"""


def _counts_faults() -> bool:
    """Whether this system counts page faults, which POSIX leaves to it."""
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with mmap.mmap(-1, 1 << 23) as fresh:
        for page in range(0, len(fresh), mmap.PAGESIZE):
            fresh[page] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt > before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_of_a_batch_is_used_again():
    if not _counts_faults():
        pytest.skip("this system counts no page faults")
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", _COUNT_FAULTS.format(given_back=way)]))
        for way in (False, True)
    )
    assert kept < given_back / 10


def test_a_budget_halves_and_then_gives_up():
    budget, seen = Budget(4, CPU), []

    def fail():
        seen.append(budget.tokens)
        raise torch.OutOfMemoryError("full")

    assert budget.run(fail, tokens=4) is None
    assert budget.run(fail, tokens=4) is None
    with pytest.raises(torch.OutOfMemoryError):
        budget.run(fail, tokens=4)
    assert seen == [4, 2, 1]


def test_a_budget_is_less_than_what_failed():
    budget = Budget(1000, CPU)

    def fail():
        raise torch.OutOfMemoryError("full")

    budget.run(fail, tokens=300)
    assert budget.tokens == 150
    budget.run(fail, tokens=300)
    assert budget.tokens == 75


def test_ahead_keeps_order_and_errors():
    assert list(ahead(lambda number: 10 // number, range(1, 8))) == [10, 5, 3, 2, 2, 1, 1]
    assert list(ahead(str, [])) == []
    found = ahead(lambda number: 10 // number, [5, 0, 2])
    assert next(found) == 2
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_one_thing_is_made_ahead_and_no_more():
    made = [threading.Event() for _ in range(5)]

    def make(number):
        made[number].set()
        return number

    found = ahead(make, range(5))
    for number in range(5):
        assert next(found) == number
        following = made[number + 1 :]
        assert not following or following[0].wait(60)
        assert not any(event.is_set() for event in following[1:])
    assert list(found) == []


def by_tokens(lengths, start, tokens):
    """Return where a batch ends that is padded to its first length."""
    return min(len(lengths), start + max(1, tokens // lengths[start]))


LENGTHS = np.array([9, 8, 5, 5, 4, 2, 2, 1, 1, 1])


@pytest.mark.parametrize("tokens", [1, 9, 16, 20, 1000])
def test_batches_follow_one_another_to_the_end(tokens):
    seen = []
    in_batches(LENGTHS, by_tokens, Budget(tokens, CPU), lambda *span: seen.append(span))
    starts, stops = zip(*seen, strict=True)
    assert starts == (0, *stops[:-1])
    assert stops[-1] == len(LENGTHS)
    assert all(b - a == 1 or (b - a) * LENGTHS[a] <= tokens for a, b in seen)


def test_no_items_make_no_batch():
    in_batches(np.array([], dtype=int), by_tokens, Budget(10, CPU), lambda *span: 1 / 0)


@pytest.mark.parametrize("fits", [1, 3, 10, 17])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), RuntimeError("can't allocate memory: 1 bytes")]
)
def test_batches_get_smaller_where_memory_runs_out(fits, error):
    budget, done = Budget(100, CPU), []

    def forward(start, stop):
        if stop - start > 1 and (stop - start) * LENGTHS[start] > fits:
            raise error
        done.extend(range(start, stop))

    in_batches(LENGTHS, by_tokens, budget, forward)
    assert done == list(range(len(LENGTHS)))
    # It is not tried again with what was too much, and not made smaller than it must.
    assert fits / 2 < budget.tokens < 2 * LENGTHS[0]


def test_too_little_memory_for_one_item_is_an_error():
    tried = []

    def forward(start, stop):
        tried.append((start, stop))
        raise torch.OutOfMemoryError("full")

    budget = Budget(16, CPU)
    with pytest.raises(torch.OutOfMemoryError):
        in_batches(LENGTHS, by_tokens, budget, forward)
    assert budget.tokens == 1
    assert tried[-1] == (0, 1)


def test_other_errors_come_through_at_once():
    budget = Budget(16, CPU)

    def forward(start, stop):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        in_batches(LENGTHS, by_tokens, budget, forward)
    assert budget.tokens == 16


def test_what_forward_returns_does_not_matter():
    seen = []

    def forward(start, stop):
        seen.append(start)
        return None if len(seen) % 2 else 0

    in_batches(LENGTHS, by_tokens, Budget(1, CPU), forward)
    assert seen == list(range(len(LENGTHS)))


def test_what_an_inner_autocast_made_of_weights_is_forgotten():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        for value in (1, 3):
            weight.data.fill_(value)
            with without_autocast(torch.device("cpu")):
                assert (torch.ones(1, 2) @ weight).dtype == torch.float32
                with torch.autocast("cpu", torch.bfloat16):
                    assert (torch.ones(1, 2) @ weight).tolist() == [[2 * value] * 2]
