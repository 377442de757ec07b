import contextlib
import json

import pandas as pd
import pytest

from sklearn_bert.errors import TableError
from sklearn_bert.tables import find_column, read_chunks

FRAME = pd.DataFrame(
    {
        "text": ["Plain", 'A "quoted", text', "two\nlines", "很好", ""],
        "label": ["a", "b", "a", "b", "a"],
    }
)


def _json(frame, path):
    frame.to_json(path, orient="records", lines=True, force_ascii=False)


WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "txt": lambda frame, path: frame.to_csv(path, index=False, sep=";"),
    "jsonl": _json,
    "ndjson": _json,
    "parquet": lambda frame, path: frame.to_parquet(path),
    "xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


def read(path, **options):
    return pd.concat(list(read_chunks(path, **options)), ignore_index=True)


@pytest.mark.parametrize("kind", WRITERS)
def test_each_kind_is_read_as_it_was_written(kind, tmp_path):
    path = tmp_path / f"table.{kind}"
    WRITERS[kind](FRAME, path)
    chunks = list(read_chunks(path, rows=2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    found = pd.concat(chunks, ignore_index=True).astype(object)
    # A workbook has no empty strings.
    found = found.where(found.notna(), "")
    pd.testing.assert_frame_equal(found, FRAME.astype(object))


def test_a_kind_in_capitals(tmp_path):
    path = tmp_path / "TABLE.CSV"
    FRAME.to_csv(path, index=False)
    assert len(read(path)) == 5


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "naïve 很好 🎬"),
        ("utf-8-sig", "naïve 很好"),
        ("utf-16", "naïve 很好"),
        ("utf-32", "naïve 很好"),
        ("gb18030", "这家酒店的房间很好，服务也很周到，下次还会再来。早餐种类不多，但是味道不错。"),
        ("big5", "這家酒店的房間很好，服務也很周到，下次還會再來。早餐種類不多，但是味道不錯。"),
        ("cp1252", "Le café était très agréable, à côté de l’hôtel, où nous avons déjà mangé."),
        ("cp1251", "Номер был чистый, персонал приветливый, завтрак вкусный и разнообразный."),
        ("cp1250", "Pokój był czysty, obsługa życzliwa, a śniadanie smaczne i bardzo różnorodne."),
        ("cp949", "방은 깨끗했고 직원들은 친절했습니다. 아침 식사도 맛있었습니다."),
        (
            "cp932",
            "このホテルの部屋はとても良かったです。朝食もおいしかったです。駅から近くて便利でした。",
        ),
    ],
)
def test_encodings_are_found(encoding, text, tmp_path):
    path = tmp_path / "table.csv"
    # ASCII alone first, so that the beginning tells nothing.
    lines = ["text,label", *["plain words,a"] * 2000, *[f'"{text}",b'] * 3]
    path.write_bytes("\n".join(lines).encode(encoding))
    known = encoding.startswith("utf")
    warns = contextlib.nullcontext() if known else pytest.warns(UserWarning, match=encoding)
    with warns:
        found = read(path)
    assert list(found.columns) == ["text", "label"]
    assert found["text"].iloc[-1] == text
    assert read(path, encoding=encoding)["text"].iloc[-1] == text


def test_cells_are_left_as_they_are(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("text,label\nNA,1\nnull,01\n 5 ,1.0\n")
    found = read(path)
    assert found["text"].tolist() == ["NA", "null", " 5 "]
    assert found["label"].tolist() == ["1", "01", "1.0"]


def test_a_workbook_has_numbers_and_gaps(tmp_path):
    path = tmp_path / "table.xlsx"
    pd.DataFrame({"text": ["a", None, 3], "label": [1, None, 2]}).to_excel(path, index=False)
    found = read(path)
    assert found["text"].tolist() == ["a", 3]
    assert found["label"].tolist() == [1, 2]


BROKEN = {
    "more cells than the header": (
        "t.csv",
        b"text,label\na,b\na,b,c\n",
        "line 3 has 3 cells, the header 2",
    ),
    "an open quotation mark": (
        "t.csv",
        b'text,label\n"a,b\n',
        "broken: C error: EOF inside string",
    ),
    "nothing": ("t.csv", b"", "empty"),
    "a header alone": ("t.csv", b"text,label\n", "no rows"),
    "zero bytes": ("t.csv", b"PK\x03\x04\0\0\0", "no text file"),
    "no JSON": ("t.jsonl", b'{"a": 1}\nhello\n', "line 2: this is no JSON"),
    "no object": ("t.jsonl", b'["a"]\n', "line 1: this is a list"),
    "no JSON at all": ("t.jsonl", b"", "no rows"),
    "no Parquet": ("t.parquet", b"hello", "no Parquet"),
    "no workbook": ("t.xlsx", b"hello", "no workbook"),
    "a packed file": ("t.csv.gz", b"", r"can't be read.*Unpack it first"),
    "JSON": ("t.json", b"[]", r"can't be read.*name it \.jsonl"),
    "another kind": ("t.docx", b"hello", r"can't be read. Accepted: \.csv, \.tsv"),
}


@pytest.mark.parametrize(("name", "content", "message"), BROKEN.values(), ids=list(BROKEN))
def test_broken_files(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        read(path)


def test_no_file(tmp_path):
    with pytest.raises(TableError, match="There is no file"):
        read(tmp_path / "t.csv")


def test_a_wrong_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("text\ncafé\n".encode("cp1252"))
    with pytest.raises(TableError, match="can't be decoded"):
        read(path, encoding="utf-8")
    with pytest.raises(ValueError, match="encoding='latin-0'"):
        read(path, encoding="latin-0")


def test_only_some_rows_are_in_memory(tmp_path):
    """The rest of a broken file is not read before it is asked for."""
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join([*[json.dumps({"text": "a"})] * 10, "broken"]))
    chunks = read_chunks(path, rows=5)
    assert len(next(chunks)) == 5
    assert len(next(chunks)) == 5
    with pytest.raises(TableError, match="line 11"):
        next(chunks)


def test_columns_of_like_name_are_told():
    columns = ["Comment", "Emotion"]
    assert find_column("Comment", columns, "f.csv") == "Comment"
    with pytest.raises(TableError, match=r"f.csv has no column 'comment'. Did you mean 'Comment'"):
        find_column("comment", columns, "f.csv")
    with pytest.raises(
        TableError,
        match=r"no column 'x'. Its columns, as its first row names them, are: 'Comment', 'Emotion'",
    ):
        find_column("x", columns, "f.csv")
