"""Filters of ``prepare interactions``: what stays equals a plain reference, and every step is told."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
import recipe_sources as sources

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

Row = tuple[str, str, int]
LOG = sorted(
    {(u, s): (u, i, s) for u, i, s in sources.random_log(600, 25, 12)}.values(), key=lambda row: (row[0], row[2])
)
START = sources.START


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    sources.table(path, ("user", "item", "time", "rating"), [(u, i, START + s, s % 5 + 1) for u, i, s in LOG])
    return path


def kept(log: Path, out: Path, *flags: object) -> list[Row]:
    fixed = ("--format", "table", "--rating", "rating", "--keep-items-without-text", "--threads", 1, "--overwrite")
    assert main(["interactions", str(log), str(out), *map(str, (*fixed, *flags))]) == 0
    domain = Domain.open(out, verify=True)
    ids, users, times = domain.raw_item_ids(), domain.raw_user_ids(), domain.sequences.timestamps
    owners = [user for user in range(domain.num_users) for _ in domain.sequences.of(user)]
    rows = zip(owners, domain.sequences.items.tolist(), times.tolist(), strict=True)
    return [(users[user], ids[item], time - START) for user, item, time in rows]


def core(rows: list[Row], users: int, items: int) -> list[Row]:
    while True:
        of_users, of_items = Counter(row[0] for row in rows), Counter(row[1] for row in rows)
        left = [row for row in rows if of_users[row[0]] >= users and of_items[row[1]] >= items]
        if len(left) == len(rows):
            return left
        rows = left


def in_a_row(rows: list[Row]) -> list[Row]:
    return [row for before, row in zip([("", "", 0), *rows], rows, strict=False) if before[:2] != row[:2]]


def test_filters_keep_what_a_plain_reference_keeps(log: Path, tmp_path: Path) -> None:
    day = 86_400 - START % 86_400  # seconds until 2017-07-15
    for flags, expected in (
        (("--repeats", "all", "--k-core", 1), LOG),
        (("--repeats", "all", "--k-core-users", 22, "--k-core-items", 10, "--k-core", 1), core(LOG, 22, 10)),
        (("--repeats", "all", "--k-core", 1, "--min-rating", 3), [row for row in LOG if row[2] % 5 >= 2]),
        (("--repeats", "consecutive", "--k-core", 1), in_a_row(LOG)),
        (
            (
                "--repeats",
                "all",
                "--k-core",
                1,
                "--since",
                "2017-07-14T03:00:00",
                "--until",
                "2017-07-14T04:00:00Z",
            ),
            [row for row in LOG if 1200 <= row[2] <= 4800],
        ),
        (("--repeats", "all", "--k-core", 1, "--until", "2017-07-14"), [row for row in LOG if row[2] < day]),
    ):
        assert sorted(kept(log, tmp_path / "out", *flags)) == sorted(expected), flags


def test_a_sample_of_users_is_whole_stable_and_told(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--repeats", "all", "--k-core", 1, "--sample-users")
    seven = kept(log, tmp_path / "out", *flags, 7)
    users = {row[0] for row in seven}
    assert len(users) == 7
    assert sorted(seven) == sorted(row for row in LOG if row[0] in users)
    assert {row[0] for row in kept(log, tmp_path / "out", *flags, 5)} < users
    assert {row[0] for row in kept(log, tmp_path / "out", *flags, 7, "--seed", 1)} != users
    assert 2 <= len({row[0] for row in kept(log, tmp_path / "out", *flags, 0.4)}) <= 18
    lines = capsys.readouterr().out.splitlines()
    before, after = next((a, b) for a, b in itertools.pairwise(lines) if b.startswith("7 of the users"))
    left_out = len(LOG) - len(seven)
    assert f"-{left_out} ({left_out / len(LOG):.1%})" in after
    assert f"{len(LOG)} interactions" in before
    assert f"{len(seven)} interactions" in after


def test_what_filters_did_is_kept(log: Path, tmp_path: Path) -> None:
    kept(log, tmp_path / "out", "--since", "2017-07-14", "--k-core", 3)
    steps = [step["name"] for step in Domain.open(tmp_path / "out").manifest.created_by["filters"]]
    assert steps[:3] == ["complete rows", "since 2017-07-14", "first interaction with an item"]
    assert steps[3].startswith("3-core")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--since", "yesterday"), "--since yesterday: give a day or moment"),
        (("--since", "2020-01-02", "--until", "2020-01-01"), "lies behind --until"),
        (("--sample-users", "0"), "--sample-users 0"),
        (("--sample-users", "1.5"), "--sample-users 1.5"),
        (("--k-core-items", "0"), "--k-core-items 0"),
        (("--since", "2030-01-01"), "no interaction survives the filters"),
    ],
)
def test_mistakes(
    flags: tuple[str, ...], told: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["interactions", str(log), str(tmp_path / "out"), "--format", "table", "--keep-items-without-text"]
    assert main([*command, *flags]) == 2
    assert told in capsys.readouterr().err
