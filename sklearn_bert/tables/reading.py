"""CSV, TSV, JSON lines, Parquet and Excel, as DataFrames of some rows each."""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import io
import itertools
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_bert.errors import TableError, parameter_error
from sklearn_bert.tables.encodings import find_encoding

__all__ = ["find_column", "read_chunks"]

_DELIMITERS = ",;\t|"
# A name in quotes, which may go on in the next line; a mark within a word opens none.
_QUOTED = re.compile(r'(?:^|(?<=[,;\t|]))"(?:[^"]|"")*(?:"|$)')
# What pandas calls an index without a name when it writes Parquet.
_NAMELESS_INDEX = re.compile(r"__index_level_\d+__")
_SHOWN = 20
# Lines that are given to pandas at once.
_LINES = 256
# Of a cell with a zero byte pandas keeps what is before it alone, until version 3.1.
_CUTS_AT_ZEROS = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
# What to do with files of kinds that people have, and that are not read.
_REMEDIES = {
    ".json": " If it has an object a line, name it .jsonl.",
    ".xls": " Save it as .xlsx.",
    ".ods": " Save it as .xlsx.",
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst"), " Unpack it first."),
}


def read_chunks(
    path: str | os.PathLike[str], *, rows: int = 4096, encoding: str | None = None
) -> Iterator[pd.DataFrame]:
    """Read a file of rows, some at a time.

    Parameters
    ----------
    path : str or path
        .csv, .tsv, .txt, .jsonl, .ndjson, .parquet or .xlsx. In text files with delimiters the
        header tells which it is: comma, semicolon, tab or bar. Of a workbook the first sheet is
        read.
    rows : int, default=4096
        At once.
    encoding : str, default=None
        Of text files; None finds it.

    Yields
    ------
    DataFrame
        Cells of text files with delimiters are strings, empty ones empty strings. A blank line in
        a file of one column is a row with an empty text, unless nothing follows; in other files it
        is none.

    Raises
    ------
    TableError
        If the file is not there, is of another kind, is broken, or has no rows.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise TableError(
            f"{path} is of a kind that can't be read. Accepted: {', '.join(_READERS)}."
            f"{_REMEDIES.get(kind, '')}"
        )
    if not path.is_file():
        raise TableError(f"There is no file {path}. Check its name, and the folder you are in.")
    encoding = _checked_encoding(encoding)
    found = False
    try:
        for chunk in _READERS[kind](path, rows, encoding):
            if len(chunk):
                found = True
                yield chunk
    except UnicodeError as error:
        raise TableError(
            f"{path} can't be decoded ({error}). Pass the encoding that it is in, such as "
            f"--encoding gb18030, or none to have it found."
        ) from error
    if not found:
        raise TableError(f"{path} has no rows below its header.")


def find_column(name: str, columns: Iterable[Any], path: str | os.PathLike[str]) -> str:
    """Return the column of that name, or raise with those of like name.

    Raises
    ------
    TableError
        If there is none.
    """
    names = [str(column) for column in columns]
    if name in names:
        return name
    lower = {known.strip().lower(): known for known in names}
    near = difflib.get_close_matches(name.strip().lower(), lower, n=3, cutoff=0.6)
    meant = f" Did you mean {' or '.join(repr(lower[n]) for n in near)}?" if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise TableError(
        f"{os.fspath(path)} has no column {name!r}.{meant} Its columns, as its first row names "
        f"them, are: {', '.join(map(repr, names[:_SHOWN]))}{more}."
    )


def _checked_encoding(encoding: str | None) -> str | None:
    """Return an encoding that Python knows; of UTF-8 the one that skips a byte-order mark."""
    try:
        utf8 = encoding is not None and codecs.lookup(encoding).name == "utf-8"
    except LookupError as error:
        raise parameter_error(
            "encoding", encoding, "one that Python knows, such as utf-8, gb18030, big5 or cp1252"
        ) from error
    return "utf-8-sig" if utf8 else encoding


def _delimited(path: Path, rows: int, encoding: str | None) -> Iterator[pd.DataFrame]:
    encoding = encoding or find_encoding(path)
    with path.open(encoding=encoding, newline="") as stream:
        header = stream.readline()
        if not header.strip():
            raise TableError(f"{path} is empty, or its first line is. It has to name the columns.")
        delimiter = _delimiter(header, tabs_first=path.suffix.lower() == ".tsv")
        stream.seek(0)
        _check_rows(path, stream, delimiter)
        stream.seek(0)
        try:
            options: dict[str, Any] = {
                "sep": delimiter,
                "dtype": str,
                "keep_default_na": False,
                "index_col": False,
            }
            n_columns = len(pd.read_csv(stream, nrows=0, **options).columns)
            stream.seek(0)
            reader = pd.read_csv(
                _UpToLastRow(stream),
                chunksize=rows,
                # Of one column it is a row whose text is empty.
                skip_blank_lines=n_columns > 1,
                **options,
            )
            while (chunk := _next_whole(reader)) is not None:
                yield chunk
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            reason = str(error).removeprefix("Error tokenizing data. ")
            raise _broken(path, delimiter, reason) from error


class _UpToLastRow(io.TextIOBase):
    """The lines of a text file without blank ones at its end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._parts = _with_blank_lines_before(lines)

    def read(self, size: int | None = -1) -> str:
        """Return some lines, however long; pandas takes them as they come."""
        return "".join(itertools.islice(self._parts, _LINES))


