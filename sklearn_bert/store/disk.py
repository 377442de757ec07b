"""A store on disk, shared by processes: SQLite in WAL mode with checksummed values.

A store must never be the reason that work stops: what can't be read is a miss, what can't be
written is not kept, a damaged file is replaced, and all of this is said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sklearn_bert.errors import CacheWarning, warn_caller
from sklearn_bert.store.base import Store, StoreInfo
from sklearn_bert.store.forks import hold_during_forks

__all__ = ["FILE_NAME", "DiskStore"]

T = TypeVar("T")

FILE_NAME = "sklearn_bert.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,
    checksum BLOB NOT NULL,
    used INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_used ON entries (used);
"""
_KEYS_PER_QUERY = 500
# How SQLite lays out rows (sqlite.org/fileformat2.html): in pages, of its default size; of one that
# is too large for a page a part is there, and the rest in a chain of others.
_PAGE = 4096
_PAGE_HEADER = 8
_MOST_IN_PAGE = _PAGE - 35
_LEAST_IN_PAGE = (_PAGE - 12) * 32 // 255 - 23
_IN_CHAIN = _PAGE - 4
# What a row has beside key and value, what its place in a page takes, and both indices.
_ROW_HEADER, _CELL, _INDICES = 20, 10, 90
# How long to wait for other writers; for less once that was in vain, as one that was suspended
# while it wrote would hold up each write of all others.
_BUSY_SECONDS = 60
_BUSY_AGAIN_SECONDS = 1
# A value's time of use is only rewritten when it is older than this, to keep reads cheap.
_USED_RESOLUTION_SECONDS = 60
# Evicting a little more than needed keeps it from happening at each write.
_SHRINK_TO = 0.9
# Errors that tell nothing about the content of the file. Our statements never change, so that all
# other errors mean a damaged one, whatever they say: "unsupported file format", "no such column".
_NOT_THE_CONTENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
}
_PRIMARY_CODE = 0xFF


