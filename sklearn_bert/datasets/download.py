"""Find one file of a corpus: in a given folder, among earlier downloads, or on the web."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from sklearn_bert.datasets.registry import CorpusFile

DATA_FOLDER_VARIABLE = "SKLEARN_BERT_DATA"


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> str:
    """Return the folder where downloaded corpora are kept.

    The folder is created by the first download, not here.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder; ``~`` stands for the home folder. None: ``~/sklearn_bert_data``.

    Returns
    -------
    str
        The path of the folder.

    Examples
    --------
    >>> from sklearn_bert.datasets import get_data_home
    >>> get_data_home("corpora")
    'corpora'
    """
    return os.path.expanduser("~/sklearn_bert_data" if data_home is None else data_home)


def locate(
    file: CorpusFile,
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Return a path where the file lies, with the content that the registry promises.

    Parameters
    ----------
    file : CorpusFile
        The file that is wanted.
    data_home : str or path-like, default=None
        Where downloads are kept, see :func:`get_data_home`. The folder that the environment
        variable ``SKLEARN_BERT_DATA`` names comes first.
    download_if_missing : bool, default=True
        Whether to download a file that lies in neither folder.

    Returns
    -------
    pathlib.Path
        The file on this machine.

    Raises
    ------
    OSError
        If the file is nowhere, can't be downloaded, or has another content.
    """
    kept = Path(get_data_home(data_home), file.path)
    given = _given_path(file)
    if given is not None and given.is_file():
        return _checked(given, file)
    # A damaged download is only an error when it can't be replaced.
    if kept.is_file() and (not download_if_missing or _has_content(kept, file)):
        return _checked(kept, file)
    if not download_if_missing:
        raise _missing_error(file, given, kept)
    return _download(file, kept)


def _given_path(file: CorpusFile) -> Path | None:
    folder = os.environ.get(DATA_FOLDER_VARIABLE)
    return Path(folder, file.path) if folder else None


def _has_content(path: Path, file: CorpusFile) -> bool:
    return _digest_now(path) == file.sha256


def _checked(path: Path, file: CorpusFile) -> Path:
    actual = _digest_now(path)
    if actual != file.sha256:
        raise OSError(
            f"{path} is not the file that the data set {file.corpus!r} was built on: its SHA-256 "
            f"is {actual}, expected {file.sha256}. Delete the file and let it be downloaded "
            f"again, or replace it with the one from {file.url}."
        )
    return path


def _digest_now(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@functools.cache  # once per process, as long as the file stays as it was
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _missing_error(file: CorpusFile, given: Path | None, kept: Path) -> OSError:
    variable = f"{given} ({DATA_FOLDER_VARIABLE})" if given else f"{DATA_FOLDER_VARIABLE} (not set)"
    return OSError(
        f"The data set {file.corpus!r} is not at hand, and download_if_missing=False. "
        f"Looked for: {variable}; {kept} (data_home). Pass download_if_missing=True, point "
        f"{DATA_FOLDER_VARIABLE} or data_home to a folder that holds {file.path}, or put the file "
        f"from {file.url} there."
    )


def _download(file: CorpusFile, target: Path) -> Path:
    import pooch  # only a download needs it, and it brings requests along

    try:
        pooch.retrieve(
            file.url, known_hash=f"sha256:{file.sha256}", fname=target.name, path=target.parent
        )
    except (OSError, ValueError) as error:  # no connection, no place to write; another content
        raise OSError(
            f"The data set {file.corpus!r} could not be downloaded from {file.url} to {target} "
            f"({error}). Check the connection, or put the file there by hand (SHA-256 "
            f"{file.sha256}), or point {DATA_FOLDER_VARIABLE} to a folder that holds {file.path}."
        ) from error
    return target
