"""Jobs of quick runs: forks of a process that has imported much, else like any other job."""

import os
import sys
import time

import pytest
from joblib import Parallel, delayed

from benchmarks import forked
from benchmarks.children import Job, run_job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")


def seen():
    """Say where this runs, and print."""
    print("not for the report")
    return {
        "process": os.getpid(),
        "folder": os.getcwd(),
        "offline": os.environ.get("HF_HUB_OFFLINE"),
        "told": os.environ.get("TOLD"),
        "imported": "torch" in sys.modules,
    }


def with_workers():
    """Have processes of joblib's that would wait for more work for minutes."""
    numbers = Parallel(n_jobs=2)(delayed(abs)(number) for number in (-1, -2))
    return {"numbers": numbers, "seconds": time.monotonic()}


def fails():
    """Fail."""
    raise ValueError("it failed")


@pytest.fixture(params=[False, True], ids=["afresh", "forked"])
def wanted(request, monkeypatch):
    monkeypatch.setattr(forked.shutil, "which", lambda name: None)
    with forked.forking(request.param):
        yield request.param
    assert not forked.is_on()


def test_a_job_runs_in_a_process_of_its_own(wanted, monkeypatch, capfd):
    variables = dict(os.environ)
    before = run_job(Job(seen))
    assert dict(os.environ) == variables
    monkeypatch.setenv("TOLD", "later")
    after = run_job(Job(seen))
    assert len({os.getpid(), before.pop("process"), after.pop("process")}) == 3
    assert after.pop("peak_bytes") > 0
    assert before.pop("peak_bytes") > 0
    assert (before.pop("told"), after.pop("told")) == (None, "later")
    root = os.path.dirname(os.path.dirname(forked.__file__))
    assert before == after == {"folder": root, "offline": "1", "imported": wanted}
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("wanted")
def test_what_a_job_started_ends_with_it():
    found = run_job(Job(with_workers))
    assert found["numbers"] == [1, 2]
    assert time.monotonic() - found["seconds"] < 60


@pytest.mark.usefixtures("wanted")
def test_a_job_that_fails_says_why():
    with pytest.raises(
        RuntimeError, match=r"test_forked:fails failed:(?s:.)*ValueError: it failed"
    ):
        run_job(Job(fails))


def test_a_job_with_an_environment_starts_afresh(monkeypatch):
    monkeypatch.setattr(forked.shutil, "which", lambda name: None)
    with forked.forking(True):
        result = run_job(Job(seen, environment={"TOLD": "first"}))
    assert (result["told"], result["imported"]) == ("first", False)


def test_nothing_is_forked_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(forked.shutil, "which", lambda name: "/bin/nvidia-smi")
    with forked.forking(True):
        assert not forked.is_on()
