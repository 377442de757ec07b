"""The store on disk: shared, bounded, and never the reason that work stops or is wrong."""

import os
import sqlite3
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sklearn_bert import BertFeaturizer, cache
from sklearn_bert.errors import CacheWarning
from sklearn_bert.store import DiskStore
from tests import needs
from tests.models import TEXTS
from tests.processes import Child

MB = 2**20
KEYS = [f"key {number}".encode() for number in range(1200)]
VALUES = [key * 20 for key in KEYS]


@pytest.fixture
def store(tmp_path):
    store = DiskStore(tmp_path / "store", 100 * MB)
    yield store
    store.close()


def change_on_disk(store, statement, *values):
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_what_is_put_is_found(store):
    store.put_many(KEYS, VALUES)
    assert store.get_many([*KEYS, b"other"]) == [*VALUES, None]
    info = store.info()
    assert (info.entries, info.hits, info.misses) == (len(KEYS), len(KEYS), 1)


def test_another_store_in_the_same_folder_finds_it(store):
    store.put_many(KEYS, VALUES)
    other = DiskStore(store.path.parent, 100 * MB)
    assert other.get_many(KEYS) == VALUES
    other.close()


def test_clear(store):
    store.put_many(KEYS, VALUES)
    full = store.info().size
    store.get_many(KEYS)
    store.clear()
    info = store.info()
    assert (info.entries, info.hits, info.misses) == (0, 0, 0)
    assert info.size < full / 2


def test_clearing_gives_space_back_at_once(store):
    store.put_many(KEYS, [value * 1000 for value in VALUES])
    store.clear()
    assert sum(path.stat().st_size for path in store.path.parent.iterdir()) < MB / 2
    store.put_many(KEYS, VALUES)
    assert store.get_many(KEYS) == VALUES


def test_clearing_waits_for_nobody_who_reads(store):
    store.put_many(KEYS, VALUES)
    reader, statements = sqlite3.connect(store.path, isolation_level=None), []
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM entries").fetchone() == (len(KEYS),)
    store._connection.set_trace_callback(statements.append)
    store.clear()
    assert statements[-4:-1] == [
        "PRAGMA busy_timeout",
        "PRAGMA busy_timeout = 0",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ]
    assert statements[-1] == "PRAGMA busy_timeout = 60000"
    assert store.info().entries == 0
    assert reader.execute("SELECT count(*) FROM entries").fetchone() == (len(KEYS),)
    reader.close()