def _with_blank_lines_before(lines: Iterable[str]) -> Iterator[str]:
    blank: list[str] = []
    for line in lines:
        blank.append(line)
        # A row of empty cells has tabs, and a text may be a space.
        if line.strip("\r\n"):
            yield "".join(blank)
            blank = []


def _delimiter(header: str, tabs_first: bool) -> str:
    """Return what stands most often between the names, and not within those in quotes."""
    bare = _QUOTED.sub("", header)
    # What has none has one column, whose texts may have any of the others.
    tabs = tabs_first and ("\t" in bare or not any(mark in bare for mark in _DELIMITERS))
    return "\t" if tabs else max(_DELIMITERS, key=bare.count)


def _check_rows(path: Path, lines: Iterable[str], delimiter: str) -> None:
    """Raise for a row with more cells than the header, before any is given.

    Before version 3.1, pandas cuts the first of the rows that it reads together without a word.
    """
    # What csv can't read is left to pandas.
    with contextlib.suppress(csv.Error):
        rows = csv.reader(_marks(path, lines, delimiter), delimiter=delimiter)
        width = len(next(rows, ()))
        for row in rows:
            if len(row) > width:
                found = f"the row that ends in line {rows.line_num} has {len(row)} cells"
                raise _broken(path, delimiter, f"{found}, the header {width}")


