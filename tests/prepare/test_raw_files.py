"""Random tables through every way of writing them: nothing is lost or joined, or the file is refused by name."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from missrec_pl.errors import DataError

duckdb = pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

from missrec_pl.prepare.tables.raw_files import RawFiles  # noqa: E402

Rows = list[tuple[str, str, str]]
NAMES = ("user", "item", "note")
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}
NOTES = st.text(st.sampled_from("ab 1\"',;|\t\n.é\u5bff"), max_size=12).map(str.strip)
TABLES = st.lists(
    st.tuples(st.from_regex(r"u[0-9]{1,3}", fullmatch=True), st.from_regex(r"[0-9]{1,4}", fullmatch=True), NOTES),
    min_size=1,
    max_size=12,
)
QUICK = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, folder: Path, names: tuple[str, ...] | None = None) -> Rows:
    with duckdb.connect(config={"threads": 1}) as connection:
        files = RawFiles(connection, folder, say=lambda line: None, warn=lambda line: None)
        table = files.table(path, NAMES, names)
        found = connection.execute(f"SELECT {', '.join(map(table.text, NAMES))} FROM {table.relation}").fetchall()
        assert table.rows == len(found)
    return [tuple((cell or "") for cell in row) for row in found]


def read_or_refused(path: Path, folder: Path, names: tuple[str, ...] | None = None) -> Rows | str:
    try:
        return read(path, folder, names)
    except DataError as error:
        return str(error)


def written(rows: Rows, separator: str, quoting: int, ends: tuple[str, str], encoding: str) -> bytes:
    """CSV by Python's writer; the second half of the rows with another line end."""
    parts = []
    for half, end in zip(([NAMES, *rows[: len(rows) // 2]], rows[len(rows) // 2 :]), ends, strict=True):
        stream = io.StringIO()
        csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=end).writerows(half)
        parts.append(stream.getvalue())
    return "".join(parts).encode(encoding)


@QUICK
@given(
    rows=TABLES,
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    ends=st.tuples(st.sampled_from(["\n", "\r\n"]), st.sampled_from(["\n", "\r\n"])),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    packing=st.sampled_from(sorted(PACKINGS)),
)
def test_quoted_tables_come_back_whole_or_are_refused(
    tmp_path: Path, rows: Rows, separator: str, quoting: int, ends: tuple[str, str], encoding: str, packing: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(PACKINGS[packing](written(rows, separator, quoting, ends, encoding)))
    found = read_or_refused(path, tmp_path)
    if isinstance(found, str):
        assert "t.csv:" in found
        assert "--quote" in found or "--separator" in found
        return
    assert [(user, item, note.replace("\r", "")) for user, item, note in found] == rows


def spelled(cell: str, separator: str) -> str:
    """A cell with quotation marks where it needs them."""
    special = {"\n", "\r", '"', *separator}
    needs = special & set(cell) or (not separator.strip(" ") and not cell)
    return '"' + cell.replace('"', '""') + '"' if needs else cell


@QUICK
@given(
    rows=TABLES,
    separator=st.sampled_from([",", ";", "\t", "|", "::", "\x01", " ", "  "]),
    first=st.sampled_from(["names", "sep", "quoted sep", "nothing"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_separator_is_told_or_refused(
    tmp_path: Path, rows: Rows, separator: str, first: str, end: str
) -> None:
    """Two spaces: columns that stand below each other. Nothing: no line of names; they are given."""
    table = [[spelled(cell, separator) for cell in row] for row in ([] if first == "nothing" else [NAMES]) + rows]
    widths = [max(map(len, column)) if separator == "  " else 0 for column in zip(*table, strict=True)]
    lines = [separator.join(map(str.ljust, row, widths)) for row in table]
    if first.endswith("sep") and len(separator) == 1:
        lines.insert(0, f'"sep={separator}"' if first == "quoted sep" else f"sep={separator}")
    path = tmp_path / "t.csv"
    path.write_bytes((end.join(lines) + end).encode())
    found = read_or_refused(path, tmp_path, NAMES if first == "nothing" else None)
    if isinstance(found, str):
        assert "t.csv:" in found
        assert "--quote" in found or "--separator" in found
        return
    if separator == "  ":  # within a cell, too, any number of spaces is one
        assert [" ".join(" ".join(row).split()) for row in found] == [
            " ".join(" ".join(row).split()) for row in rows
        ]
        return
    assert [(user, item, note.replace("\r", "")) for user, item, note in found] == rows


@QUICK
@given(rows=TABLES, separator=st.sampled_from(",;\t|"))
def test_tables_without_quoting_lose_no_row(tmp_path: Path, rows: Rows, separator: str) -> None:
    """Quotation marks are letters here, as in what is exported without quoting: none may join lines."""
    bare = [
        (user, item, note.replace(separator, " ").replace("\n", " ").strip().replace('""', '"'))
        for user, item, note in rows
    ]
    path = tmp_path / "t.tsv"
    path.write_text("".join(separator.join(row) + "\n" for row in [NAMES, *bare]), encoding="utf-8")
    found = read_or_refused(path, tmp_path)
    if isinstance(found, str):
        assert "t.tsv:" in found
        return
    assert [row[:2] for row in found] == [row[:2] for row in bare]
    assert [row[2].replace('"', "").strip() for row in found] == [row[2].replace('"', "").strip() for row in bare]


@QUICK
@given(rows=TABLES, kind=st.sampled_from(["lines", "list", "side by side", "parquet", "binary", "zip", "parts"]))
def test_other_kinds_come_back_whole(tmp_path: Path, rows: Rows, kind: str) -> None:
    entries = [dict(zip(NAMES, row, strict=True)) for row in rows]
    columns = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))
    path = tmp_path / f"t-{kind}"
    if kind == "lines":
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    elif kind == "list":
        path.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    elif kind == "side by side":
        path.write_text(" ".join(map(json.dumps, entries)), encoding="utf-8")
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("t.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
    elif kind == "parts":
        (path / "day=1").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path / "day=1" / "part-0.parquet")
        (path / "_SUCCESS").touch()
    else:
        kinds = pa.binary() if kind == "binary" else pa.string()
        pq.write_table(pa.table({name: pa.array(cells).cast(kinds) for name, cells in columns.items()}), path)
    assert sorted(read(path, tmp_path)) == sorted(rows)


REFUSALS = {
    "ragged": (b"user,item,note\nu1,p1,x\nu2,p2\n", "t.csv:3: 2 cells instead of 3"),
    "latin-1": ("user,item,note\nu1,p1,Caf\u00e9\n".encode("latin-1"), "--encoding decides"),
    "one column": (b"user~item~note\nu1~p1~x\n", "one column"),
    "rows in a quotation": (b'user,item,note\nu1,p1,"a\nu2,p2,b"\n', "t.csv:2: a quotation mark opens"),
    "decimal commas without quotation marks": (b"user,item,note\nu1,p1,4,5\n", "t.csv:2: 4 cells instead of 3"),
    "another separator than sep= says": (
        b"sep=,\nuser;item;note\nu1;p1;x\n",
        "t.csv:2: no comma, which its line 'sep=' names",
    ),
    "below each other but for one": (
        b"user   item  note\nu1     p1    x\nu2     p2\n",
        "t.csv:3: 2 cells instead of 3",
    ),
    "two separators": (b"user,item,note\nu1,p1,x\nu2;p2;x\n", "t.csv:3: 1 cells instead of 3, separated by comma"),
    "a comma behind lists": (b'{"user": "u1"},\n{"user": "u2"},\n', "t.csv"),
    "cut off": (b'{"user": "u1", "item": "p1", "note": "x"}\n{"user": "u2", "it', "t.csv:2: Malformed JSON"),
    "an object a user": (b"".join(b'{"u%d": {"p1": 1}}\n' % user for user in range(6000)), "more than 5,000 keys"),
    "a page": (b"<!DOCTYPE html><html></html>", "a web page"),
    "NUL": (b"user,item,note\nu1,p1,\x00\n", "t.csv:2: a NUL byte"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_guesses_are_refused(case: str, tmp_path: Path) -> None:
    content, told = REFUSALS[case]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "t.csv", tmp_path)
    assert told in str(caught.value)


def test_keys_of_later_objects_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    entries = [{"user": f"u{number}", "item": "p"} for number in range(1500)] + [
        {"user": "u", "item": "p", "note": "x"}
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert ("u", "p", "x") in read(path, tmp_path)