def test_the_limit_holds_and_the_oldest_go_first(store):
    store.limit = MB
    for number in range(40):
        store.put_many([f"{number:03}".encode()], [os.urandom(MB // 16)])
        assert store.info().size <= MB
    found = store.get_many([f"{number:03}".encode() for number in range(40)])
    kept = [value is not None for value in found]
    assert kept == sorted(kept)
    assert any(kept)
    assert not kept[0]
    store.limit = MB // 4
    assert store.info().size <= MB // 4


@pytest.mark.parametrize("small_first", [True, False])
def test_the_limit_goes_by_bytes_and_not_by_number(store, small_first):
    small = [(f"small {n}".encode(), bytes(200)) for n in range(2000)]
    large = [(f"large {n}".encode(), bytes(100_000)) for n in range(50)]
    for entries in (small, large) if small_first else (large, small):
        store.put_many(*zip(*entries, strict=True))
    size = store.info().size
    for share in (0.95, 0.5):
        store.limit = round(share * size)
        assert 0.75 * store.limit < store.info().size <= store.limit
    store.limit = 0
    assert store.info().entries == 0


# Of vectors 384, 768 and 1,024 wide, and of states of a few tokens.
@pytest.mark.parametrize("n_bytes", [1569, 3105, 4129, 19_000, 98_000])
def test_what_entries_take_is_known_before(store, n_bytes):
    store.limit = 4 * MB
    fit = int(store.limit / store.entry_bytes(n_bytes))
    keys = [os.urandom(20) for _ in range(fit)]
    for start in range(0, fit, 500):
        part = keys[start : start + 500]
        store.put_many(part, [os.urandom(n_bytes - 20) for _ in part])
    assert store.contains_many(keys) == [True] * fit
    assert 0.8 * store.limit < store.info().size <= store.limit


class Interrupted:
    """A connection during one of whose statements somebody presses Ctrl-C."""

    def __init__(self, connection, statement):
        self.connection = connection
        self.statement = statement

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, statement, *more):
        found = self.connection.execute(statement, *more)
        if statement.startswith(self.statement):
            raise KeyboardInterrupt
        return found


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT", "SELECT"])
def test_an_interrupt_leaves_the_store_as_it_was_and_free_for_others(store, statement):
    store.put_many(KEYS[:5], VALUES[:5])
    store._connection = Interrupted(store._connection, statement)
    use = store.info if statement == "SELECT" else lambda: store.put_many(KEYS[5:9], VALUES[5:9])
    with pytest.raises(KeyboardInterrupt):
        use()
    other = DiskStore(store.path.parent, 100 * MB)
    other.put_many(KEYS[20:21], VALUES[20:21])
    assert other.get_many(KEYS[:5]) == VALUES[:5]
    other.close()
    assert store.get_many([*KEYS[:5], KEYS[20]]) == [*VALUES[:5], VALUES[20]]


@pytest.mark.parametrize("column", ["value", "checksum"])
def test_a_flipped_byte_is_a_miss(store, column):
    store.put_many([b"a", b"b"], [b"value a", b"value b"])
    change_on_disk(store, f"UPDATE entries SET {column} = ? WHERE key = ?", b"valuf a", b"a")
    with pytest.warns(CacheWarning, match=r"damaged: 1 value") as caught:
        assert store.get_many([b"a", b"b"]) == [None, b"value b"]
    assert len(caught) == 1
    assert store.info().entries == 1
    store.put_many([b"a"], [b"value a"])
    assert store.get_many([b"a"]) == [b"value a"]


def test_a_value_under_another_key_is_a_miss(store):
    store.put_many([b"a"], [b"value a"])
    change_on_disk(store, "UPDATE entries SET key = ?", b"b")
    with pytest.warns(CacheWarning, match="damaged"):
        assert store.get_many([b"a", b"b"]) == [None, None]


@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_file_is_said_once_and_replaced(store, damage):
    store.put_many(KEYS, VALUES)
    store.close()
    data = store.path.read_bytes()
    store.path.write_bytes(b"garbage" * 1000 if damage == "garbage" else data[: len(data) // 3])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            found = store.get_many(KEYS)
            assert all(a in (b, None) for a, b in zip(found, VALUES, strict=True))
            store.put_many(KEYS, VALUES)
    assert [w.category for w in caught] == [CacheWarning]
    assert "was damaged and is made anew" in str(caught[0].message)
    assert store.get_many(KEYS) == VALUES


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = DiskStore(tmp_path / "file" / "store", MB)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store.put_many([b"a"], [b"b"])
        assert store.get_many([b"a"]) == [None]
        assert store.info().entries == 0
    assert [w.category for w in caught] == [CacheWarning]
    assert "can't be used" in str(caught[0].message)
    assert "results stay correct" in str(caught[0].message)


def test_looking_whether_there_is_a_value(store):
    store.put_many(KEYS[::2], VALUES[::2])
    assert store.contains_many(KEYS) == [number % 2 == 0 for number in range(len(KEYS))]
    assert store.contains_many([KEYS[1], KEYS[0], KEYS[0]]) == [False, True, True]
    assert store.contains_many([]) == []
    assert (store.info().hits, store.info().misses) == (0, 0)
    store.clear()
    assert not any(store.contains_many(KEYS))


def test_looking_is_no_use_of_a_value(store):
    store.put_many([b"a"], [b"value a"])
    change_on_disk(store, "UPDATE entries SET used = 7")
    assert store.contains_many([b"a"]) == [True]
    store.close()
    connection = sqlite3.connect(store.path)
    assert connection.execute("SELECT used FROM entries").fetchall() == [(7,)]
    connection.close()


def test_looking_into_a_damaged_file_finds_nothing_and_says_so_once(store):
    store.put_many(KEYS, VALUES)
    store.close()
    store.path.write_bytes(b"garbage" * 1000)
    with pytest.warns(CacheWarning, match="was damaged") as caught:
        assert not any(store.contains_many(KEYS))
    assert len(caught) == 1
    store.put_many(KEYS, VALUES)
    assert all(store.contains_many(KEYS))


def test_threads(store):
    def use(thread):
        part = slice(thread * 200, thread * 200 + 400)
        for _ in range(5):
            store.put_many(KEYS[part], VALUES[part])
            assert store.get_many(KEYS[part]) == VALUES[part]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert store.get_many(KEYS[:1000]) == VALUES[:1000]


@needs.fork
def test_forked_processes_write_at_once(store):
    store.put_many(KEYS[:10], VALUES[:10])

    def use(number):
        for start in range(number * 100, number * 100 + 300, 20):
            store.put_many(KEYS[start : start + 20], VALUES[start : start + 20])
        assert store.get_many(KEYS[:10]) == VALUES[:10]

    children = [Child(lambda say, number=number: use(number)) for number in range(4)]
    use(5)
    assert [child.end() for child in children] == [(0, [])] * 4
    assert store.get_many(KEYS[:800]) == VALUES[:800]


class TestWithTheFeaturizer:
    @pytest.fixture
    def bert(self, saved_model, tmp_path):
        return BertFeaturizer(saved_model("bert"), precision="float32", cache=tmp_path / "store")

    def test_damaged_values_are_never_returned(self, bert):
        expected = bert.transform(TEXTS)
        store = DiskStore(bert.cache, MB)
        change_on_disk(store, "UPDATE entries SET value = zeroblob(length(value))")
        with pytest.warns(CacheWarning, match="damaged"):
            np.testing.assert_allclose(bert.transform(TEXTS), expected, atol=1e-6)

    def test_a_second_process_encodes_nothing(self, bert, tmp_path, run_python):
        np.save(tmp_path / "expected.npy", bert.transform(TEXTS))
        script = """
import sys, numpy as np
from sklearn_bert import BertFeaturizer, cache
from sklearn_bert.encoder import work
from tests.models import TEXTS
model, folder, expected = sys.argv[1:]
vectors = BertFeaturizer(model, precision="float32", cache=folder).transform(TEXTS)
np.testing.assert_array_equal(vectors, np.load(expected))
assert work.counted().texts == work.counted().batches == 0
assert cache.info(folder).misses < len(TEXTS)
"""
        run_python(script, bert.model, bert.cache, tmp_path / "expected.npy")

    def test_public_view(self, bert):
        bert.transform(TEXTS)
        info = cache.info(bert.cache)
        assert info.entries >= len(TEXTS)
        cache.set_limit(MB, bert.cache)
        assert cache.info(bert.cache).limit == MB
        cache.clear(bert.cache)
        assert cache.info(bert.cache).entries == 0
        assert cache.info().entries == 0