def _marks(path: Path, lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """Yield lines with all that tells how many cells there are, and little else.

    Of cells longer than a limit, which all of a process shares, csv makes an error.
    """
    between = re.compile(rf'[^"\r\n{re.escape(delimiter)}]{{2,}}')
    for number, line in enumerate(lines, 1):
        if _CUTS_AT_ZEROS and "\0" in line:
            raise TableError(
                f"{path} has a zero byte in line {number}, and pandas {pd.__version__} would leave "
                f"out the rest of the cell. Take it out, or install pandas 3.1 or newer."
            )
        yield between.sub("x", line)


def _broken(path: Path, delimiter: str, reason: str) -> TableError:
    return TableError(
        f"{path} is broken: {reason}. Rows must have as many cells as the header, and texts with "
        f"{delimiter!r} or line breaks in them must be in quotation marks."
    )


def _next_whole(reader: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    """Return the next rows, or raise where cells beyond the header would be lost."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(reader, None)


def _json_lines(path: Path, rows: int, encoding: str | None) -> Iterator[pd.DataFrame]:
    encoding = encoding or find_encoding(path)
    # Read once before, so that the first rows have all columns, and what is broken is found first.
    columns = list(dict.fromkeys(key for row in _json_rows(path, encoding) for key in row))
    found = _json_rows(path, encoding)
    while part := list(itertools.islice(found, rows)):
        # Integers beside gaps would become floats.
        yield pd.DataFrame(part, columns=columns, dtype=object)


def _json_rows(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding=encoding) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path}, line {number}: this is no JSON ({error}).") from error
    if not isinstance(row, dict):
        raise TableError(
            f"{path}, line {number}: this is a {type(row).__name__}. Accepted: an object a line, "
            f"with a value for each column."
        )
    return row


def _parquet(path: Path, rows: int, encoding: str | None) -> Iterator[pd.DataFrame]:
    try:
        from pyarrow import ArrowException, Table
        from pyarrow.parquet import ParquetFile
        from pyarrow.types import is_integer
    except ImportError as error:
        raise _missing("pyarrow", path) from error
    try:
        with ParquetFile(path) as file:
            names = _distinct(file.schema_arrow.names)
            columns = [
                name
                for name, kind in zip(names, file.schema_arrow.types, strict=True)
                if not (_NAMELESS_INDEX.fullmatch(name) and is_integer(kind))
            ]
            for batch in file.iter_batches(batch_size=rows):
                table = Table.from_batches([batch]).rename_columns(names).select(columns)
                yield table.to_pandas(ignore_metadata=True, types_mapper=_kept_type)
    except ArrowException as error:
        raise TableError(f"{path} is no Parquet file that can be read ({error}).") from error


def _kept_type(kind: Any) -> pd.ArrowDtype | None:
    """Return Arrow's own type where pandas' would not have integers, lists and gaps as they are."""
    from pyarrow import BaseExtensionType
    from pyarrow.types import is_floating, is_timestamp

    # These pandas keeps too, and writes better as text.
    plain = is_floating(kind) or is_timestamp(kind) or isinstance(kind, BaseExtensionType)
    return None if plain else pd.ArrowDtype(kind)


def _excel(path: Path, rows: int, encoding: str | None) -> Iterator[pd.DataFrame]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise _missing("openpyxl", path) from error
    try:
        with contextlib.closing(load_workbook(path, read_only=True, data_only=True)) as book:
            yield from _first_sheet(path, book.worksheets[0], rows)
    except TableError:
        raise
    except Exception as error:
        # Whatever a broken archive, or a broken file in it, makes its readers raise; sheets are not
        # read before their rows are.
        raise TableError(f"{path} is no workbook that can be read ({error}).") from error


def _first_sheet(path: Path, sheet: Any, rows: int) -> Iterator[pd.DataFrame]:
    # What a file says of its size need not be so, and rows beyond it would be left out.
    sheet.reset_dimensions()
    # Read once before: columns without a name end the table where no row has a cell in them.
    width = max(map(_width, sheet.iter_rows(values_only=True)), default=0)
    cells = sheet.iter_rows(values_only=True)
    first = next(cells, ())
    if not _width(first):
        raise TableError(f"{path}: the first row of the first sheet has to name the columns.")
    header = _distinct(_of_width(first, width))
    full = (_of_width(row, width) for row in cells if _width(row))
    while part := list(itertools.islice(full, rows)):
        yield pd.DataFrame(part, columns=header, dtype=object)


def _width(row: Sequence[Any]) -> int:
    """Return how many cells a row has, without empty ones at its end."""
    return next((n for n in range(len(row), 0, -1) if row[n - 1] is not None), 0)


def _of_width(row: Sequence[Any], width: int) -> list[Any]:
    return [*row[:width], *[None] * (width - len(row))]


def _distinct(header: Iterable[Any]) -> list[str]:
    """Return the names of columns, as pandas has them of a CSV: none is empty or comes twice."""
    names: dict[str, None] = {}
    for place, cell in enumerate(header):
        name = f"Unnamed: {place}" if cell is None or cell == "" else str(cell)
        numbered = (f"{name}.{number}" for number in itertools.count(1))
        free = next(n for n in itertools.chain([name], numbered) if n not in names)
        names[free] = None
    return list(names)


def _missing(package: str, path: Path) -> TableError:
    return TableError(
        f"To read {path} {package} is needed. Install it: pip install 'sklearn-bert[cli]'."
    )


_Reader = Callable[[Path, int, str | None], Iterator[pd.DataFrame]]
_READERS: dict[str, _Reader] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".txt": _delimited,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".xlsx": _excel,
}
