"""Files that are there whole, or as they were before."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["mode_of_new_files", "replacement"]


@contextlib.contextmanager
def replacement(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the place of a new file, which gets its name when all is written.

    If something fails, what was there stays. One that was there hands on who may read it, a link
    stays a link, and what is no file of a disk, such as a pipe, is written to.

    Parameters
    ----------
    path : str or path
        The name.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        yield Path(name)
        # mkstemp lets the owner alone read it.
        os.chmod(name, _mode_of(path))
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _mode_of(path: Path) -> int:
    """Return who may read and write a file, if it is yet to be made as others are."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else mode_of_new_files()


def mode_of_new_files() -> int:
    """Return who may read and write files that this process makes."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
