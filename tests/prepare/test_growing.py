"""``prepare append`` and ``features --missing``: what a shop does every night."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import recipe_sources as sources

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main
from missrec_pl.prepare.encoders.base import Recipe

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

Row = tuple[str, str, int]
ROWS = sorted({(u, i): (u, i, s) for u, i, s in sources.random_log(160, 20, 15)}.values(), key=lambda row: row[2])
FLAGS = ("--format", "table", "--text", "title,category", "--threads", "1")


class Lengths:
    """Encodes a text by its length, and counts what it saw."""

    reads, dim, recipe = "texts", 2, Recipe("lengths@1")
    seen = 0

    def encode(self, values: Sequence[str]) -> np.ndarray:
        Lengths.seen += len(values)
        return np.array([[len(value), 1] for value in values], np.float32)


def write(folder: Path, rows: Sequence[Row], items: Sequence[str]) -> tuple[Path, Path]:
    log = [(u, i, sources.START + s) for u, i, s in rows]
    sources.table(folder / "log.csv", ("user", "item", "time"), log)
    entries = [(i, f"Thing number {i}", f"kind {len(i)}") for i in items]
    sources.table(folder / "items.csv", ("item", "title", "category"), entries)
    return folder / "log.csv", folder / "items.csv"


def make(folder: Path, rows: Sequence[Row] = ROWS, items: Sequence[str] | None = None) -> Path:
    known = sorted({i for _, i, _ in rows}) if items is None else items
    log, metadata = write(folder, rows, known)
    command = [
        "interactions",
        str(log),
        str(folder / "shop"),
        "--metadata",
        str(metadata),
        "--k-core",
        "1",
        *FLAGS,
    ]
    assert main(command) == 0
    return folder / "shop"


def append(shop: Path, folder: Path, rows: Sequence[Row], *flags: str, items: Sequence[str] = ()) -> int:
    log, metadata = write(folder, rows, items or sorted({i for _, i, _ in rows}))
    return main(["append", str(shop), str(log), "--metadata", str(metadata), *FLAGS, *flags])


def plain(path: Path) -> dict[str, list[tuple[str, int]]]:
    domain = Domain.open(path, verify=True)
    ids, offsets, times = domain.raw_item_ids(), domain.sequences.offsets, domain.sequences.timestamps
    assert times is not None
    return {
        raw: [
            (ids[item], time)
            for item, time in zip(
                domain.sequences.of(u).tolist(), times[offsets[u] : offsets[u + 1]].tolist(), strict=True
            )
        ]
        for u, raw in enumerate(domain.raw_user_ids())
    }


def test_night_after_night_is_what_one_run_makes_and_ids_stay(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    shop = make(tmp_path / "first", ROWS[:80])
    users, items = Domain.open(shop).raw_user_ids(), Domain.open(shop).raw_item_ids()
    for night, rows in enumerate((ROWS[60:110], ROWS[110:])):  # the first repeats twenty rows
        before = Domain.open(shop).fingerprint
        assert append(shop, tmp_path / f"night {night}", rows) == 0
        now = Domain.open(shop)
        assert now.raw_user_ids()[: len(users)] == users
        assert now.raw_item_ids()[: len(items)] == items
        assert now.manifest.created_by["grown_from"][-1]["fingerprint"] == before
    assert plain(shop) == plain(whole)
    grown, made = Domain.open(shop), Domain.open(whole)
    assert dict(zip(grown.raw_item_ids(), grown.texts(), strict=True)) == dict(
        zip(made.raw_item_ids(), made.texts(), strict=True)
    )
    assert grown.attributes() is not None
    story = grown.manifest.created_by["grown_from"]
    assert [one["interactions"] for one in story] == [80, 110]
    assert story[0]["created_by"]["program"] == "missrec_pl.prepare.interactions"


def test_features_stay_and_only_new_items_are_encoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    early = [row for row in ROWS if row[1] not in ("i3", "i7")]
    shop = make(tmp_path / "first", early)
    encode = ["features", str(shop), "--encoder", f"{__name__}:Lengths", "--modality", "text"]
    assert main(encode) == 0
    kept = np.array(Domain.open(shop).features("text"))
    late = [(u, i, s + 20_000) for u, i, s in ROWS if i in ("i3", "i7")]
    assert append(shop, tmp_path / "night", late) == 0
    assert "2 items are new" in (printed := capsys.readouterr().out)
    assert "features --missing" in printed
    domain = Domain.open(shop, verify=True)
    assert np.array_equal(domain.features("text")[: len(kept)], kept)
    assert domain.present("text").sum() == len(kept) - 1
    Lengths.seen = 0
    assert main([*encode, "--missing"]) == 0
    assert Lengths.seen == 2
    domain = Domain.open(shop, verify=True)
    assert np.array_equal(domain.features("text")[: len(kept)], kept)
    assert [len(text) for text in domain.texts()[1:]] == domain.features("text")[1:, 0].tolist()
    assert domain.info("text").made_by["found"] == {"there before": len(kept) - 1, "encoded": 2}
    other = [*encode[:3], f"{__name__}:Others", *encode[4:], "--missing"]
    assert append(shop, tmp_path / "next", [("u1", "i99", 40_000)]) == 0
    assert main(other) == 2
    assert "by lengths@1, these are by others@1" in capsys.readouterr().err


class Others(Lengths):
    """Another encoder."""

    recipe = Recipe("others@1")


def test_what_does_not_join_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = make(tmp_path / "first", ROWS[:80])
    user, item, second = ROWS[0]
    rows = [(user, item, second + 500), (user, "new", 1), ("newcomer", item, 2), (user, "bare", 3)]
    assert append(shop, tmp_path / "night", rows, items=["new"]) == 0
    printed = capsys.readouterr().out
    assert "1 interactions with items without text are left out" in printed
    assert "1 interactions are there already or repeat one" in printed
    assert "2 interactions, 1 users and 1 items are new" in printed
    assert append(shop, tmp_path / "night", rows, "--repeats", "all", items=["new"]) == 0
    assert "1 interactions, 0 users and 0 items are new" in capsys.readouterr().out
    assert append(shop, tmp_path / "night", rows, "--repeats", "all", items=["new"]) == 2
    assert "nothing is new" in capsys.readouterr().err


def test_known_ids_in_another_spelling_do_not_join_as_new_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = make(tmp_path / "first", ROWS[:80])
    night = [(user.upper(), item.upper(), second + 10**6) for user, item, second in ROWS[:20]]
    assert append(shop, tmp_path / "night", night) == 2
    said = capsys.readouterr().err
    assert "other capitals? --id-form case would match" in said
    assert "new ones would join as others" in said
    assert append(shop, tmp_path / "night", night, "--repeats", "all", "--id-form", "case") == 0
    assert ", 0 users and 0 items are new" in capsys.readouterr().out
    joins = Domain.open(shop, verify=True).manifest.created_by["joins"]
    assert [(one["ids"], one["left_ids"] - one["matched"]) for one in joins] == [
        ("users", 0),
        ("items", 0),
        ("items", 0),
    ]


def test_new_items_without_metadata_are_a_join_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = make(tmp_path / "first", ROWS[:80])
    rows = [("u1", f"new {number}", number) for number in range(9)]
    assert append(shop, tmp_path / "night", rows, items=["new 0", "else 1"]) == 2
    said = capsys.readouterr().err
    assert "8 of 9 items of log.csv (88.9%) are not in items.csv and shop" in said
    assert append(shop, tmp_path / "night", rows, "--allow-unmatched", items=["new 0", "else 1"]) == 0


def test_a_failure_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = make(tmp_path / "first", ROWS[:80])
    before = json.loads((shop / "domain.json").read_text())
    assert append(shop, tmp_path / "night", [("u1", "", 5)]) == 2
    assert "no item" in capsys.readouterr().err
    assert main(["append", str(shop), str(tmp_path / "nowhere.csv"), "--keep-items-without-text", *FLAGS]) == 2
    assert json.loads((shop / "domain.json").read_text()) == before
    assert [entry.name for entry in shop.parent.iterdir() if entry.name.startswith(".")] == []
    Domain.open(shop, verify=True)
