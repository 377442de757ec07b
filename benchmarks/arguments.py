"""What the command line takes: numbers that mean something, and files that can be written."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["count", "file_to_write"]


def count(text: str) -> int:
    """Read a number of rows, rounds, epochs or processes, which is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def file_to_write(text: str) -> Path:
    """Read the name of a file, before hours are spent on what goes there."""
    file = Path(text)
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}; make it first")
    return file
