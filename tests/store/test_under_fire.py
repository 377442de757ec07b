"""The store on disk under fire: killed writers, many writers, threads while values are evicted.

What was confirmed is never lost, no other value than the one that was kept is ever returned, and
the next writer goes on.
"""

import hashlib
import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone

import sklearn_bert
from sklearn_bert import BertFeaturizer
from sklearn_bert.encoder import work
from sklearn_bert.encoder.checkpoint import load_checkpoint
from sklearn_bert.errors import CacheWarning
from sklearn_bert.store import DiskStore, MemoryStore, disk
from tests import needs
from tests.models import TEXTS
from tests.processes import Child

MB = 2**20
BATCHES = 10**6


def key_of(number):
    return hashlib.sha1(b"%d" % number).digest()


def value_of(number):
    """Return a value that only this number has, from no byte to several pages."""
    length = random.Random(number).choice([0, 1, 40, 400, 4_000, 20_000])
    return hashlib.shake_128(b"%d" % number).digest(length)


def batch_of(writer, batch):
    """Return the numbers of a batch; no two are the same."""
    start = (writer * BATCHES + batch) * 20
    return range(start, start + 1 + random.Random(start).randrange(20))


def write(folder, writer, say, limit=1000 * MB, n_batches=BATCHES):
    """Write batch after batch, and say which were confirmed."""
    store = DiskStore(folder, limit)
    for batch in range(n_batches):
        numbers = batch_of(writer, batch)
        store.put_many([key_of(n) for n in numbers], [value_of(n) for n in numbers])
        say(batch)
    store.close()


def check(store, writer, confirmed, n_more=3):
    """Assert that what was confirmed is there, and nothing wrong is; return how much is there."""
    n_there = 0
    for batch in range(len(confirmed) + n_more):
        numbers = batch_of(writer, batch)
        values = store.get_many([key_of(n) for n in numbers])
        if batch < len(confirmed):
            assert None not in values
        # A batch is kept as a whole or not at all.
        assert values in ([None] * len(numbers), [value_of(n) for n in numbers])
        n_there += len(values) - values.count(None)
    return n_there


def kill_one(children, victim):
    """Kill a writer, have the others write on, end them too; return what each confirmed."""
    children[victim].kill()
    confirmed = {victim: children[victim].end()}
    others = {writer: child for writer, child in children.items() if writer != victim}
    for child in others.values():
        child.hear_all()
    for writer, child in others.items():
        # One of the two may have been written before.
        child.hear(child.n_heard + 2)
        child.kill()
        confirmed[writer] = child.end()
    assert {code for code, _ in confirmed.values()} == {-signal.SIGKILL}
    return {writer: said for writer, (_, said) in confirmed.items()}


@needs.fork
@pytest.mark.parametrize(
    ("n_writers", "n_kills"), [(1, 50), (3, 8), pytest.param(3, 50, marks=pytest.mark.slow)]
)
def test_killed_writers_lose_nothing_that_was_confirmed(n_writers, n_kills, tmp_path):
    moments = random.Random(n_writers)
    confirmed = {}
    for kill in range(n_kills):
        children = {
            writer: Child(lambda say, writer=writer: write(tmp_path, writer, say))
            for writer in range(kill * n_writers, (kill + 1) * n_writers)
        }
        victim = moments.choice(list(children))
        children[victim].hear(moments.choice([0, 0, 1, 2, 5, 10]))
        time.sleep(moments.uniform(0, 0.004))
        said = kill_one(children, victim)
        # The next, who has never heard of them, goes on too.
        after = DiskStore(tmp_path, 1000 * MB)
        after.put_many([b"after %d" % kill], [b"value"])
        for writer, batches in said.items():
            assert batches == list(range(len(batches)))
            check(after, writer, batches)
        after.close()
        confirmed |= said
    assert sum(map(len, confirmed.values())) >= 2 * n_kills
    store = DiskStore(tmp_path, 1000 * MB)
    assert store.get_many([b"after %d" % kill for kill in range(n_kills)]) == [b"value"] * n_kills
    kept = sum(check(store, writer, batches) for writer, batches in confirmed.items())
    assert store.info().entries == kept + n_kills
    store.close()


