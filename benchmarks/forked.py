"""Processes forked from one that has imported what most jobs need: for quick runs.

A fresh process spends more time on imports than on little data. What it imports counts as memory of
whatever it measures, though, so runs whose numbers matter start each job afresh.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["call", "forking", "is_on"]

_IMPORTED = ["torch", "transformers.modeling_utils", "skorch", "sklearn.linear_model"]
_on = False


@contextlib.contextmanager
def forking(wanted: bool) -> Iterator[None]:
    """Have jobs start as forks while this lasts, if that is wanted and can be done here."""
    global _on
    # What a GPU's driver has begun does not survive a fork.
    can = sys.platform == "linux" and shutil.which("nvidia-smi") is None
    before, _on = _on, wanted and can
    try:
        yield
    finally:
        _on = before


def is_on() -> bool:
    """Say whether jobs start as forks."""
    return _on


def call(function: Callable[..., None], *arguments: Any, environment: dict[str, str]) -> int:
    """Call a module's function in a process of its own, and return how that ended.

    Parameters
    ----------
    function : callable
    *arguments
        What can be pickled.
    environment : dict
        All environment variables of the process. What libraries read when they are imported is
        that of the first call.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=_call, args=(environment, function, arguments))
    before = dict(os.environ)
    _set_environment(environment)
    try:
        process.start()
    finally:
        _set_environment(before)
    process.join()
    return process.exitcode or 0


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _call(
    environment: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    _set_environment(environment)
    try:
        function(*arguments)
    finally:
        # As any process does in the end. One of multiprocessing first waits for its own processes,
        # and joblib's end only here, or after five minutes.
        threading._shutdown()  # type: ignore[attr-defined]
