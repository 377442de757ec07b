"""What the command line takes: numbers that mean something, files and devices that are there."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["count", "device_at_hand", "file_to_write"]


def count(text: str) -> int:
    """Read a number of rows, rounds, epochs or processes, which is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
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
