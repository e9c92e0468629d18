"""Ids that are no ids: numbers that have lost digits, lists, objects. Wrong ids join users and items silently."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from missrec_pl.errors import DataError

duckdb = pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

from missrec_pl.prepare.interactions.cleaning import load  # noqa: E402
from missrec_pl.prepare.interactions.matching import check_ids  # noqa: E402
from missrec_pl.prepare.interactions.other_sources import Columns, read_table  # noqa: E402
from missrec_pl.prepare.tables.raw_files import RawFiles  # noqa: E402
from missrec_pl.prepare.tables.times import TimeChoice  # noqa: E402

COUNT = 12


def items_read(path: Path, folder: Path, warnings: list[str]) -> list[str]:
    """The items' ids, in the order of their times."""
    with duckdb.connect(config={"threads": 1}) as connection:
        files = RawFiles(connection, folder, say=lambda line: None, warn=warnings.append)
        source = read_table(path, None, files, Columns())
        load(files, source, TimeChoice(), lambda line: None)
        check_ids(files, source)
        return [item for (item,) in connection.execute("SELECT item FROM raw ORDER BY time_ms").fetchall()]


def parquet(path: Path, ids: pa.Array) -> Path:
    users, times = [f"u{number}" for number in range(COUNT)], [1_600_000_000 + number for number in range(COUNT)]
    pq.write_table(pa.table({"user": users, "item": ids, "time": times}), path)
    return path


def text(path: Path, ids: list[str]) -> Path:
    rows = (f"u{number},{one},{1_600_000_000 + number}\n" for number, one in enumerate(ids))
    path.write_text("user,item,time\n" + "".join(rows))
    return path


def objects(path: Path, ids: list[object]) -> Path:
    rows = ({"user": f"u{number}", "item": one, "time": 1_600_000_000 + number} for number, one in enumerate(ids))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


NUMBERS = range(COUNT)
REFUSED = {
    "float32": (lambda path: parquet(path, pa.array([2.0**24 + n for n in NUMBERS], pa.float32())), "lost digits"),
    "float64": (lambda path: parquet(path, pa.array([2.0**60 + 999 * n for n in NUMBERS])), "lost digits"),
    "a spreadsheet's": (lambda path: text(path, [f"{1e12 + 1e7 * n:.5E}" for n in NUMBERS]), "lost digits"),
    "structs": (lambda path: parquet(path, pa.array([{"id": n} for n in NUMBERS])), "'item' holds STRUCT"),
    "lists": (lambda path: parquet(path, pa.array([[n] for n in NUMBERS])), "'item' holds BIGINT"),
    "lists in JSON": (lambda path: objects(path, [[n] for n in NUMBERS]), "lists or objects such as '[0]'"),
    "objects in JSON": (lambda path: objects(path, [{"id": n} for n in NUMBERS]), "lists or objects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_id_is_refused(case: str, tmp_path: Path) -> None:
    write, told = REFUSED[case]
    with pytest.raises(DataError, match="item") as caught:
        items_read(write(tmp_path / "log"), tmp_path, [])
    assert told in str(caught.value)


LARGE = 98_765_432_109_876_543_210  # more than 64 bits
READ = {
    "decimals": (
        lambda path: parquet(path, pa.array([*NUMBERS], pa.decimal128(20, 2))),
        [str(n) for n in NUMBERS],
    ),
    "whole floats": (lambda path: parquet(path, pa.array([float(n) for n in NUMBERS])), [str(n) for n in NUMBERS]),
    "large": (lambda path: objects(path, [LARGE + n for n in NUMBERS]), [str(LARGE + n) for n in NUMBERS]),
    "formulas": (lambda path: text(path, [f'="00{n}"' for n in NUMBERS]), [f"00{n}" for n in NUMBERS]),
    "words with e": (lambda path: text(path, [f"1e{n}" for n in NUMBERS]), [f"1e{n}" for n in NUMBERS]),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_an_id_is_read_without_a_warning(case: str, tmp_path: Path) -> None:
    write, ids = READ[case]
    warnings: list[str] = []
    assert items_read(write(tmp_path / "log"), tmp_path, warnings) == ids
    assert not warnings


def test_a_few_are_warned_of(tmp_path: Path) -> None:
    warnings: list[str] = []
    items_read(text(tmp_path / "log", ["1.23457E+12", *(f"p{n}" for n in range(COUNT - 1))]), tmp_path, warnings)
    (told,) = warnings
    assert "items: 1 of 12 ids are numbers such as '1.23457E+12'" in told
