"""What the command line takes: numbers that mean something, files and devices that are there."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["at_least", "count", "device_at_hand", "file_to_write", "seed_number"]

# The largest that NumPy and scikit-learn take.
_LAST_SEED = 2**32 - 1


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a number that is no smaller: of rows that folds need, for instance."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return int(text)

    return number


count = at_least(1)


def seed_number(text: str) -> int:
    """Read what fixes a draw."""
    if not text.isdecimal() or int(text) > _LAST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to {_LAST_SEED}")
    return int(text)


def device_at_hand(text: str) -> str:
    """Read the name of a device, and refuse a GPU where there is none."""
    if text == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise argparse.ArgumentTypeError("PyTorch finds no GPU for cuda")
    return text


def file_to_write(text: str) -> Path:
    """Read the name of a file, before hours are spent on what goes there."""
    file = Path(text)
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}; make it first")
    return file