class DiskStore(Store):
    """Keeps values in a folder, up to a limit in bytes of its file.

    Parameters
    ----------
    folder : path
        Made with the first values, if it does not exist.
    limit : int
        Bytes that the file may use.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_bert.store import DiskStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = DiskStore(folder, limit=10_000_000)
    ...     store.put_many([b"key"], [b"value"])
    ...     found = store.get_many([b"key", b"other"])
    ...     store.close()
    >>> found
    [b'value', None]
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self.path = Path(folder) / FILE_NAME
        self._limit = limit
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._busy_seconds = _BUSY_SECONDS
        self._warned = False
        self._hits = 0
        self._misses = 0
        hold_during_forks(self)

    def entry_bytes(self, n_bytes: Any) -> Any:
        """Return the bytes that an entry takes of the file, from those of its key and value."""
        row = np.asarray(n_bytes) + _ROW_HEADER
        rest = _LEAST_IN_PAGE + (row - _LEAST_IN_PAGE) % _IN_CHAIN
        split = np.where(rest <= _MOST_IN_PAGE, rest, _LEAST_IN_PAGE)
        in_page = np.where(row <= _MOST_IN_PAGE, row, split)
        share = _PAGE // ((_PAGE - _PAGE_HEADER) // (in_page + _CELL))
        return share + -((in_page - row) // _IN_CHAIN) * _PAGE + _INDICES

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none or where it is damaged."""
        found, stale, damaged = self._guarded(
            lambda connection: _read(connection, keys), _Found({}, [], [])
        )
        if damaged:
            self._warn(f"was damaged: {len(damaged)} value(s) are not what was kept")
        if stale or damaged:
            # By itself: what was found stays found where nothing can be written.
            self._guarded(lambda connection: _tidy(connection, stale, damaged), None)
        values = [found.get(key) for key in keys]
        with self._lock:
            hits = sum(value is not None for value in values)
            self._hits += hits
            self._misses += len(values) - hits
        return values

    def contains_many(self, keys: Sequence[bytes]) -> list[bool]:
        """Say for each key whether there is a value; this counts neither as hit nor as miss."""
        nothing: set[bytes] = set()
        there = self._guarded(lambda connection: _present(connection, keys), nothing)
        return [key in there for key in keys]

    def put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Keep all values in one transaction; the least recently used make room."""
        if not keys:
            return
        now = int(time.time())
        rows = [
            (key, value, _checksum(key, value), now)
            for key, value in zip(keys, values, strict=True)
        ]
        self._guarded(lambda connection: self._write(connection, rows), None)

    def clear(self) -> None:
        """Forget everything, the hit and miss counts too, and give the space back."""
        with self._lock:
            self._hits = self._misses = 0
        self._if_there(lambda connection: _clear(connection), None)

    def info(self) -> StoreInfo:
        """Tell how full the store is and how this process used it."""
        entries, size = self._if_there(
            lambda connection: (_count(connection), _used_bytes(connection)), (0, 0)
        )
        return StoreInfo(entries, size, self._limit, self._hits, self._misses)

    @property
    def limit(self) -> int:
        """Bytes that the file may use."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._if_there(self._shrink, None)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def close_if_idle(self) -> None:
        """Close the connection, unless another thread is using it."""
        if self._lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._lock.release()

    @property
    def is_deleted(self) -> bool:
        """Whether a file is open that is no longer there, and takes up space until it is closed."""
        return self._connection is not None and _identity(self.path) is None

    def acquire(self) -> None:
        """Wait until no other thread is at work, let none begin, and close the connection."""
        self._lock.acquire()
        self.close()

    def release(self) -> None:
        """Let other threads work again."""
        self._lock.release()

    def _if_there(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do `work` where there may be anything; whoever only looks leaves no folder behind."""
        with self._lock:
            if _identity(self.path) is None:
                self._close_if_replaced()
                return otherwise
            return self._guarded(work, otherwise)

    def _guarded(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do `work` on the connection; when the disk fails, say so once and go on without."""
        with self._lock:
            try:
                return work(self._open())
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self.close()
                if self._is_damaged(error):
                    self._remove_files()
                    self._warn(f"was damaged and is made anew: {error}")
                else:
                    self._warn(f"can't be used: {error}")
                if _primary_code(error) == sqlite3.SQLITE_BUSY:
                    self._busy_seconds = _BUSY_AGAIN_SECONDS
                return otherwise
            except BaseException:
                # An interrupt can come between any two steps: no transaction may stay open.
                self.close()
                raise

    def _close_if_replaced(self) -> None:
        """Close a file that nobody else sees any more, and say so; SQLite would go on with it."""
        if self._connection is not None and _identity(self.path) != self._file:
            self.close()
            self._warn("was deleted or replaced while it was in use")

    def _open(self) -> sqlite3.Connection:
        self._close_if_replaced()
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._file = _identity(self.path)
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # From here on the file exists.
            self._file = _identity(self.path)
            # Damage can turn bytes into text that is none.
            connection.text_factory = bytes
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write(
        self, connection: sqlite3.Connection, rows: list[tuple[bytes, bytes, bytes, int]]
    ) -> None:
        with _transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)
        self._shrink(connection)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        # Once more where pages of what went still hold something else.
        while (used := _used_bytes(connection)) > self._limit:
            if self._evict(connection, used - _SHRINK_TO * self._limit) <= 0:
                return

    def _evict(self, connection: sqlite3.Connection, surplus: float) -> int:
        """Forget the least recently used values of so many bytes; return how many went."""
        gone: list[tuple[bytes]] = []
        with _transaction(connection):
            oldest = connection.execute(
                "SELECT key, ifnull(length(key) + length(value), 0) FROM entries "
                "ORDER BY used, rowid"
            )
            while surplus > 0 and (rows := oldest.fetchmany(_KEYS_PER_QUERY)):
                freed = np.cumsum(self.entry_bytes([size for _, size in rows]))
                n_gone = int(np.searchsorted(freed, surplus)) + 1
                gone += [(key,) for key, _ in rows[:n_gone]]
                surplus -= freed[:n_gone][-1]
            oldest.close()
            # In a damaged file those that were listed need not be found again.
            return connection.executemany("DELETE FROM entries WHERE key = ?", gone).rowcount

    def _is_damaged(self, error: Exception) -> bool:
        """Say whether `error` comes from what the file holds."""
        if isinstance(error, OSError):
            return False
        code = _primary_code(error)
        if code == sqlite3.SQLITE_READONLY:
            # A header that names a later version reads the same.
            return all(os.access(path, os.W_OK) for path in (self.path, self.path.parent))
        return code is not None and code not in _NOT_THE_CONTENT

    def _remove_files(self) -> None:
        """Remove the damaged files, if another process has not replaced them by now."""
        if _identity(self.path) != self._file:
            return
        # The database last: whoever opens it meanwhile notices that it is gone, and starts anew.
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}{suffix}")

    def _warn(self, what: str) -> None:
        with self._lock:
            if self._warned:
                return
            self._warned = True
        warn_caller(
            f"The cache in {self.path.parent} {what}. What it can't give is computed, and results "
            f"stay correct. If this comes again, pass cache='memory', or a folder on a sound disk "
            f"that can be written and has room.",
            CacheWarning,
        )


class _Found(NamedTuple):
    """What a look-up found, and the keys whose time of use is old, or whose values are damaged."""

    values: dict[bytes, bytes]
    stale: list[bytes]
    damaged: list[bytes]


def _read(connection: sqlite3.Connection, keys: Sequence[bytes]) -> _Found:
    found = _Found({}, [], [])
    old = int(time.time()) - _USED_RESOLUTION_SECONDS
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        rows = connection.execute(
            "SELECT key, value, checksum, used FROM entries "
            f"WHERE key IN ({','.join('?' * len(part))})",
            part,
        )
        for key, value, checksum, used in rows:
            whole = isinstance(key, bytes) and isinstance(value, bytes) and isinstance(used, int)
            if not whole or checksum != _checksum(key, value):
                found.damaged.append(key)
                continue
            found.values[key] = value
            if used < old:
                found.stale.append(key)
    return found


def _tidy(connection: sqlite3.Connection, stale: list[bytes], damaged: list[bytes]) -> None:
    now = int(time.time())
    with _transaction(connection):
        connection.executemany(
            "UPDATE entries SET used = ? WHERE key = ?", [(now, key) for key in stale]
        )
        connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in damaged])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _present(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    present: set[bytes] = set()
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        present.update(
            key
            for (key,) in connection.execute(
                f"SELECT key FROM entries WHERE key IN ({','.join('?' * len(part))})", part
            )
        )
    return present


def _clear(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        connection.execute("DELETE FROM entries")
    connection.execute("VACUUM")
    # The log of writes has all of it by now. While others read, it stays: that may be long.
    [(patience,)] = connection.execute("PRAGMA busy_timeout")
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, page_size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_size


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=8, key=key[:64]).digest()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name, None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _primary_code(error: Exception) -> int | None:
    """Return SQLite's code without its details; text that can't be decoded is a damaged schema."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE
