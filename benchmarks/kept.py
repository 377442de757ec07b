"""What a run has measured so far, so that the same command goes on where it was stopped.

It lies in a folder beside the file that `--json` names, and goes when that file is written. Results
of other options, code, packages, threads or of another machine are not taken for those of this run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, thread_settings, versions

__all__ = ["Kept", "keeping", "kept", "working_folder"]

_ROOT = Path(__file__).resolve().parents[1]
_CODE = ("sklearn_bert", "benchmarks", "examples")


class Kept:
    """Results of jobs, in the order in which they were measured.

    Parameters
    ----------
    folder : Path or None
        Where they lie; None is nowhere.
    settings : dict
        The options of the run.

    Raises
    ------
    SystemExit
        If the folder has results of a run that differs in more than when it was.
    """

    def __init__(self, folder: Path | None = None, settings: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._found: dict[str, list[dict[str, Any]]] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        mine = {
            "options": settings,
            "code": _code(),
            "machine": machine(),
            "threads": thread_settings(),
            "packages": versions(),
        }
        # As it is read again.
        mine = json.loads(json.dumps(mine, default=str))
        lines = _whole_lines(self._file)
        if not lines:
            self._write(json.dumps(mine))
            return
        theirs = json.loads(lines[0])
        if theirs != mine:
            other = [name for name in mine if mine[name] != theirs.get(name)]
            raise SystemExit(
                f"{folder} has what a run measured that was broken off, with other "
                f"{' and '.join(other)}. Remove it to measure anew, or name another file."
            )
        for line in lines[1:]:
            key, result = json.loads(line)
            self._found.setdefault(key, []).append(result)

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the next result of a job that was measured before, if there is one."""
        results = self._found.get(key)
        return results.pop(0) if results else None

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Keep a result."""
        if self.folder is not None:
            self._write(json.dumps([key, result]))

    def _write(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _code() -> str:
    """Return a digest of what is measured and of what measures."""
    files = sorted(path for folder in _CODE for path in (_ROOT / folder).rglob("*.py"))
    return hashlib.blake2b(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _whole_lines(file: Path) -> list[str]:
    """Return the lines of a file, which loses a last one that is torn."""
    text = file.read_text("utf-8") if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, "utf-8")
    return whole.splitlines()


_current = Kept()


def kept() -> Kept:
    """Return what keeps the results of the run that is going on."""
    return _current


@contextlib.contextmanager
def keeping(file: Path | None, settings: dict[str, Any]) -> Iterator[None]:
    """Keep results of jobs until what is done within ends well.

    Parameters
    ----------
    file : Path or None
        What `--json` names; without it nothing is kept.
    settings : dict
        The options of the run.
    """
    global _current
    folder = None if file is None else file.with_name(f"{file.name}.part")
    before, _current = _current, Kept(folder, settings)
    try:
        yield
    finally:
        _current = before
    if folder is not None:
        shutil.rmtree(folder)


@contextlib.contextmanager
def working_folder(name: str) -> Iterator[str]:
    """Give a folder for files that results go with: it lasts as long as they do."""
    if _current.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
        return
    # Children run in another folder.
    lasting = _current.folder.resolve() / name
    lasting.mkdir(exist_ok=True)
    yield str(lasting)
