"""CSV, TSV, JSON lines and Parquet, written in parts; whole in the end, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_bert.errors import TableError
from sklearn_bert.validation import is_missing

__all__ = ["writer"]

_Write = Callable[[pd.DataFrame], None]


@contextlib.contextmanager
def writer(path: str | os.PathLike[str]) -> Iterator[_Write]:
    """Give a function that writes rows to a file.

    The file gets its name when all is written: if something fails, what was there stays.

    Parameters
    ----------
    path : str or path
        .csv, .tsv, .jsonl, .ndjson or .parquet; text files are in UTF-8.

    Raises
    ------
    TableError
        If the file is of another kind, its folder is not there, or rows do not match.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _WRITERS:
        raise TableError(
            f"{path} is of a kind that can't be written. Accepted: {', '.join(_WRITERS)}."
        )
    if not path.parent.is_dir():
        raise TableError(f"There is no folder {path.parent} to write {path.name} to. Make it.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        with _WRITERS[kind](Path(name)) as write:
            yield write
        # mkstemp lets the owner alone read it.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def _delimited(path: Path, delimiter: str) -> Iterator[_Write]:
    columns: list[Any] = []
    with path.open("w", encoding="utf-8", newline="") as stream:

        def write(chunk: pd.DataFrame) -> None:
            first = not columns
            _like_the_first(chunk, columns).to_csv(
                stream, sep=delimiter, index=False, header=first, lineterminator="\n"
            )

        yield write


def _like_the_first(chunk: pd.DataFrame, columns: list[Any]) -> pd.DataFrame:
    """Return rows with the columns of the first ones, which are noted in `columns`.

    Raises
    ------
    TableError
        If there are others.
    """
    columns += [] if columns else list(chunk.columns)
    new = [str(name) for name in chunk.columns if name not in columns]
    if new:
        raise TableError(
            f"These rows have columns that the first rows have not: {', '.join(new[:5])}. Write "
            f"JSONL instead, or give all rows the same columns."
        )
    return chunk.reindex(columns=columns)


@contextlib.contextmanager
def _json_lines(path: Path) -> Iterator[_Write]:
    with path.open("w", encoding="utf-8") as stream:

        def write(chunk: pd.DataFrame) -> None:
            for row in chunk.to_dict("records"):
                plain = {str(name): _plain(value) for name, value in row.items()}
                stream.write(json.dumps(plain, ensure_ascii=False, default=str) + "\n")

        yield write


def _plain(value: Any) -> Any:
    """Return a cell as the `json` module takes it; what is missing as null."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_missing(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[_Write]:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise TableError(
            "To write Parquet pyarrow is needed. Install it: pip install 'sklearn-bert[cli]'."
        ) from error
    with contextlib.ExitStack() as stack:
        opened: list[ParquetWriter] = []
        columns: list[Any] = []

        def write(chunk: pd.DataFrame) -> None:
            # The first rows tell the types of all.
            schema = opened[0].schema if opened else None
            chunk = _like_the_first(chunk, columns)
            try:
                table = pa.Table.from_pandas(chunk, schema=schema, preserve_index=False)
                # What pandas adds names types of its own, some of which it can't read again.
                table = table.replace_schema_metadata()
            except pa.ArrowException as error:
                raise TableError(
                    f"Parquet has one type a column, and these rows do not fit: {error}. Write "
                    f"CSV or JSONL instead."
                ) from error
            if not opened:
                opened.append(stack.enter_context(ParquetWriter(path, table.schema)))
            opened[0].write_table(table)

        yield write


_WRITERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[_Write]]] = {
    ".csv": lambda path: _delimited(path, ","),
    ".tsv": lambda path: _delimited(path, "\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
