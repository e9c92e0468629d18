"""Cells as texts, addresses and numbers; columns of times by unit and form; Amazon's editions mixed up."""

import json
from pathlib import Path
from typing import Any

import pytest
import raw_files

from missrec_pl.errors import DataError
from missrec_pl.prepare.__main__ import main

duckdb = pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

from missrec_pl.data.domain.folder import Domain  # noqa: E402
from missrec_pl.prepare.tables.cells import addresses_of, number_sql, texts_of  # noqa: E402
from missrec_pl.prepare.tables.times import TimeChoice, TimeColumn  # noqa: E402

TEXTS: list[tuple[Any, list[str]]] = [
    ("['Home', 'Craft']", ["Home", "Craft"]),
    ("[\"Women's\", 'Shoes', nan]", ["Women's", "Shoes"]),
    ("['a' 'b'\n 'c']", ["a", "b", "c"]),
    ("array(['a', 'b'], dtype=object)", ["a", "b"]),
    ('{Home,"Kitchen & Table"}', ["Home", "Kitchen & Table"]),
    ('"[\\"Home\\"]"', ["Home"]),
    ("b'Caf\\xc3\\xa9'", ["Caf\u00e9"]),
    ([{"name": "Chairs", "level": 1}, {"name": "Oak", "level": 2}], ["Chairs", "Oak"]),
    ("[Refurbished] Phone [32 GB]", ["[Refurbished] Phone [32 GB]"]),
    ("(Pack of 2)", ["(Pack of 2)"]),
    ("<script>var x = '<b>'</script>Hose &amp;amp; tap <!-- 14 --><br>", ["Hose & tap"]),
    ("Size < 5 cm > 3", ["Size < 5 cm > 3"]),
    ("smile \ud83d", ["smile"]),
    (["N/A", None, "nan", "\\N", "Lamp"], ["Lamp"]),
]


@pytest.mark.parametrize(("cell", "expected"), TEXTS)
def test_texts_of_cells(cell: Any, expected: list[str]) -> None:
    assert texts_of(cell) == expected


ADDRESSES: list[tuple[Any, list[str]]] = [
    ('["https://p/1.jpg?s=l,xl", "https://p/2.jpg"]', ["https://p/1.jpg?s=l,xl", "https://p/2.jpg"]),
    ("https://a/1.jpg | https://a/2.jpg", ["https://a/1.jpg", "https://a/2.jpg"]),
    ("//x/1.jpg", ["https://x/1.jpg"]),
    ([{"hi_res": None, "large": "https://l/1", "thumb": "https://t/1"}], ["https://l/1"]),
    ({"hi_res": [None, "https://h/2"], "large": ["https://l/1", "https://l/2"]}, ["https://l/1", "https://h/2"]),
    ('<img src="https://q/1.png"/>', ["https://q/1.png"]),
    ("None", []),
]


@pytest.mark.parametrize(("cell", "expected"), ADDRESSES)
def test_addresses_of_cells(cell: Any, expected: list[str]) -> None:
    assert addresses_of(cell) == expected


def test_numbers_with_commas() -> None:
    cells = {
        "4,5": 4.5,
        "4.5": 4.5,
        "1.234,5": 1234.5,
        "1,234.5": 1234.5,
        "1,609,459,200": 1609459200.0,
        "x": None,
    }
    for cell, number in cells.items():
        assert duckdb.execute(f"SELECT {number_sql('c')} FROM (SELECT ? AS c)", [cell]).fetchall() == [(number,)]


def times_of(cells: list[str], kind: str = "VARCHAR", **choice: str) -> tuple[list[int | None], list[str]]:
    """Milliseconds of a column, and what was warned of."""
    told: list[str] = []
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE t AS SELECT CAST(unnest(?) AS {kind}) AS time", [cells])
        column = TimeColumn("t", "time", "t.csv: column 'time'", choice=TimeChoice(**choice))
        sql, kept = column.milliseconds(connection, lambda line: None, told.append)
        rows = connection.execute(f"SELECT {kept} FROM (SELECT {sql} AS ms FROM t)").fetchall()
    return [row[0] for row in rows], told


