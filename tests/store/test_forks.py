"""Forks: what is held meanwhile. Real ones, under working threads, are in `test_under_fire`."""

import threading

from sklearn_bert.store import forks


class Slow:
    """Something that is waited for so long that another thread makes a lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = []

    def acquire(self):
        self.lock.acquire()
        self.made.append(threading.Lock())
        forks.hold_during_forks(self.made[-1])

    def release(self):
        self.lock.release()


def test_what_is_made_while_a_fork_waits_is_held_too():
    slow = Slow()
    forks.hold_during_forks(slow)
    for number in range(2):
        forks._before()
        locked = [lock.locked() for lock in (slow.lock, *slow.made)]
        forks._after()
        assert locked == [True] * (number + 2)
        assert not any(lock.locked() for lock in (slow.lock, *slow.made))
