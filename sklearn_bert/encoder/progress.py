"""Progress bars whose lock is this process's own.

The lock that tqdm takes by default, for bars that are switched off too, is shared by all processes
that were forked: one that is killed while it holds the lock has all others wait forever.
"""

from __future__ import annotations

import threading

from tqdm.auto import tqdm

from sklearn_bert.store.forks import hold_during_forks

__all__ = ["ProgressBar"]


class ProgressBar(tqdm):
    """A bar of tqdm, without its thread and with a lock of its own."""

    monitor_interval = 0


_lock = threading.RLock()
hold_during_forks(_lock)
ProgressBar.set_lock(_lock)
