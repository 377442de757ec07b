"""Disks that fail: full, read-only, deleted, damaged. Results stay right, and it is said once."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import warnings

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklearn_bert import BertFeaturizer, BertFineTuneClassifier, cache
from sklearn_bert.errors import CacheWarning
from sklearn_bert.store import DiskStore, open_store
from tests import needs
from tests.models import TEXTS
from tests.processes import Child, in_child, make_read_only, mount_memory

MB = 2**20
KEYS = [b"key %03d" % number for number in range(60)]
# Most fit a page, some need several.
VALUES = [random.Random(key).randbytes(9_000 if key[-1] % 7 == 0 else 100) for key in KEYS]
LABELS = np.arange(len(TEXTS)) % 2


@contextlib.contextmanager
def said_once(*texts):
    """Assert that exactly one warning is given, which says one of the texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert [warning.category for warning in caught] == [CacheWarning], caught
    assert any(text in str(caught[0].message) for text in texts), caught[0].message
    assert "results stay correct" in str(caught[0].message)


class Work:
    """What estimators do with a store, and what comes out without one."""

    def __init__(self, model):
        self.model = model
        self.vectors = self.featurizer(None).transform(TEXTS)
        self.probabilities = self.probabilities_with(None)

    def featurizer(self, folder):
        return BertFeaturizer(self.model, precision="float32", cache=folder)

    def probabilities_with(self, folder, **parameters):
        classifier = BertFineTuneClassifier(
            self.model,
            freeze=-1,
            precision="float32",
            batch_size=4,
            random_state=0,
            cache=folder,
            **parameters,
        )
        return classifier.fit(TEXTS, LABELS).predict_proba(TEXTS)

    def check(self, folder, times=2, **parameters):
        """Assert that featurizer and classifier give what they give without a store."""
        for _ in range(times):
            vectors = self.featurizer(folder).transform(TEXTS)
            np.testing.assert_allclose(vectors, self.vectors, atol=1e-5)
            probabilities = self.probabilities_with(folder, **parameters)
            np.testing.assert_allclose(probabilities, self.probabilities, atol=1e-4)


@pytest.fixture(scope="module")
def work(saved_model):
    return Work(saved_model("bert"))


def use(store):
    """Read and write all, in every way."""
    for _ in range(2):
        found = store.get_many(KEYS)
        assert all(a in (None, b) for a, b in zip(found, VALUES, strict=True))
        assert len(store.contains_many(KEYS)) == len(KEYS)
        for key, value in zip(KEYS, VALUES, strict=True):
            store.put_many([key], [value])
        assert store.info().limit == store.limit


