"""Jobs in fresh processes: one starts cold, is measured alone, and leaves nothing behind.

A job is a function of a benchmark's module that takes and returns what JSON can carry. It does its
own warm-up and takes its own time, so that the start of the process is no part of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import forked
from benchmarks.kept import kept

__all__ = [
    "Job",
    "alternate",
    "forget_peak_memory",
    "in_one_process",
    "page_faults",
    "peak_memory",
    "run_job",
    "several_at_a_time",
    "together",
]

Result = dict[str, Any]
Key = TypeVar("Key")

_ROOT = Path(__file__).resolve().parents[1]
# What is measured is at hand; a competitor that asks the network first would be timed waiting.
_OFFLINE = {"HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Job:
    """A function to call in a child process.

    Attributes
    ----------
    function : callable
        A module's function, which returns a dict that JSON can carry.
    settings : dict
        Its keyword arguments.
    environment : dict
        Environment variables of the process, beside those of this one.
    """

    function: Callable[..., Result]
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def alternate(
    jobs: dict[str, Job], repeats: int, seeded: Collection[str] = ()
) -> dict[str, list[Result]]:
    """Run each job once a round, so that a drift of the machine meets all of them.

    Parameters
    ----------
    jobs : dict of str to Job
        The competitors by name.
    repeats : int
        Number of rounds.
    seeded : collection of str
        Those that get the number of the round, from 0, as `seed`.

    Returns
    -------
    dict of str to list of dict
        What each job returned in each round.
    """
    results: dict[str, list[Result]] = {name: [] for name in jobs}
    for number in range(1, repeats + 1):
        for name, job in jobs.items():
            print(f"round {number}/{repeats}: {name}", file=sys.stderr, flush=True)
            seed = {"seed": number - 1} if name in seeded else {}
            results[name].append(run_job(replace(job, settings={**job.settings, **seed})))
    return results


def run_job(job: Job) -> Result:
    """Run a job in a fresh process and return its result, with `peak_bytes` added.

    What an earlier run of the same command measured is not measured again; see `benchmarks.kept`.
    Quick runs fork their processes; see `benchmarks.forked`.

    Raises
    ------
    RuntimeError
        If it failed; the message has the end of what it wrote.
    """
    target = _target(job.function)
    what = [target, job.settings, job.environment] if job.environment else [target, job.settings]
    key = json.dumps(what, sort_keys=True)
    before = kept().find(key)
    if before is not None:
        return before
    # Some variables only count before anything is imported.
    run = _run_forked if forked.is_on() and not job.environment else _run_afresh
    code, answer, errors = run(target, job)
    if code != 0:
        raise RuntimeError(f"{target} failed:\n{errors[-4000:]}")
    result: Result = json.loads(answer)
    kept().add(key, result)
    return result


def _run_afresh(target: str, job: Job) -> tuple[int, str, str]:
    """Return the exit code, the answer and what was written to the terminal."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.children", target, json.dumps(job.settings)],
        cwd=_ROOT,
        env={**os.environ, **_OFFLINE, **job.environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


def _run_forked(target: str, job: Job) -> tuple[int, str, str]:
    """Do as `_run_afresh` does."""
    with tempfile.TemporaryDirectory() as folder:
        answer, errors = Path(folder, "answer"), Path(folder, "errors")
        errors.touch()
        environment = {**os.environ, **_OFFLINE}
        code = forked.call(
            _answer_to_file, target, job.settings, answer, errors, environment=environment
        )
        return code, answer.read_text("utf-8") if code == 0 else "", errors.read_text("utf-8")


def several_at_a_time(jobs: dict[Key, Job], workers: int) -> Iterator[tuple[Key, Result]]:
    """Run jobs whose results do not depend on what runs beside them; yield each as it ends.

    Parameters
    ----------
    jobs : dict of Job
    workers : int
        Number of processes. Each runs one job after another, so that not every job pays for
        importing what it needs, on its share of the cores (or OMP_NUM_THREADS of them): more
        threads than cores wait for one another most of the time.

    Yields
    ------
    key, result

    Raises
    ------
    RuntimeError
        If some failed, once all others have ended; the message names them.
    """
    failed = []
    with _pool(workers) as pool:
        futures = {pool.submit(job.function, **job.settings): key for key, job in jobs.items()}
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                yield futures[future], future.result()
            else:
                failed.append(f"{futures[future]}: {error!r}")
    if failed:
        raise RuntimeError("\n".join([f"{len(failed)} job(s) failed:", *failed]))


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that end when what is done with them is broken off."""
    others = set(multiprocessing.active_children())
    threads = max((os.cpu_count() or 1) // workers, 1)
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(threads,),
    )
    try:
        yield pool
    except BaseException:
        # Else what is queued would be computed to the end, for nobody.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    pool.shutdown()


def _begin_worker(threads: int) -> None:
    """Keep to some threads, off the network, and off standard output, which is for the report."""
    # Ctrl-C reaches all processes of a terminal; this one's parent ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.update(_OFFLINE)
    os.dup2(2, 1)


def together(jobs: dict[str, Job]) -> Job:
    """Return one job that does several in one process; see `in_one_process` for its result."""
    calls = [[name, _target(job.function), job.settings] for name, job in jobs.items()]
    return Job(in_one_process, {"calls": calls})


def in_one_process(calls: list[tuple[str, str, dict[str, Any]]]) -> Result:
    """Call functions one after another, and return what each returned by its name."""
    return {
        name: {**_function(target)(**settings), **_gpu_memory()} for name, target, settings in calls
    }


def peak_memory() -> int:
    """Return the most memory, in bytes, that this process has had resident.

    Linux counts the parent's memory in a child's `ru_maxrss`, so its own record is read there.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        if sys.platform == "win32":
            return _on_windows("peak_wset")
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def forget_peak_memory() -> None:
    """Have `peak_memory` count from now on, where the system can: Linux alone does.

    Loading a model may take more than what is measured after it.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def page_faults() -> int:
    """Return how many pages this process was given so far without reading a disk.

    Windows counts those that were read from one, too.
    """
    if sys.platform == "win32":
        return _on_windows("num_page_faults")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _on_windows(name: str) -> int:
    """Return a number on this process's memory where Python has no `resource`."""
    import psutil

    return int(getattr(psutil.Process().memory_info(), name))


def _target(function: Callable[..., Result]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _function(target: str) -> Callable[..., Result]:
    module, name = target.split(":")
    function: Callable[..., Result] = getattr(importlib.import_module(module), name)
    return function


def _gpu_memory() -> dict[str, int]:
    """Return what tensors took at most on a GPU since the last call, and what they take still."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    peak = torch.cuda.max_memory_allocated()
    # What goes with Python's next look for circles is not left.
    gc.collect()
    found = {"gpu_peak_bytes": peak, "gpu_left_bytes": torch.cuda.memory_allocated()}
    torch.cuda.reset_peak_memory_stats()
    return found


def _child() -> None:
    """Call the function named on the command line; its result alone goes to standard output."""
    answer = os.dup(1)
    os.dup2(2, 1)
    result = _answer(sys.argv[1], json.loads(sys.argv[2]))
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(result)


def _answer_to_file(target: str, settings: dict[str, Any], answer: Path, errors: Path) -> None:
    """Call a function; its result goes to one file, and all that is written to another."""
    written = os.open(errors, os.O_WRONLY | os.O_APPEND)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.chdir(_ROOT)
    answer.write_text(_answer(target, settings), "utf-8")


def _answer(target: str, settings: dict[str, Any]) -> str:
    result = _function(target)(**settings)
    result["peak_bytes"] = peak_memory()
    return json.dumps(result)


if __name__ == "__main__":
    _child()
