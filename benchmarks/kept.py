"""What a run has measured so far, so that the same command goes on where it was stopped.

It lies in a folder beside the file that `--json` names, and goes when that file is written.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Kept", "keeping", "kept", "working_folder"]


class Kept:
    """Results of jobs, in the order in which they were measured.

    Parameters
    ----------
    folder : Path or None
        Where they lie; None is nowhere.
    settings : dict
        The options of the run, which have to be those of the results that are there.

    Raises
    ------
    SystemExit
        If the folder has results of other options.
    """

    def __init__(self, folder: Path | None = None, settings: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._found: dict[str, list[dict[str, Any]]] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        mine = json.dumps(settings, sort_keys=True, default=str)
        lines = _whole_lines(self._file)
        if not lines:
            self._write(mine)
        elif lines[0] != mine:
            raise SystemExit(f"{folder} has the results of a run with other options. Remove it.")
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
