import builtins
import io
import re

import numpy as np
import pytest

from sklearn_bert.comparison.live import Lines, LiveTable, Silence, watcher
from sklearn_bert.comparison.running import METRICS, CandidateResult

NAMES = ["first [b]", "second", "third"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def without_rich(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "rich":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def result():
    folds = [{"fold": i, **dict.fromkeys(METRICS, 0.5 + i / 4), "fit_time": 2.0} for i in range(2)]
    return CandidateResult(
        NAMES[0], None, folds, np.empty(0), np.empty(0), predict_time=3.0, pickle_bytes=1500
    )


def shown_by(watching, stream):
    with watching as shown:
        shown.begin(NAMES, 2)
        shown.fold(NAMES[0], 0)
        shown.fold(NAMES[0], 1)
        shown.done(result())
        shown.not_run(NAMES[1], "out of time")
        shown.note("a note")
    return stream.getvalue()


def test_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    lines = shown_by(watcher(1, stream), stream).splitlines()
    assert lines[0] == "3 candidates, 2 folds each"
    assert lines[1] == "first [b] ..."
    assert lines[2].startswith("first [b]: precision 0.625 ± 0.125, recall")
    assert lines[2].endswith("fit 2.0 s, predict 1,000 3.0 s, size 1.5 kB, encoded 0")
    assert lines[3:] == ["second: not run, out of time", "a note"]


def test_lines_where_rich_is_missing(without_rich):
    assert type(watcher(1, Terminal())) is Lines


def test_a_table_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    watching = watcher(1, stream)
    assert type(watching) is LiveTable
    shown = shown_by(watching, stream)
    # Brackets in a name are no markup.
    for cell in ("first [b]", "fold 1 of 2", "fold 2 of 2", "0.625 ± 0.125", "not run", "waiting"):
        assert cell in shown


def test_silence():
    assert type(watcher(0, Terminal())) is Silence


def test_a_narrow_terminal_keeps_what_decides(monkeypatch):
    """No line is longer than the terminal is wide, and no cell of the score is cut."""
    monkeypatch.setenv("COLUMNS", "40")
    for scoring, heading in (("f1_macro", "F1"), ("recall_macro", "recall")):
        stream = Terminal()
        shown = shown_by(watcher(1, stream, scoring), stream)
        assert heading in shown
        assert "0.625 ± 0.125" in shown
        assert "fold 2 of 2" in shown
        assert "encoded" not in shown
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
        assert max(map(len, re.split(r"[\r\n]", plain))) <= 40


def test_the_table_goes_when_all_is_done(monkeypatch):
    """What is printed then has its place; each line that was shown is erased."""
    stream = Terminal()
    shown = shown_by(watcher(1, stream), stream)
    end = shown.rpartition("a note")[2]
    assert end.count("\x1b[2K") >= len(NAMES)
