import os

import pytest

from sklearn_bert.files import replacement


def test_what_fails_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail():
        with replacement(path) as new:
            new.write_text("half")
            raise RuntimeError("as told")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_keeps_who_may_read_it_and_a_link_stays_one(tmp_path):
    file, link, new = (tmp_path / name for name in ("file", "link", "new"))
    file.write_text("before")
    file.chmod(0o600)
    link.symlink_to(file)
    before = os.umask(0o027)
    try:
        for path in (link, new):
            with replacement(path) as place:
                place.write_text("after")
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert file.read_text() == new.read_text() == "after"
    assert (file.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o600, 0o640)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes that have names")
def test_a_pipe_is_written_to(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with replacement(path) as place:
            place.write_text("said")
        assert os.read(pipe, 10) == b"said"
    finally:
        os.close(pipe)
    assert path.is_fifo()
