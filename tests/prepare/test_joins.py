"""How ids are matched: what is warned of, what is refused, and which spelling would match more."""

import json
from pathlib import Path

import pytest
import raw_files

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import DataError
from missrec_pl.prepare.__main__ import main

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_lists

SIDES = Sides("items", "orders.csv", "products.csv")


def compare(left: list[str], right: list[str], **more: bool) -> tuple[JoinReport, list[str]]:
    told: list[str] = []
    return check_lists(left, right, SIDES, warn=told.append, **more), told


SPELLINGS = {
    "zeros": (["00042", "00700", "0001"], ["42", "700", "1"]),
    "point-zero": (["1.0", "2.0", "7,0"], ["1", "2", "7"]),
    "case": (["AB-1", "Cd-2", "é3"], ["ab-1", "cd-2", "É3"]),
    "unicode": (["caf\u00e9", "na\u00efve"], ["cafe\u0301", "nai\u0308ve"]),
    "spaces": (["A 1", "B 22"], ["A1", "B22"]),
    "marks": (["AB-104", "AB_105"], ["AB104", "AB105"]),
    "digits": (["item_7", "item_81"], ["7", "81"]),
    "zeros,case": (["A1", "B2", "0017", "0018"], ["a1", "b2", "17", "18"]),
}


@pytest.mark.parametrize("form", SPELLINGS)
def test_the_spelling_that_would_match_is_named(form: str) -> None:
    left, right = SPELLINGS[form]
    with pytest.raises(DataError, match="are not in products") as caught:
        compare(left, right)
    assert f"--id-form {form} would match {len(left)} more" in str(caught.value) or set(form.split(",")) == set(
        str(caught.value).split("--id-form ")[1].split()[0].split(",")
    )


def test_shares_decide_between_silence_warning_and_refusal() -> None:
    ids = [f"p{number}" for number in range(1000)]
    report, told = compare(ids, ids[9:] + [f"more{number}" for number in range(5000)])
    assert (report.matched, told) == (991, [])
    report, told = compare(ids, ids[10:])
    assert len(told) == 1
    assert "10 of 1,000 items" in told[0]
    assert report.unmatched == sorted(ids[:10])
    assert compare(ids, ids[499:])[0].matched == 501
    with pytest.raises(DataError, match="--allow-unmatched"):
        compare(ids, ids[500:])
    report, told = compare(ids, ids[500:], allowed=True)
    assert report.matched == 500
    assert len(told) == 1


def test_other_kinds_of_ids_are_guessed() -> None:
    with pytest.raises(DataError, match="numbers against ASINs: another column, another edition"):
        compare(["12", "345"], ["B00AAAAAA1", "B00AAAAAA2"])


@pytest.fixture
def orders(tmp_path: Path) -> tuple[Path, Path]:
    """Two users and three items, whose numbers the metadata write without zeros, beside a code of their own."""
    items = list(enumerate(("01", "02", "3")))
    rows = [f"{user},{item},{1600000000 + n}" for user in ("9001", "9002") for n, item in items]
    log = raw_files.write_lines(tmp_path / "orders.csv", ["user,item,time", *rows])
    lines = ["item,code,title", *(f"{n},0{n}-x,Thing {n}" for n in (1, 2, 3))]
    return log, raw_files.write_lines(tmp_path / "products.csv", lines)


def prepare(*arguments: object) -> int:
    options = ("--format", "table", "--text", "title", "--k-core", "1", "--threads", "1")
    return main(["interactions", *map(str, arguments), *options])


def test_a_form_joins_and_the_report_is_kept(
    orders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, metadata = orders
    assert prepare(log, tmp_path / "no", "--metadata", metadata) == 2
    error = capsys.readouterr().err
    assert "2 of 3 items of orders.csv (66.7%) are not in products.csv, such as '01', '02'" in error
    assert prepare(log, tmp_path / "some", "--metadata", metadata, "--allow-unmatched") == 0
    assert Domain.open(tmp_path / "some").num_items == 1
    assert prepare(log, tmp_path / "all", "--metadata", metadata, "--id-form", "zeros") == 0
    assert Domain.open(tmp_path / "all").raw_item_ids()[1:] == ["1", "2", "3"]
    told = json.loads((tmp_path / "some" / "domain.json").read_text())["created_by"]["joins"]
    assert told[0]["unmatched"] == ["01", "02"]
    assert (told[0]["id_form"], told[0]["gain"]) == ("zeros", 2)
    capsys.readouterr()
    assert main(["info", str(tmp_path / "some")]) == 0
    assert "3 items of orders.csv: 1 in products.csv, which has 3; --id-form zeros" in capsys.readouterr().out


def test_another_column_is_guessed(
    orders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, metadata = orders
    assert prepare(log, tmp_path / "b", "--metadata", metadata, "--item-id", "title") == 2
    assert "1 are found in its column 'item': --item-id item?" in capsys.readouterr().err


def test_users_in_two_spellings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{user},p{n},{1600000000 + n}" for n, user in enumerate(("7", "7.0", "8", "8.0"))]
    log = raw_files.write_lines(tmp_path / "orders.csv", ["user,item,time", *rows])
    assert prepare(log, tmp_path / "a", "--keep-items-without-text") == 0
    assert "users: 2 of 4 ids may be others in another spelling" in capsys.readouterr().out
    assert prepare(log, tmp_path / "b", "--keep-items-without-text", "--id-form", "point-zero") == 0
    assert Domain.open(tmp_path / "b").raw_user_ids() == ["7", "8"]
    assert "another spelling" not in capsys.readouterr().out
