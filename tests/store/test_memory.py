from concurrent.futures import ThreadPoolExecutor

import pytest

from sklearn_bert.store import MemoryStore

ENTRY = 1 + 10 + MemoryStore.overhead


def filled(limit, keys):
    store = MemoryStore(limit)
    store.put_many(keys, [key * 10 for key in keys])
    return store


def test_the_least_recently_used_goes_first():
    store = filled(3 * ENTRY, [b"a", b"b", b"c"])
    store.get_many([b"a"])
    store.put_many([b"d"], [b"d" * 10])
    found = store.get_many([b"a", b"b", b"c", b"d"])
    assert found == [b"a" * 10, None, b"c" * 10, b"d" * 10]


def test_size_never_exceeds_the_limit():
    store = MemoryStore(5 * ENTRY)
    for number in range(100):
        store.put_many([bytes([number])], [b"x" * (number % 20)])
        assert store.info().size <= store.limit


def test_replacing_a_value_counts_it_once():
    store = filled(1000, [b"a"])
    store.put_many([b"a"], [b"new"])
    assert store.get_many([b"a"]) == [b"new"]
    assert (store.info().entries, store.info().size) == (1, 1 + 3 + MemoryStore.overhead)


def test_a_value_beyond_the_limit_is_not_kept():
    store = MemoryStore(100)
    store.put_many([b"a"], [b"x" * 1000])
    assert store.get_many([b"a"]) == [None]
    assert store.info().size == 0


def test_hits_and_misses_are_counted_until_cleared():
    store = filled(1000, [b"a"])
    store.get_many([b"a", b"b", b"a"])
    assert (store.info().hits, store.info().misses) == (2, 1)
    store.clear()
    info = store.info()
    assert (info.entries, info.size, info.hits, info.misses) == (0, 0, 0, 0)
    assert store.get_many([b"a"]) == [None]


def test_a_lower_limit_holds_at_once():
    store = filled(10 * ENTRY, [b"a", b"b", b"c"])
    store.limit = ENTRY
    assert store.get_many([b"a", b"b", b"c"]) == [None, None, b"c" * 10]


def test_threads():
    store = MemoryStore(50 * ENTRY)

    def use(thread):
        for number in range(300):
            key = bytes([number % 90])
            store.put_many([key], [key * 10])
            assert store.get_many([key])[0] in (None, key * 10)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    info = store.info()
    assert info.size == info.entries * ENTRY <= store.limit


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="zip"):
        MemoryStore(100).put_many([b"a"], [])


def test_looking_whether_there_is_a_value():
    store = filled(2 * ENTRY, [b"a", b"b"])
    assert store.contains_many([b"c", b"a", b"a", b"b"]) == [False, True, True, True]
    assert store.contains_many([]) == []
    assert (store.info().hits, store.info().misses) == (0, 0)
    # It is no use either: the oldest still goes first.
    store.contains_many([b"a"])
    store.put_many([b"c"], [b"c" * 10])
    assert store.contains_many([b"a", b"b", b"c"]) == [False, True, True]


def test_an_empty_value_is_a_value():
    store = MemoryStore(1000)
    store.put_many([b"a"], [b""])
    assert store.contains_many([b"a", b"b"]) == [True, False]
    assert store.get_many([b"a", b"b"]) == [b"", None]
