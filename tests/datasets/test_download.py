"""Finding and fetching one file: order of places, digests, refusals, a local web server."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from sklearn_bert.datasets import download, fetch_emotion, get_data_home, registry
from sklearn_bert.datasets.download import locate
from sklearn_bert.datasets.registry import FILES, CorpusFile

CONTENT = b"text,Emotion\nwhat a day,joy\n"
CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_given_folder(monkeypatch):
    monkeypatch.delenv("SKLEARN_BERT_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):  # requests would ask them first
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def file():
    return CorpusFile(
        "tiny/tiny.csv", hashlib.sha256(CONTENT).hexdigest(), "owner/repository/main/a file.csv"
    )


class _CountingHandler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.requested.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch, file):
    """A public home on this machine; ``requested`` lists the paths that were asked for."""
    root = tmp_path / "web"
    published = root / file.home
    published.parent.mkdir(parents=True)
    published.write_bytes(CONTENT)
    handler = functools.partial(_CountingHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.requested, running.published = [], published
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setattr(registry, "RAW_HOME", f"http://127.0.0.1:{running.server_port}")
        yield running
        running.shutdown()
        thread.join()


def put(folder: Path, file: CorpusFile, content: bytes = CONTENT) -> Path:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_download_is_kept_and_not_repeated(server, file, tmp_path):
    path = locate(file, data_home=tmp_path / "home")
    assert path == tmp_path / "home" / "tiny" / "tiny.csv"
    assert path.read_bytes() == CONTENT
    assert server.requested == ["/owner/repository/main/a%20file.csv"]
    assert locate(file, data_home=tmp_path / "home") == path
    assert locate(file, data_home=tmp_path / "home", download_if_missing=False) == path
    assert len(server.requested) == 1


def test_download_with_another_content_is_refused(server, file, tmp_path):
    server.published.write_bytes(b"something else")
    actual = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(OSError, match=r"'tiny' could not be downloaded") as caught:
        locate(file, data_home=tmp_path / "home")
    assert file.sha256 in str(caught.value)
    assert actual in str(caught.value)
    assert not (tmp_path / "home" / file.path).exists()


def test_file_that_is_gone_from_its_home_is_an_os_error(server, file, tmp_path):
    server.published.unlink()
    with pytest.raises(OSError, match=r"could not be downloaded .*\(404 "):
        locate(file, data_home=tmp_path / "home")


def test_damaged_download_is_replaced(server, file, tmp_path):
    put(tmp_path / "home", file, b"torn")
    assert locate(file, data_home=tmp_path / "home").read_bytes() == CONTENT
    assert len(server.requested) == 1


def test_damaged_download_that_may_not_be_replaced_is_an_error(file, tmp_path):
    put(tmp_path / "home", file, b"torn")
    with pytest.raises(OSError, match=r"SHA-256"):
        locate(file, data_home=tmp_path / "home", download_if_missing=False)


def test_given_folder_comes_first(file, tmp_path, monkeypatch):
    put(tmp_path / "home", file)
    given = put(tmp_path / "given", file)
    monkeypatch.setenv("SKLEARN_BERT_DATA", str(tmp_path / "given"))
    assert locate(file, data_home=tmp_path / "home") == given


def test_given_folder_without_the_file_is_passed_over(file, tmp_path, monkeypatch):
    kept = put(tmp_path / "home", file)
    monkeypatch.setenv("SKLEARN_BERT_DATA", str(tmp_path / "given"))
    assert locate(file, data_home=tmp_path / "home") == kept


def test_mismatch_in_the_given_folder_names_file_digests_and_remedy(file, tmp_path, monkeypatch):
    given = put(tmp_path / "given", file, b"edited")
    monkeypatch.setenv("SKLEARN_BERT_DATA", str(tmp_path / "given"))
    with pytest.raises(OSError, match=r"is not the file that the data set 'tiny'") as caught:
        locate(file)
    message = str(caught.value)
    for part in (str(given), file.sha256, hashlib.sha256(b"edited").hexdigest(), file.url):
        assert part in message


def test_digest_is_computed_once_while_the_file_stays(file, tmp_path, monkeypatch):
    path = put(tmp_path, file)
    monkeypatch.setenv("SKLEARN_BERT_DATA", str(tmp_path))
    locate(file)
    computed = download._digest.cache_info().misses
    locate(file)
    assert download._digest.cache_info().misses == computed
    path.write_bytes(b"another content")
    with pytest.raises(OSError, match="SHA-256"):
        locate(file)


def test_missing_names_data_set_places_and_remedies(tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"'emotion' is not at hand") as caught:
        fetch_emotion(data_home=tmp_path / "home", download_if_missing=False)
    message = str(caught.value)
    assert str(tmp_path / "home" / "emotion" / "emotion.csv") in message
    assert "SKLEARN_BERT_DATA (not set)" in message
    assert "download_if_missing=True" in message
    monkeypatch.setenv("SKLEARN_BERT_DATA", str(tmp_path / "given"))
    with pytest.raises(OSError, match="not at hand") as caught:
        fetch_emotion(data_home=tmp_path / "home", download_if_missing=False)
    assert str(tmp_path / "given" / "emotion" / "emotion.csv") in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_refused_connection_is_an_os_error(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "RAW_HOME", CLOSED_PORT)
    with pytest.raises(OSError, match=r"'emotion' could not be downloaded") as caught:
        fetch_emotion(data_home=tmp_path)
    message = str(caught.value)
    assert CLOSED_PORT in message
    assert "SKLEARN_BERT_DATA" in message
    assert caught.value.__cause__ is not None


def test_data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Path(get_data_home()) == tmp_path / "sklearn_bert_data"
    assert Path(get_data_home("~/elsewhere")) == tmp_path / "elsewhere"
    assert get_data_home(tmp_path) == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_registry_is_well_formed():
    for path, file in FILES.items():
        assert path == file.path
        assert len(file.sha256) == 64
        assert int(file.sha256, 16)
        assert file.url.startswith("https://raw.githubusercontent.com/")
        assert Path(file.home).suffix == Path(file.path).suffix
