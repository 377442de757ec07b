"""Jobs in processes of their own: several at a time, and what becomes of one that fails."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest

from benchmarks.children import Job, alternate, page_faults, peak_memory, several_at_a_time


def halved(number):
    """Return half of an even number."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return {"half": number // 2}


def told(**settings):
    """Return what a job was told."""
    return {"told": settings}


def test_some_get_the_number_of_the_round_as_their_seed(monkeypatch):
    monkeypatch.setattr("benchmarks.children.run_job", lambda job: job.function(**job.settings))
    jobs = {name: Job(told, {"name": name}) for name in ("limit", "fit")}
    found = alternate(jobs, 2, seeded=["fit"])
    assert [result["told"] for result in found["limit"]] == 2 * [{"name": "limit"}]
    assert [result["told"] for result in found["fit"]] == [
        {"name": "fit", "seed": seed} for seed in (0, 1)
    ]
    assert jobs["fit"].settings == {"name": "fit"}


def test_a_job_that_fails_costs_the_others_nothing():
    jobs = {f"of {number}": Job(halved, {"number": number}) for number in (2, 3, 4)}
    found = {}
    with pytest.raises(RuntimeError, match=r"1 job.* failed:\nof 3: ValueError.*3 is odd"):
        found.update(several_at_a_time(jobs, 2))
    assert found == {"of 2": {"half": 1}, "of 4": {"half": 2}}


def begin_and_wait(folder):
    """Say that a job began, which can't be broken off half-way, and take long."""
    tempfile.mkdtemp(dir=folder)
    time.sleep(2)
    return {}


@pytest.mark.parametrize("ends", [KeyboardInterrupt, OSError])
def test_what_is_broken_off_leaves_no_job_at_work(ends, tmp_path):
    jobs = {"first": Job(halved, {"number": 2})}
    jobs |= {number: Job(begin_and_wait, {"folder": str(tmp_path)}) for number in range(4)}
    before = set(multiprocessing.active_children())
    results = several_at_a_time(jobs, 1)
    next(results)
    with pytest.raises(ends):
        results.throw(ends)
    # Not by `join`: the pool's thread waits for the worker too, and whoever comes second is told
    # that it is alive until the first has noted its end.
    end = time.monotonic() + 60
    while set(multiprocessing.active_children()) - before and time.monotonic() < end:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before
    # One may have begun; what was queued did not.
    assert len(list(tmp_path.iterdir())) in (0, 1)


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


def test_nothing_needs_what_windows_lacks_to_be_listed():
    program = (
        "import sys; sys.modules['resource'] = None\n"
        "from benchmarks.__main__ import main; sys.exit(main([]))"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert "kernels" in listed.stdout


def test_memory_is_counted_on_windows_too(monkeypatch):
    psutil = pytest.importorskip("psutil")
    found = SimpleNamespace(peak_wset=7_000_000, num_page_faults=1234)

    def refuse(*args):
        raise OSError

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(pathlib.Path, "read_text", refuse)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: found))
    assert (peak_memory(), page_faults()) == (7_000_000, 1234)
