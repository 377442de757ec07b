"""Forked children for tests: real processes, to be killed or given disks of their own.

They are forked, because a child that has all imported is ready at once.
"""

import contextlib
import ctypes
import os
import signal
import struct
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

_NUMBER = struct.Struct("<q")
_NEW_USERS, _NEW_MOUNTS = 0x10000000, 0x00020000
_PRIVATE, _RECURSIVE, _REMOUNT, _READ_ONLY = 1 << 18, 1 << 14, 1 << 5, 1
_CANNOT_MOUNT = 77
_SECONDS = 120


class Child:
    """A forked process that does `work(say)` and ends with 0 if that went well.

    Parameters
    ----------
    work : callable
        Takes a function that says a number to the parent, which counts as said once it returned.
    """

    def __init__(self, work: Callable[[Callable[[int], None]], None]) -> None:
        self._heard = b""
        self._pipe, say_to = os.pipe()
        with warnings.catch_warnings():
            # Of threads that do not survive the fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            # A child that hangs is one that failed.
            signal.alarm(_SECONDS)
            code = 1
            try:
                work(lambda number: _say(say_to, number))
                code = 0
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(say_to)

    def hear(self, at_least: int) -> None:
        """Wait until the child said so many numbers in all, or ended."""
        while self.n_heard < at_least and self._read():
            pass

    def hear_all(self) -> None:
        """Read what was said so far, without waiting for more."""
        os.set_blocking(self._pipe, False)
        with contextlib.suppress(BlockingIOError):
            while self._read():
                pass
        os.set_blocking(self._pipe, True)

    @property
    def n_heard(self) -> int:
        """How many numbers were read."""
        return len(self._heard) // _NUMBER.size

    def _read(self) -> bool:
        more = os.read(self._pipe, 1 << 16)
        self._heard += more
        return bool(more)

    def kill(self) -> None:
        """End the child as nothing can hold off."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[int, list[int]]:
        """Wait for the end; return its exit code, negative for a signal, and all that was said."""
        self.hear(1 << 60)
        os.close(self._pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        whole = self._heard[: self.n_heard * _NUMBER.size]
        return code, [number for (number,) in _NUMBER.iter_unpack(whole)]


def in_child(work: Callable[[], None]) -> None:
    """Do `work` in a child, whose failure is ours; skip the test if it cannot mount."""
    code, _ = Child(lambda say: work()).end()
    if code == _CANNOT_MOUNT:
        pytest.skip("the system does not let this user mount anything")
    assert code == 0


def mount_memory(folder: os.PathLike[str], size: int) -> None:
    """Mount a disk of so many bytes, which only this process sees and that goes with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    maps = {"uid_map": f"0 {os.getuid()} 1", "setgroups": "deny", "gid_map": f"0 {os.getgid()} 1"}
    if libc.unshare(_NEW_USERS | _NEW_MOUNTS) != 0:
        raise SystemExit(_CANNOT_MOUNT)
    for name, value in maps.items():
        Path("/proc/self", name).write_text(value)
    private = libc.mount(None, b"/", None, _PRIVATE | _RECURSIVE, None)
    options = f"size={size}".encode()
    if private or libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options):
        raise SystemExit(_CANNOT_MOUNT)


def make_read_only(folder: os.PathLike[str]) -> None:
    """Have the mounted disk refuse all writes."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(folder), None, _REMOUNT | _READ_ONLY, None):
        raise SystemExit(_CANNOT_MOUNT)


def _say(pipe: int, number: int) -> None:
    os.write(pipe, _NUMBER.pack(number))
