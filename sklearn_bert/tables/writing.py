"""CSV, TSV, JSON lines and Parquet, written in parts; whole in the end, or not at all."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sklearn_bert.errors import TableError
from sklearn_bert.files import replacement
from sklearn_bert.validation import is_missing, well_formed

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

__all__ = ["writer"]

_Write = Callable[[pd.DataFrame], None]


@contextlib.contextmanager
def writer(path: str | os.PathLike[str]) -> Iterator[_Write]:
    """Give a function that writes rows to a file.

    If something fails, what was there stays: see `replacement`.

    Parameters
    ----------
    path : str or path
        .csv, .tsv, .jsonl, .ndjson or .parquet; text files are in UTF-8. Lone surrogates, which it
        can't carry, become U+FFFD.

    Raises
    ------
    TableError
        If the file is of another kind or a folder, its folder is not there, or rows do not match.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _WRITERS:
        raise TableError(
            f"{path} is of a kind that can't be written. Accepted: {', '.join(_WRITERS)}."
        )
    path = path.resolve()
    if path.is_dir():
        raise TableError(f"{path} is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise TableError(f"There is no folder {path.parent} to write {path.name} to. Make it.")
    with replacement(path) as new, _WRITERS[kind](new) as write:
        yield write


@contextlib.contextmanager
def _delimited(path: Path, delimiter: str) -> Iterator[_Write]:
    columns: list[Any] = []
    with path.open("w", encoding="utf-8", newline="") as stream:

        def write(chunk: pd.DataFrame) -> None:
            first = not columns
            chunk = _well_formed(_like_the_first(chunk, columns))
            chunk.to_csv(
                stream,
                sep=delimiter,
                index=False,
                header=first,
                lineterminator="\n",
                # Of line breaks within cells Python quotes only those that end lines here.
                quoting=csv.QUOTE_NONNUMERIC if _has_returns(chunk) else csv.QUOTE_MINIMAL,
            )

        yield write


def _has_returns(chunk: pd.DataFrame) -> bool:
    texts = chunk.select_dtypes(exclude="number")
    return any("\r" in str(cell) for name in texts for cell in texts[name])


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
    gaps = dict.fromkeys(name for name in columns if name not in chunk)
    return chunk.assign(**gaps)[columns]


@contextlib.contextmanager
def _json_lines(path: Path) -> Iterator[_Write]:
    with path.open("w", encoding="utf-8") as stream:

        def write(chunk: pd.DataFrame) -> None:
            for row in chunk.to_dict("records"):
                plain = {str(name): _plain(value) for name, value in row.items()}
                line = json.dumps(plain, ensure_ascii=False, default=str)
                stream.write(well_formed(line) + "\n")

        yield write


def _plain(value: Any) -> Any:
    """Return a cell as the `json` module takes it; what is missing as null."""
    if is_missing(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        return [_plain(item) for item in value]
    if isinstance(value, (np.datetime64, np.timedelta64)):
        # Of nanoseconds `item` would make a number.
        return _plain(pd.Series([value])[0])
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value


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
        before = path.with_name(f"{path.name}-before")
        stack.callback(before.unlink, missing_ok=True)

        def write(chunk: pd.DataFrame) -> None:
            chunk = _well_formed(_like_the_first(chunk, columns))
            try:
                # What pandas adds names types of its own, some of which it can't read again.
                table = pa.Table.from_pandas(chunk, preserve_index=False).replace_schema_metadata()
                known = [writer.schema for writer in opened]
                schema = pa.unify_schemas([*known, table.schema], promote_options="permissive")
                if known != [schema]:
                    for writer in opened:
                        writer.close()
                        path.replace(before)
                    new = stack.enter_context(ParquetWriter(path, schema))
                    if opened:
                        _move(before, new)
                    opened[:] = [new]
                opened[0].write_table(table.cast(schema))
            except (pa.ArrowException, OverflowError) as error:
                raise TableError(
                    f"Parquet has one type a column, and these rows do not fit: {error}. Write "
                    f"CSV or JSONL instead."
                ) from error

        yield write


def _well_formed(chunk: pd.DataFrame) -> pd.DataFrame:
    """Return rows without lone surrogates, which only columns of objects can have."""
    chunk = chunk.copy(deep=False)
    for name in chunk.columns[chunk.dtypes == np.dtype(object)]:
        cells = [well_formed(c) if isinstance(c, str) else c for c in chunk[name]]
        chunk[name] = pd.Series(cells, chunk.index, dtype=object)
    return chunk


def _move(path: Path, writer: ParquetWriter) -> None:
    """Move rows to a file whose types more rows fit.

    Only later rows may tell what a column of gaps holds, or that numbers have fractions.
    """
    from pyarrow import Table
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches():
            writer.write_table(Table.from_batches([batch]).cast(writer.schema))
    path.unlink()


_WRITERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[_Write]]] = {
    ".csv": lambda path: _delimited(path, ","),
    ".tsv": lambda path: _delimited(path, "\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
