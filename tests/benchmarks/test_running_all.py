"""`python -m benchmarks --all`: each is run, whatever becomes of the one before it."""

import io
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import __main__ as commands
from benchmarks.render import read_results
from benchmarks.report import COMMANDS_JOINED_BY, Report

ROOT = Path(__file__).parents[2]


@pytest.fixture
def add_benchmark(monkeypatch):
    """Return a function that adds a benchmark to those that are run; at first there is none."""
    monkeypatch.setattr(commands, "NAMES", ())

    def add(name: str, run) -> None:
        module = ModuleType(f"benchmarks.{name}", "Something.")
        module.run = run
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", module)
        monkeypatch.setattr(commands, "NAMES", (*commands.NAMES, name))

    return add


def results_of(name: str, quick: bool = False) -> str:
    """Return as little as results have."""
    return json.dumps({"name": name, "settings": {"quick": quick}})


def fail(report, options):
    raise RuntimeError("no such thing")


def test_a_failure_is_told_and_the_others_run(add_benchmark, capsys):
    seen = []
    add_benchmark("broken", fail)
    add_benchmark("untrue", lambda report, options: report.check("1 is 2", False))
    add_benchmark("sound", lambda report, options: seen.append((options.quick, options.repeats)))

    assert commands.main(["--all", "--quick"]) == 1

    assert seen == [(True, 1)]
    printed = capsys.readouterr()
    assert "no such thing" in printed.err
    assert "2 failed. broken untrue" in printed.out


def test_all_is_well_where_nothing_fails(add_benchmark, capsys):
    add_benchmark("sound", lambda report, options: report.check("1 is 1", True))

    assert commands.main(["--all"]) == 0
    assert "1 benchmarks" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--all", "sound"], ["--quick"], ["--quick", "sound"]])
def test_what_would_be_ignored_is_refused(add_benchmark, arguments):
    add_benchmark("sound", fail)

    with pytest.raises(SystemExit):
        commands.main(arguments)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--repeats", "0", "no whole number of at least 1"),
        ("--repeats", "-1", "no whole number of at least 1"),
        ("--json", ".", "is a folder"),
        ("--json", "no/such/folder/x.json", "make it first"),
    ],
)
def test_what_can_not_be_done_is_said_before_anything_is_measured(
    add_benchmark, capsys, option, value, said
):
    add_benchmark("sound", fail)

    with pytest.raises(SystemExit):
        commands.main(["sound", f"{option}={value}"])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--texts", "9"], "at least 10"),
        (["depth_search", "--rows", "9"], "at least 10"),
        (["finetune", "--rows", "7"], "at least 8"),
        (["quality", "--sizes", "15"], "at least 16"),
        (["quality", "--sizes", "some"], "at least 16"),
        (["ulmfit", "--rows", "2"], "at least 3"),
        (["quality", "--seeds", "-1"], "from 0 to 4294967295"),
        (["depths", "--seeds", "4294967296"], "from 0 to 4294967295"),
        (["pretraining", "--seeds", "0.5"], "from 0 to 4294967295"),
    ],
)
def test_numbers_that_a_benchmark_can_not_take_are_refused(capsys, arguments, said):
    with pytest.raises(SystemExit):
        commands.main([*arguments, "--quick"])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["gpu", "quality"])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys, benchmark):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    with pytest.raises(SystemExit):
        commands.main([benchmark, "--quick", "--device", "cuda"])
    assert "finds no GPU" in capsys.readouterr().err


def test_a_file_stays_as_it_was_where_nothing_was_measured(add_benchmark, capsys, tmp_path):
    file = tmp_path / "sound.json"
    file.write_text(results_of("sound"))
    add_benchmark("sound", lambda report, options: report.note("No GPU was at hand."))

    assert commands.main(["sound", "--json", str(file)]) == 0

    assert file.read_text() == results_of("sound")
    assert "Nothing was measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "quick", "said"),
    [
        (results_of("encode"), [], "has results of encode; those of sound"),
        (results_of("sound"), ["--quick"], "has results of sound; those of sound --quick"),
        (results_of("sound", quick=True), [], "has results of sound --quick; those of sound"),
        ("", [], "no results of a benchmark"),
        ("Minutes of a meeting", [], "no results of a benchmark"),
        ("[1, 2]", [], "no results of a benchmark"),
        ('{"name": "sound", "settings": null}', [], "no results of a benchmark"),
        ("\udcff", [], "no results of a benchmark"),
    ],
)
def test_a_file_of_something_else_is_left_alone(add_benchmark, tmp_path, written, quick, said):
    file = tmp_path / "sound.json"
    file.write_text(written, "utf-8", "surrogateescape")
    before = file.read_bytes()
    add_benchmark("sound", fail)

    with pytest.raises(SystemExit, match=said) as refused:
        commands.main(["sound", *quick, "--json", str(file)])

    assert str(file) in str(refused.value)
    assert "Remove it, or name another file." in str(refused.value)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_results_of_the_same_benchmark_are_measured_anew(add_benchmark, tmp_path):
    file = tmp_path / "sound.json"
    file.write_text(results_of("sound"))
    add_benchmark("sound", lambda report, options: report.table("Rows", ["", "n"], [["a", "1"]]))

    assert commands.main(["sound", "--json", str(file)]) == 0

    assert json.loads(file.read_text("utf-8"))["tables"][0]["title"] == "Rows"


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["pretraining", "--seeds", "3", "--epochs", "7"], {"seed": 3, "epochs": 7}),
        (["depths", "--seeds", "3", "4"], {"seeds": [3, 4]}),
    ],
)
@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_what_is_asked_for_is_done_in_a_quick_run_too(monkeypatch, arguments, settings, quick):
    asked = []

    def stop(job):
        asked.append(job.settings)
        raise RuntimeError("enough")

    monkeypatch.setattr(f"benchmarks.{arguments[0]}.run_job", stop)
    with pytest.raises(RuntimeError, match="enough"):
        commands.main([*arguments, *quick])
    assert asked[0].items() >= settings.items()


def test_what_was_measured_is_written_though_it_can_not_be_shown(
    add_benchmark, monkeypatch, tmp_path
):
    file = tmp_path / "sound.json"
    add_benchmark("sound", lambda report, options: report.table("Arrows", ["→"], [["→"]]))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))

    with pytest.raises(UnicodeEncodeError):
        commands.main(["sound", "--json", str(file)])
    assert "→" in file.read_text("utf-8")


def test_every_benchmark_says_what_it_measures():
    parser, benchmarks = commands._parser()

    assert list(benchmarks) == list(commands.NAMES)
    for name, benchmark in benchmarks.items():
        assert parser.parse_args([name, "--quick"]).quick
        assert (benchmark.__doc__ or "").splitlines()[0].endswith(".")


def test_a_command_of_several_words_an_option_can_be_given_again(monkeypatch):
    arguments = ["search", "--tools", "skrub TextEncoder", "embetter SentenceEncoder"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    _, _, given = Report("search", "Something.", {}).command.partition("python -m benchmarks ")

    assert shlex.split(given) == arguments


def test_the_commands_of_the_results_can_be_given_again(monkeypatch):
    """As on a machine with a GPU, which some of them ask for."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    parser, _ = commands._parser()
    for result in read_results().values():
        for command in result["command"].split(COMMANDS_JOINED_BY):
            _, _, arguments = command.partition("python -m benchmarks ")
            assert parser.parse_args(shlex.split(arguments)).name == result["name"]
