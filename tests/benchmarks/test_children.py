"""Jobs in processes of their own: several at a time, and what becomes of one that fails."""

import os

import pytest

from benchmarks.children import Job, several_at_a_time


def halved(number):
    """Return half of an even number."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return {"half": number // 2}


def test_a_job_that_fails_costs_the_others_nothing():
    jobs = {f"of {number}": Job(halved, {"number": number}) for number in (2, 3, 4)}
    found = {}
    with pytest.raises(RuntimeError, match=r"1 job.* failed:\nof 3: ValueError.*3 is odd"):
        found.update(several_at_a_time(jobs, 2))
    assert found == {"of 2": {"half": 1}, "of 4": {"half": 2}}


def threads_of_torch():
    """Return how many threads torch computes with here."""
    import torch

    return {"threads": torch.get_num_threads()}


@pytest.mark.parametrize("told", [False, True])
def test_workers_share_the_cores(monkeypatch, told):
    cores = os.cpu_count()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    jobs = {number: Job(threads_of_torch) for number in range(2)}
    found = dict(several_at_a_time(jobs, workers=cores))
    assert found == {number: {"threads": cores if told else 1} for number in range(2)}