SECONDS = [1609459201, 1609459263]
FORMS = {
    "s": [str(one) for one in SECONDS],
    "ms": [str(one * 1000) for one in SECONDS],
    "us": [str(one * 10**6) for one in SECONDS],
    "ns": [str(one * 10**9) for one in SECONDS],
    "floats": [f"{one}.0" for one in SECONDS],
    "days of a spreadsheet": [f"{25569 + one / 86400:.8f}" for one in SECONDS],
    "one number": ["20210101000001", "20210101000103"],
    "zone": ["2021-01-01T01:00:01+01:00", "2021-01-01T00:01:03Z"],
    "German": ["01.01.2021 00:00:01", "01.01.2021 00:01:03"],
    "Twitter": ["Fri Jan 01 00:00:01 +0000 2021", "Fri Jan 01 00:01:03 +0000 2021"],
}


@pytest.mark.parametrize("form", FORMS)
def test_units_and_forms_are_told(form: str) -> None:
    assert times_of(FORMS[form]) == ([one * 1000 for one in SECONDS], [])


def test_fillers_are_no_times_where_the_others_are_dates() -> None:
    assert times_of(["0", "-1", "1609459201", "2147483647", "1609459263"])[0] == [
        *(None, None, 1609459201000, None, 1609459263000)
    ]
    assert times_of(["0", "1", "2"])[0] == [0, 1000, 2000]
    assert times_of(["1970-01-01", "2021-01-01", "9999-12-31", "2021-01-02"])[0][::2] == [None, None]


REFUSED = {
    "whole days": (["44197", "44198"], "VARCHAR", "--time-unit excel"),
    "mixed units": (["1609459201", "1609459201000"], "VARCHAR", "mixed units"),
    "float32": (["1609459201"], "FLOAT", "single precision"),
    "two readings": (["01/02/2021", "03/04/2021"], "VARCHAR", "--time-format decides"),
    "short years": (["21-01-02", "21-01-03"], "VARCHAR", "--time-format decides"),
    "mixed orders": (["31/12/2020", "12/31/2020"], "VARCHAR", "dates in several forms"),
    "rounded": (["1.60946e+09", "1.60947e+09"], "VARCHAR", "digits"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_times_that_cannot_be_told_are_refused(case: str) -> None:
    cells, kind, told = REFUSED[case]
    with pytest.raises(DataError, match=told):
        times_of(cells, kind)


def test_a_format_decides_and_odd_columns_are_warned_of() -> None:
    assert times_of(["21-01-02"], form="%y-%m-%d")[0] == [1609545600000]
    (told,) = times_of(["2021-01-01 00:00:01", "2021-01-01 00:00:01+02:00"])[1]
    assert "1 times say their zone and 1 do not" in told
    (told,) = times_of([str(1609459200 + 128 * n) for n in range(6)])[1]
    assert "single precision" in told


def test_editions_mixed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ratings of 2014 are refused as those of 2018; metadata of 2014 are read with ratings of 2018."""
    pairs = [(f"A{n}9XYZXYZXY{n}", f"B00{k}QQQQ{k}{k}", 5.0, 1600000000 + k) for n in range(3) for k in range(3)]
    common = ("--format", "amazon2018", "--k-core", "1", "--threads", "1")
    old = raw_files.amazon_ratings(tmp_path / "old.csv", "amazon2014", pairs)
    assert main(["interactions", str(old), str(tmp_path / "a"), *common, "--keep-items-without-text"]) == 2
    assert "users and items look swapped" in capsys.readouterr().err
    new = raw_files.amazon_ratings(tmp_path / "new.csv", "amazon2018", pairs)
    entries = [
        {"asin": f"B00{k}QQQQ{k}{k}", "title": f"Toy {k}", "categories": [["Wood"]], "imUrl": f"https://x/{k}"}
        for k in (0, 1, 2)
    ]
    entries.append({"asin": "B000QQQQ00", "title": "Toy 0, in another language", "categories": [["Wood"]]})
    metadata = raw_files.write_lines(tmp_path / "meta.json", [json.dumps(entry) for entry in entries])
    assert main(["interactions", str(new), str(tmp_path / "b"), *common, "--metadata", str(metadata)]) == 0
    assert "1 items have several rows with other texts, such as B000QQQQ00 (2 rows)" in capsys.readouterr().out
    assert Domain.open(tmp_path / "b").texts()[2] == "Toy 1. Wood."
