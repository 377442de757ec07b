"""A run that is stopped goes on where it was, and does nothing twice."""

import json

import pytest

from benchmarks import kept
from benchmarks.__main__ import _run
from benchmarks.children import Job, alternate, in_one_process, run_job, together
from benchmarks.kept import Kept, keeping, working_folder

SETTINGS = {"name": "something", "quick": True}


def count(file: str, name: str = "") -> dict:
    """Append a line to a file, and return how many it has."""
    with open(file, "a", encoding="utf-8") as lines:
        lines.write(f"{name}\n")
    with open(file, encoding="utf-8") as lines:
        return {"lines": len(lines.readlines())}


def lines(results):
    return {name: [result["lines"] for result in of_job] for name, of_job in results.items()}


def stopped_after(work, file):
    """Do some work, and be stopped before the run ends."""

    def run():
        with keeping(file, SETTINGS):
            work()
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run()


@pytest.fixture
def jobs(tmp_path):
    file = str(tmp_path / "lines")
    return {name: Job(count, {"file": file, "name": name}) for name in ("a", "b")}


def test_a_stopped_run_goes_on_and_repeats_nothing(jobs, tmp_path):
    file = tmp_path / "result.json"
    stopped_after(lambda: alternate(jobs, 1), file)
    with keeping(file, SETTINGS):
        assert lines(alternate(jobs, 2)) == {"a": [1, 3], "b": [2, 4]}
    assert not list(tmp_path.glob("*.part"))
    with keeping(file, SETTINGS):
        assert run_job(jobs["a"])["lines"] == 5


def test_files_last_as_long_as_the_results(tmp_path):
    file = tmp_path / "result.json"

    def write():
        with working_folder("vectors") as folder:
            count(f"{folder}/file")

    stopped_after(write, file)
    with keeping(file, SETTINGS), working_folder("vectors") as again:
        assert count(f"{again}/file") == {"lines": 2}


def test_without_a_file_nothing_is_kept(jobs, tmp_path):
    for n in (1, 2):
        with keeping(None, SETTINGS), working_folder("vectors") as folder:
            assert run_job(jobs["a"])["lines"] == n
            assert count(f"{folder}/file") == {"lines": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["lines"]


def test_a_torn_line_is_measured_again(tmp_path):
    kept = Kept(tmp_path, SETTINGS)
    kept.add("job", {"seconds": 1.0})
    kept.add("job", {"seconds": 2.0})
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text()[:-9])
    again = Kept(tmp_path, SETTINGS)
    assert again.find("job") == {"seconds": 1.0}
    assert again.find("job") is None
    again.add("job", {"seconds": 3.0})
    third = Kept(tmp_path, SETTINGS)
    assert [third.find("job"), third.find("job")] == [{"seconds": 1.0}, {"seconds": 3.0}]


def test_a_torn_first_line_is_a_new_start(tmp_path):
    Kept(tmp_path, SETTINGS)
    file = tmp_path / "results.jsonl"
    file.write_text(file.read_text()[:9])
    Kept(tmp_path, SETTINGS).add("job", {"seconds": 1.0})
    assert Kept(tmp_path, SETTINGS).find("job") == {"seconds": 1.0}


def test_results_of_other_options_are_refused(tmp_path):
    Kept(tmp_path, SETTINGS)
    with pytest.raises(SystemExit, match="with other options"):
        Kept(tmp_path, {**SETTINGS, "quick": False})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("_code", "code"),
        ("machine", "machine"),
        ("thread_settings", "threads"),
        ("versions", "packages"),
    ],
)
def test_results_of_other_code_or_machines_are_refused(tmp_path, monkeypatch, function, said):
    Kept(tmp_path, SETTINGS)
    Kept(tmp_path, SETTINGS)
    monkeypatch.setattr(kept, function, lambda: {"other": "one"})
    with pytest.raises(SystemExit, match=f"with other {said}"):
        Kept(tmp_path, SETTINGS)


def test_several_jobs_in_one_process_are_told_apart(jobs):
    result = run_job(together(jobs))
    assert {name: result[name] for name in "ab"} == {"a": {"lines": 1}, "b": {"lines": 2}}
    assert result["peak_bytes"] > 0
    job = together(jobs)
    assert job.function is in_one_process
    assert json.loads(json.dumps(job.settings)) == job.settings


def test_a_benchmark_that_fails_keeps_what_it_measured(jobs, tmp_path):
    import argparse
    from types import ModuleType

    benchmark = ModuleType("benchmarks.flaky", "Something.")
    seen = []

    def run(report, options):
        seen.append(run_job(jobs["a"])["lines"])
        if len(seen) == 1:
            raise RuntimeError("stopped")
        report.table("Lines", ["", "lines"], [["a", str(seen[-1])]])

    benchmark.run = run
    file = tmp_path / "flaky.json"
    for number in range(2):
        options = argparse.Namespace(name="flaky", json=file, repeats=1, quick=False)
        if number == 0:
            with pytest.raises(RuntimeError):
                _run(benchmark, options)
        else:
            _run(benchmark, options)
    assert seen == [1, 1]
    assert file.exists()