def let_no_file_grow_beyond(size):
    """Bound the files that this process writes, as a quota does."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fill_up(folder):
    with contextlib.suppress(OSError), (folder / "other").open("wb", 0) as file:
        while file.write(bytes(512)):
            pass


@needs.fork
class TestFull:
    def test_a_disk(self, tmp_path):
        def fill():
            mount_memory(tmp_path, 10 * MB)
            (tmp_path / "other").write_bytes(bytes(10 * MB - 256 * 1024))
            store = DiskStore(tmp_path, 100 * MB)
            with said_once("is full", "disk I/O error"):
                use(store)
            assert 0 < store.info().entries < len(KEYS)
            (tmp_path / "other").unlink()
            store.put_many(KEYS, VALUES)
            assert store.get_many(KEYS) == VALUES

        in_child(fill)

    def test_what_is_there_is_found(self, tmp_path):
        def fill():
            mount_memory(tmp_path, 10 * MB)
            store = DiskStore(tmp_path, 100 * MB)
            store.put_many(KEYS, VALUES)
            # Long ago, so that a look-up writes the time of use.
            connection = store._open()
            connection.execute("UPDATE entries SET used = 7")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            fill_up(tmp_path)
            with said_once("is full", "disk I/O error"):
                assert store.get_many(KEYS) == VALUES

        in_child(fill)

    def test_a_file_that_may_not_grow(self, tmp_path):
        def fill():
            let_no_file_grow_beyond(64 * 1024)
            with said_once("is full", "disk I/O error"):
                use(DiskStore(tmp_path, 100 * MB))

        in_child(fill)

    def test_estimators_go_on(self, work, tmp_path):
        def fill():
            mount_memory(tmp_path, 96 * 1024)
            with said_once("is full", "disk I/O error"):
                work.check(tmp_path / "store")

        in_child(fill)

    def test_a_limit_that_lets_no_file_grow(self, work, tmp_path):
        def fill():
            let_no_file_grow_beyond(40_000)
            with said_once("is full", "disk I/O error"):
                work.check(tmp_path / "store")

        in_child(fill)


@needs.fork
class TestReadOnly:
    @pytest.mark.parametrize("is_filled", [False, True])
    def test_a_disk(self, is_filled, work, tmp_path):
        def refuse():
            mount_memory(tmp_path, 20 * MB)
            if is_filled:
                work.check(tmp_path)
                # A disk with files that are open for writing can't be made read-only.
                open_store(tmp_path).close()
                before = (tmp_path / "sklearn_bert.sqlite").read_bytes()
            make_read_only(tmp_path)
            with said_once("can't be used"):
                work.check(tmp_path)
            if is_filled:
                assert (tmp_path / "sklearn_bert.sqlite").read_bytes() == before

        in_child(refuse)

    @pytest.mark.parametrize("is_filled", [False, True])
    def test_a_folder_of_somebody_else(self, is_filled, tmp_path_factory):
        folder = tmp_path_factory.mktemp("theirs")
        if is_filled:
            store = DiskStore(folder, MB)
            store.put_many(KEYS, VALUES)
            store.close()

        def refuse():
            for parent in (folder, *folder.parents[:2]):
                parent.chmod(0o555)
            if os.getuid() == 0:
                # Permissions do not hold back root.
                os.setgid(65534)
                os.setuid(65534)
            with said_once("can't be used"):
                use(DiskStore(folder, MB))

        modes = [(parent, parent.stat().st_mode) for parent in (folder, *folder.parents[:2])]
        try:
            in_child(refuse)
        finally:
            for parent, mode in modes:
                parent.chmod(mode)
        if is_filled:
            assert store.get_many(KEYS) == VALUES
            store.close()

    def test_a_file_where_the_folder_should_be(self, work, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with said_once("can't be used"):
            work.check(tmp_path / "file" / "store")
        assert (tmp_path / "file").read_text() == "in the way"


class DeleteFolder(Callback):
    """Deletes a folder after the first epoch."""

    def __init__(self, folder):
        self.folder = folder

    def on_epoch_end(self, net, **ignored):
        if len(net.history) == 1:
            shutil.rmtree(self.folder)


class TestDeleted:
    def test_between_calls(self, work, tmp_path):
        folder = tmp_path / "store"
        work.check(folder)
        shutil.rmtree(folder)
        with said_once("was deleted or replaced while it was in use"):
            work.check(folder)
        assert cache.info(folder).entries > 0
        other = DiskStore(folder, MB)
        assert other.info().entries == cache.info(folder).entries
        other.close()

    def test_in_a_fit(self, work, tmp_path):
        folder = tmp_path / "store"
        with said_once("was deleted or replaced while it was in use"):
            work.check(folder, times=1, callbacks=[DeleteFolder(folder)])
        assert cache.info(folder).entries > 0

    def test_looking_makes_no_folder(self, work, tmp_path):
        work.check(tmp_path / "store")
        shutil.rmtree(tmp_path / "store")
        with said_once("was deleted or replaced while it was in use"):
            assert cache.info(tmp_path / "store").entries == 0
        assert not (tmp_path / "store").exists()

    def test_and_made_anew_by_another(self, tmp_path):
        store, other = DiskStore(tmp_path / "store", MB), DiskStore(tmp_path / "store", MB)
        store.put_many([b"a"], [b"value a"])
        shutil.rmtree(tmp_path / "store")
        other.put_many([b"b"], [b"value b"])
        with said_once("was deleted or replaced while it was in use"):
            assert store.get_many([b"a", b"b"]) == [None, b"value b"]
        store.put_many([b"a"], [b"value a"])
        assert other.get_many([b"a", b"b"]) == [b"value a", b"value b"]
        store.close()
        assert other.get_many([b"a", b"b"]) == [b"value a", b"value b"]
        other.close()


def flipped(data, position, mask):
    changed = bytearray(data)
    changed[position] ^= mask
    return bytes(changed)


def check_damaged(folder, files):
    """Put files into a folder; assert that a store there gives nothing wrong, and goes on.

    Returns how often damage was told: once at most.
    """
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    store = DiskStore(folder, 10 * MB)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use(store)
        store.limit = MB // 16
        store.limit = 10 * MB
        # What finds the damage is not kept; it may be the first to write.
        for _ in range(2):
            store.clear()
            store.put_many(KEYS, VALUES)
        assert store.get_many([*KEYS, b"other"]) == [*VALUES, None]
        assert store.info().entries == len(KEYS)
    assert [warning.category for warning in caught] in ([], [CacheWarning])
    store.close()
    shutil.rmtree(folder)
    return len(caught)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    store = DiskStore(tmp_path_factory.mktemp("whole"), 10 * MB)
    store.put_many(KEYS, VALUES)
    store.close()
    return store.path.read_bytes()


class TestFlippedBytes:
    @pytest.mark.parametrize("bits", ["one", pytest.param("all", marks=pytest.mark.slow)])
    def test_of_the_header(self, bits, data, tmp_path):
        rng = random.Random(bits)
        masks = [255 if bits == "all" else 1 << rng.randrange(8) for _ in range(100)]
        n_said = sum(
            check_damaged(tmp_path / str(at), {"sklearn_bert.sqlite": flipped(data, at, mask)})
            for at, mask in enumerate(masks)
        )
        assert n_said >= 20

    @pytest.mark.parametrize(
        "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
    )
    def test_anywhere(self, seed, data, tmp_path):
        rng = random.Random(seed)
        # Half of them in the pages that tell where all else is.
        ends = [3 * 4096, len(data)] * 75
        flips = [(rng.randrange(end), 1 << rng.randrange(8)) for end in ends]
        n_said = sum(
            check_damaged(tmp_path / str(n), {"sklearn_bert.sqlite": flipped(data, at, mask)})
            for n, (at, mask) in enumerate(flips)
        )
        assert n_said >= 40

    @needs.fork
    @pytest.mark.parametrize("suffix", ["-wal", "-shm"])
    def test_of_what_a_killed_writer_left(self, suffix, tmp_path):
        def write(say):
            store = DiskStore(tmp_path / "left", 10 * MB)
            store.put_many(KEYS, VALUES)
            say(1)
            signal.pause()

        child = Child(write)
        child.hear(1)
        child.kill()
        child.end()
        files = {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()}
        name = f"sklearn_bert.sqlite{suffix}"
        assert len(files) == 3
        rng = random.Random(suffix)
        for n in range(30):
            at = rng.randrange(200 if n % 2 else len(files[name]))
            damaged = files | {name: flipped(files[name], at, 1 << rng.randrange(8))}
            check_damaged(tmp_path / str(n), damaged)

    def test_other_schemas_and_types(self, data, tmp_path):
        changes = [
            "DROP TABLE entries",
            "ALTER TABLE entries RENAME COLUMN value TO other",
            "ALTER TABLE entries ADD COLUMN more",
            "UPDATE entries SET used = 'never'",
            "UPDATE entries SET value = 'text'",
            "UPDATE entries SET checksum = 7",
            "UPDATE entries SET key = 7 WHERE key = x'6b657920303030'",
        ]
        for number, change in enumerate(changes):
            file = tmp_path / f"{number}.sqlite"
            file.write_bytes(data)
            connection = sqlite3.connect(file)
            connection.execute(change)
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            check_damaged(tmp_path / str(number), {"sklearn_bert.sqlite": file.read_bytes()})

    def test_through_estimators(self, work, tmp_path):
        folder = tmp_path / "store"
        work.check(folder, times=1)
        open_store(folder).close()
        data = (folder / "sklearn_bert.sqlite").read_bytes()
        rng = random.Random(0)
        n_said = 0
        for number in range(12):
            damaged = tmp_path / str(number)
            damaged.mkdir()
            # Several at once, or most would hit no value that is read.
            changed = bytearray(data)
            for _ in range(100):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            (damaged / "sklearn_bert.sqlite").write_bytes(changed)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                work.check(damaged, times=1)
            assert len(caught) <= 1
            n_said += len(caught)
        assert n_said >= 6
