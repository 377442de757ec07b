import contextlib
import datetime
import json
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sklearn_bert.errors import TableError
from sklearn_bert.tables import find_column, read_chunks, writer

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


def test_a_table_of_one_column_may_have_other_delimiters_in_its_texts(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("text\nHello, world; you\nplain\n")
    assert read(path)["text"].tolist() == ["Hello, world; you", "plain"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_blank_line_of_one_column_is_a_row(rows, end, kind, tmp_path):
    """But for those at the end; a mark of an empty text is one there too, and so is a space."""
    path = tmp_path / f"t.{kind}"
    lines = ["text", "the film", "", "x", "  ", '"two', "", 'lines"', "", "", '""', "", " "]
    expected = ["the film", "", "x", "  ", f"two{end}{end}lines", "", "", "", "", " "]
    for last in ("\u2028", "\x85", '""'):
        path.write_text(end.join([*lines, last, "", ""]), encoding="utf-8", newline="")
        assert read(path, rows=rows)["text"].tolist() == [*expected, last.strip('"')]
    path.write_text(end.join(["text,label", "a,b", "", "c,d", ""]), newline="")
    assert read(path, rows=rows).shape == (2, 2)


def test_rows_of_empty_cells_are_rows_at_the_end_too(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("text\tlabel\na\tb\n\t\nc\td\n\t\n\t\n\n")
    assert read(path)["text"].tolist() == ["a", "", "c", "", ""]


def test_json_may_begin_with_a_mark_of_its_byte_order(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "很好"}\n', encoding="utf-8-sig")
    for encoding in (None, "utf-8", "UTF8"):
        assert read(path, encoding=encoding)["text"].tolist() == ["很好"]


@pytest.mark.parametrize("said", ["A1", "A1:B3"])
def test_a_workbook_that_says_it_is_smaller_than_it_is(said, tmp_path):
    honest, path = tmp_path / "honest.xlsx", tmp_path / "t.xlsx"
    frame = pd.DataFrame({"text": [f"t{n}" for n in range(5)], "label": list("ababa")})
    frame.to_excel(honest, index=False)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name).replace(b'ref="A1:B6"', f'ref="{said}"'.encode())
            target.writestr(name, content)
    pd.testing.assert_frame_equal(read(path), frame.astype(object))


def test_a_workbook_whose_sheet_is_broken(tmp_path):
    honest, path = tmp_path / "honest.xlsx", tmp_path / "t.xlsx"
    pd.DataFrame({"text": [f"t{n}" for n in range(50)]}).to_excel(honest, index=False)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            half = len(content) // 2 if name == "xl/worksheets/sheet1.xml" else None
            target.writestr(name, content[:half])
    with pytest.raises(TableError, match="no workbook that can be read"):
        next(read_chunks(path))


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
    "zero bytes": ("t.csv", b"PK\x03\x04\0\0\0", "no text file.*pass its encoding, .*--encoding"),
    "no JSON": ("t.jsonl", b'{"a": 1}\nhello\n', "line 2: this is no JSON"),
    "JSON in JSON without end": ("t.jsonl", b"[" * 100_000, "line 1: this is no JSON"),
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
    # Before any rows, which a caller might begin to use.
    with pytest.raises(TableError, match=message):
        next(read_chunks(path))


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
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "a\n" * 100_000)
    chunks = read_chunks(path, rows=10)
    assert len(next(chunks)) == 10
    path.write_text("")
    assert sum(map(len, chunks)) < 50_000


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("row", [0, 9, 10, 20, 25])
def test_a_row_that_is_too_long_is_found_before_any_is_given(row, columns, tmp_path):
    """At the beginning of rows that are read together, too, where pandas 2 cut it silently."""
    path = tmp_path / "t.csv"
    lines = [",".join(["text", "label"][:columns]), *[",".join("ab"[:columns])] * 30]
    lines[1 + row] += ",c"
    path.write_text("\n".join(lines))
    message = f"broken: the row that ends in line {row + 2} has {columns + 1} cells"
    with pytest.raises(TableError, match=message):
        next(read_chunks(path, rows=10))


@pytest.mark.parametrize("long", ["word " * 40_000, "a line\n" * 20_000])
def test_a_row_that_is_too_long_is_found_behind_a_very_long_text(long, tmp_path):
    """Behind what the csv module refuses, where pandas 2 cut the first row of a part silently."""
    path = tmp_path / "t.csv"
    path.write_text(f'text,label\n"{long}",pos\na,b\ngood, really good,pos\n')
    line = 4 + long.count("\n")
    with pytest.raises(TableError, match=f"the row that ends in line {line} has 3 cells"):
        next(read_chunks(path, rows=2))
    path.write_text(f'text,label\n"{long}",pos\na,b\n')
    assert read(path)["text"].tolist() == [long, "a"]


def test_a_text_with_zero_bytes_is_read_where_its_encoding_is_given(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\ngood\0 film,pos\n")
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        with pytest.raises(TableError, match=r"zero byte in line 2, .* install pandas 3\.1"):
            next(read_chunks(path, encoding="utf-8"))
    else:
        assert read(path, encoding="utf-8")["text"].tolist() == ["good\0 film"]


def test_a_broken_line_of_json_is_found_before_any_row_is_given(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a"}\n' * 10 + "broken\n")
    with pytest.raises(TableError, match="line 11: this is no JSON"):
        next(read_chunks(path, rows=2))


def test_the_first_rows_of_json_have_the_columns_of_all(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"id": 7, "text": "c"}\n')
    assert [list(chunk.columns) for chunk in read_chunks(path, rows=2)] == [["text", "id"]] * 2


BIG = 1234567890123456789


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_integers_beside_gaps_stay_integers(kind, tmp_path):
    path = tmp_path / f"t.{kind}"
    frame = pd.DataFrame({"text": ["a", "b"], "id": pd.array([BIG, None], dtype="Int64")})
    WRITERS[kind](frame, path)
    if kind == "jsonl":
        path.write_text(f'{{"text": "a", "id": {BIG}}}\n{{"text": "b"}}\n')
    for out in ("csv", "jsonl", "parquet"):
        with writer(tmp_path / f"out.{out}") as write:
            for chunk in read_chunks(path, rows=1):
                write(chunk)
        ids = read(tmp_path / f"out.{out}")["id"].tolist()
        assert str(ids[0]) == str(BIG)
        assert pd.isna(ids[1]) or ids[1] == ""


def test_parquet_keeps_a_named_index_and_leaves_row_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    FRAME.set_index("label").to_parquet(path)
    assert sorted(read(path).columns) == ["label", "text"]
    FRAME.iloc[[3, 1]].to_parquet(path)
    assert list(read(path).columns) == ["text", "label"]
    FRAME.set_index(pd.Index(list("vwxyz"))).to_parquet(path)
    assert list(read(path).columns) == ["text", "label", "__index_level_0__"]


def test_parquet_columns_of_one_name_are_numbered(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array([1])], ["text"] * 2), path)
    assert read(path).to_dict("records") == [{"text": "a", "text.1": 1}]


def test_parquet_keeps_its_types(tmp_path):
    """Those of columns that have gaps alone in the rows that are written first, too."""
    columns = {
        "integer": pa.array([None, BIG]),
        "small": pa.array([None, 0.1], pa.float32()),
        "yes": pa.array([None, True]),
        "word": pa.array([None, "a"]),
        "kind": pa.array([None, "a"]).dictionary_encode(),
        "day": pa.array([None, datetime.date(2026, 1, 2)]),
        "time": pa.array([None, datetime.datetime(2026, 1, 2)]),
        "tags": pa.array([None, [1, None]]),
        "parts": pa.array([None, {"a": [1], "b": "x"}]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    for out in ("csv", "parquet"):
        with writer(tmp_path / f"out.{out}") as write:
            for chunk in read_chunks(tmp_path / "t.parquet", rows=1):
                write(chunk)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.equals(pa.table(columns).schema)
    assert found.to_pydict() == pa.table(columns).to_pydict()
    assert pd.read_parquet(tmp_path / "out.parquet")["word"].dtype == pd.Series(["a"]).dtype
    cells = read(tmp_path / "out.csv").iloc[1]
    assert cells.iloc[:7].tolist() == [str(BIG), "0.1", "True", "a", "a", *["2026-01-02"] * 2]


def test_parquet_has_lists_and_dates(tmp_path):
    path = tmp_path / "t.parquet"
    day = pd.Timestamp("2026-01-02")
    frame = pd.DataFrame({"text": ["x", "y"], "tags": [["a", "b"], ["a"]], "day": [day, None]})
    frame.to_parquet(path)
    with writer(tmp_path / "out.jsonl") as write:
        for chunk in read_chunks(path):
            write(chunk)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["tags"] for row in rows] == [["a", "b"], ["a"]]
    assert rows[0]["day"].startswith("2026-01-02")
    assert rows[1]["day"] is None


def test_what_is_written_of_parquet_is_parquet_for_pandas(tmp_path):
    path, out = tmp_path / "t.parquet", tmp_path / "out.parquet"
    frame = FRAME.assign(
        label=FRAME["label"].astype("category"),
        day=pd.Timestamp("2026-01-02", tz="UTC"),
        sure=[True, None, False, True, True],
        about=[{"k": 1}] * 5,
    )
    frame.to_parquet(path)
    with writer(out) as write:
        for chunk in read_chunks(path, rows=2):
            write(chunk)
    pd.testing.assert_frame_equal(
        pd.read_parquet(out).astype(object), pd.read_parquet(path).astype(object)
    )


def test_columns_of_a_workbook_without_a_name_keep_their_places(tmp_path):
    path = tmp_path / "t.xlsx"
    FRAME.to_excel(path)
    found = read(path)
    assert list(found.columns) == ["Unnamed: 0", "text", "label"]
    assert found["label"].tolist() == FRAME["label"].tolist()
    FRAME.assign(**{"": 1})[["text", "", "label"]].to_excel(path, index=False)
    assert list(read(path).columns) == ["text", "Unnamed: 1", "label"]


def test_columns_of_a_workbook_end_where_no_row_has_a_cell(tmp_path):
    path = tmp_path / "t.xlsx"
    rows = [["text", None, None], ["a", None, None], ["b", 1, None], [None, None, None]]
    pd.DataFrame(rows).to_excel(path, index=False, header=False)
    assert read(path, rows=1).fillna("").to_dict("list") == {
        "text": ["a", "b"],
        "Unnamed: 1": ["", 1],
    }


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_columns_of_one_name_are_numbered(kind, tmp_path):
    path = tmp_path / f"t.{kind}"
    WRITERS[kind](pd.DataFrame([["a", "b", "c"]], columns=["text", "text", "label"]), path)
    assert read(path).to_dict("records") == [{"text": "a", "text.1": "b", "label": "c"}]


@pytest.mark.parametrize(
    ("name", "header", "row", "columns"),
    [
        ("t.tsv", "id\tname, full, or not, if known\ttext", "1\tx\ty", 3),
        ("t.csv", '"text; a; remark; of; any",label', "x,y", 2),
        ("t.csv", '"a ""quoted""; name; of; any",label', "x,y", 2),
        ("t.csv", "text;label", "a,b;c", 2),
        ("t.tsv", "text,label", "a,b", 2),
        ("t.csv", 'size (5" wide);text;label', "a;b;c", 3),
        ("t.csv", 'label,"text; a; b\nor; c"', "x,y", 2),
        ("t.csv", '\ufeff"text; a; remark; of; any",label', "x,y", 2),
    ],
)
def test_delimiters_are_found_outside_of_names(name, header, row, columns, tmp_path):
    path = tmp_path / name
    path.write_text(f"{header}\n{row}\n")
    assert read(path).shape == (1, columns)


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
