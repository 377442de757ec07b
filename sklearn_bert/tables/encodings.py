"""In which encoding a text file is, without reading it into memory."""

from __future__ import annotations

import codecs
from pathlib import Path

from sklearn_bert.errors import TableError, warn_caller

__all__ = ["find_encoding"]

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_READ_AT_ONCE = 1 << 20
# What files in use are in; of all that Python knows, short texts fit some by chance. Where a text
# fits several as well, the first of these is taken.
_LIKELY = (
    *("gb18030", "big5", "cp932", "euc_jp", "cp949"),
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp874"),
)
# Bytes of lines that are not ASCII: what tells encodings apart.
_TELLING = 1 << 17


def find_encoding(path: Path) -> str:
    """Return the encoding of a text file.

    That of a byte order mark; UTF-8 if all of the file is; else what charset-normalizer makes of
    the lines that are not ASCII, with a warning that says what it is.

    Raises
    ------
    TableError
        If the file is no text, or its encoding can't be told.
    """
    with path.open("rb") as file:
        head = file.read(_READ_AT_ONCE)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise TableError(
            f"{path} is no text file: it has zero bytes. Accepted: CSV, TSV and JSONL as text; if "
            f"it is a Parquet or Excel file, name it .parquet or .xlsx; if it is text all the "
            f"same, pass its encoding, such as --encoding utf-8 or --encoding utf-16-le."
        )
    return "utf-8" if _is_utf8(path) else _detected(path)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while part := file.read(_READ_AT_ONCE):
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _detected(path: Path) -> str:
    remedy = "pass the encoding, such as --encoding gb18030 or --encoding cp1252."
    try:
        from charset_normalizer import from_bytes
    except ImportError as error:
        raise TableError(
            f"{path} is not in UTF-8, and to tell encodings apart charset-normalizer is needed: "
            f"pip install 'sklearn-bert[cli]'. Or {remedy}"
        ) from error
    telling = bytearray()
    with path.open("rb") as file:
        for line in file:
            if not line.isascii():
                telling += line
            if len(telling) > _TELLING:
                break
    matches = from_bytes(bytes(telling), cp_isolation=list(_LIKELY))
    best = matches.best()
    if best is None:
        raise TableError(f"The encoding of {path} can't be told: {remedy}")
    alike = {
        match.encoding
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
    }
    found = next(encoding for encoding in _LIKELY if encoding in alike)
    warn_caller(
        f"{path} is not in UTF-8 and is read as {found}. If letters come out wrong: {remedy}",
        UserWarning,
    )
    return found