def evict(folder, writer, say):
    """Write to a store that has to evict at each few writes, and clear it now and then."""
    store = DiskStore(folder, MB // 2)
    for batch in range(BATCHES):
        numbers = batch_of(writer, batch)
        store.put_many([key_of(n) for n in numbers], [value_of(n) for n in numbers])
        if batch % 7 == 6:
            store.clear()
        say(batch)


@needs.fork
def test_killed_while_values_are_evicted_and_cleared(tmp_path):
    moments = random.Random(0)
    for kill in range(25):
        child = Child(lambda say, kill=kill: evict(tmp_path, kill, say))
        child.hear(moments.choice([0, 1, 3, 6, 9]))
        time.sleep(moments.uniform(0, 0.004))
        child.kill()
        _, batches = child.end()
        store = DiskStore(tmp_path, MB // 2)
        for batch in range(len(batches) + 1):
            numbers = batch_of(kill, batch)
            values = store.get_many([key_of(n) for n in numbers])
            assert all(v in (None, value_of(n)) for n, v in zip(numbers, values, strict=True))
        store.put_many([b"after"], [b"%d" % kill])
        assert store.get_many([b"after"]) == [b"%d" % kill]
        assert store.info().size <= MB // 2
        store.close()


@needs.fork
@pytest.mark.parametrize("attempt", range(3))
def test_eight_processes_make_the_file_and_write_at_once(attempt, tmp_path):
    folder, n_batches = tmp_path / "new", 15
    # Each batch is written by two of them.
    children = [
        Child(lambda say, writer=number // 2: write(folder, writer, say, n_batches=n_batches))
        for number in range(8)
    ]
    assert [child.end() for child in children] == [(0, list(range(n_batches)))] * 8
    store = DiskStore(folder, 1000 * MB)
    kept = sum(check(store, writer, range(n_batches), n_more=0) for writer in range(4))
    assert store.info().entries == kept
    store.close()


@needs.fork
def test_eight_processes_evict_at_once(tmp_path):
    def use(say, writer):
        store = DiskStore(tmp_path, MB // 2)
        for batch in range(20):
            numbers = batch_of(writer, batch)
            store.put_many([key_of(n) for n in numbers], [value_of(n) for n in numbers])
            others = batch_of((writer + 1) % 8, batch)
            for n, value in zip(others, store.get_many([key_of(n) for n in others]), strict=True):
                assert value in (None, value_of(n))

    children = [Child(lambda say, writer=writer: use(say, writer)) for writer in range(8)]
    assert [child.end() for child in children] == [(0, [])] * 8
    store = DiskStore(tmp_path, MB // 2)
    assert 0 < store.info().size <= MB // 2
    store.close()


@needs.fork
def test_a_suspended_writer_is_waited_for_once(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_BUSY_SECONDS", 1)
    monkeypatch.setattr(disk, "_BUSY_AGAIN_SECONDS", 0)
    store = DiskStore(tmp_path, MB)
    store.put_many([b"a"], [b"value a"])

    def hold(say):
        connection = sqlite3.connect(store.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        say(1)
        time.sleep(60)

    child = Child(hold)
    child.hear(1)
    os.kill(child.pid, signal.SIGSTOP)
    try:
        with pytest.warns(CacheWarning, match="can't be used: database is locked"):
            store.put_many([b"b"], [b"value b"])
        store.put_many([b"b"], [b"value b"])
        assert store.get_many([b"a", b"b"]) == [b"value a", None]
        waits = store._open().execute("PRAGMA busy_timeout").fetchone()
        assert waits == (0,)
    finally:
        child.kill()
        child.end()
    store.put_many([b"b"], [b"value b"])
    assert store.get_many([b"a", b"b"]) == [b"value a", b"value b"]
    store.close()


@needs.fork
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_fork_while_threads_are_at_work(kind, tmp_path):
    store = MemoryStore(MB) if kind == "memory" else DiskStore(tmp_path, 100 * MB)
    stop = threading.Event()

    def work_on(thread):
        for batch in itertools.count():
            numbers = batch_of(thread, batch % 50)
            store.put_many([key_of(n) for n in numbers], [value_of(n) for n in numbers])
            if stop.is_set():
                return

    def use(say):
        store.put_many([b"mine"], [b"value"])
        assert store.get_many([b"mine"]) == [b"value"]
        numbers = batch_of(0, 0)
        values = store.get_many([key_of(n) for n in numbers])
        assert all(v in (None, value_of(n)) for n, v in zip(numbers, values, strict=True))

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(work_on, thread) for thread in range(3)]
        try:
            codes = [Child(use).end()[0] for _ in range(20)]
        finally:
            stop.set()
    assert [thread.result() for thread in threads] == [None] * 3
    assert codes == [0] * 20
    if kind == "disk":
        store.close()


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_threads_while_values_are_evicted(kind, tmp_path):
    limit = MB // 2
    store = MemoryStore(limit) if kind == "memory" else DiskStore(tmp_path, limit)
    n_threads, n_batches = 6, 30

    def use(thread):
        n_found = 0
        for batch in range(n_batches):
            mine, others = batch_of(thread, batch), batch_of((thread + 1) % n_threads, batch)
            store.put_many([key_of(n) for n in mine], [value_of(n) for n in mine])
            for numbers in (mine, others):
                keys = [key_of(n) for n in numbers]
                assert len(store.contains_many(keys)) == len(keys)
                for n, value in zip(numbers, store.get_many(keys), strict=True):
                    assert value in (None, value_of(n))
                    n_found += value is not None
            if thread == 0:
                store.limit = limit // (1 + batch % 3)
                assert store.info().limit == store.limit
            if thread == 1 and batch % 10 == 9:
                store.clear()
        return n_found

    with ThreadPoolExecutor(n_threads) as pool:
        assert min(pool.map(use, range(n_threads))) > 0
    store.limit = limit
    assert store.info().size <= limit
    if kind == "disk":
        store.close()


MANY_TEXTS = [f"{text} {number}" for number in range(40) for text in TEXTS]


class TestWithTheFeaturizer:
    @pytest.fixture
    def bert(self, saved_model, tmp_path):
        return BertFeaturizer(saved_model("bert"), precision="float32", cache=tmp_path / "store")

    @pytest.fixture
    def expected(self, bert):
        return clone(bert).set_params(cache=None).transform(MANY_TEXTS)

    def transform(self, bert, say):
        """Transform some texts at a time, and say how far that went."""
        for start in range(0, len(MANY_TEXTS), 20):
            bert.transform(MANY_TEXTS[start : start + 20])
            say(start)

    @needs.fork
    def test_killed_while_encoding(self, bert, expected):
        moments = random.Random(0)
        done = 0
        for _ in range(10):
            child = Child(lambda say: self.transform(bert, say))
            child.hear(moments.choice([0, 1, 2, 5]))
            time.sleep(moments.uniform(0, 0.02))
            child.kill()
            done = max([done, *(start + 20 for start in child.end()[1])])
            before = work.counted()
            vectors = bert.transform(MANY_TEXTS[:done] or MANY_TEXTS[:1])
            np.testing.assert_allclose(vectors, expected[: len(vectors)], atol=1e-5)
            assert (work.counted() - before).texts <= (1 if done == 0 else 0)
        assert done > 0

    @needs.fork
    def test_eight_processes_encode_at_once(self, bert, expected):
        children = [Child(lambda say: self.transform(bert, say)) for _ in range(8)]
        assert {child.end()[0] for child in children} == {0}
        before = work.counted()
        np.testing.assert_allclose(bert.transform(MANY_TEXTS), expected, atol=1e-5)
        assert work.counted() == before

    @needs.fork
    def test_a_fork_while_a_thread_encodes(self, bert):
        bert.fit(MANY_TEXTS)
        checkpoint = load_checkpoint(bert.model, None, torch.device("cpu"), "float32")
        with ThreadPoolExecutor(1) as thread:
            thread.submit(checkpoint.busy.acquire).result()
            child = Child(lambda say: bert.transform(MANY_TEXTS[:20]))
            assert child.end() == (0, [])
            thread.submit(checkpoint.busy.release).result()

    @pytest.mark.parametrize("cache", ["memory", "disk"])
    def test_threads_that_encode_while_vectors_are_evicted(self, cache, bert, expected):
        if cache == "memory":
            bert.set_params(cache="memory")
        sklearn_bert.cache.set_limit(MB // 2, bert.cache)

        def use(thread):
            rows = np.random.default_rng(thread).integers(0, len(MANY_TEXTS), (8, 60))
            for chosen in rows:
                vectors = clone(bert).transform([MANY_TEXTS[row] for row in chosen])
                np.testing.assert_allclose(vectors, expected[chosen], atol=1e-5)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(4))) == [None] * 4
        assert sklearn_bert.cache.info(bert.cache).entries > 0
