"""``prepare interactions``: every format, every filter, every mistake."""

import gzip
import hashlib
import json
from pathlib import Path
from time import tzset

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import raw_files

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')


def prepare(*arguments: object) -> int:
    return main(["interactions", *map(str, arguments), "--threads", "1"])


def as_words(domain: Domain) -> dict[str, list[str]]:
    ids = domain.raw_item_ids()
    users = domain.raw_user_ids()
    return {user: [ids[item] for item in domain.sequences.of(number)] for number, user in enumerate(users)}


FIRST_TIMES = {"ann": ["B1", "B2"], "bob": ["B1", "B2"], "cat": ["B2", "B1"]}


@pytest.mark.parametrize("edition", ["amazon2014", "amazon2018", "amazon2023"])
@pytest.mark.parametrize("kind", ["ratings.csv", "reviews.json", "reviews.jsonl.gz"])
def test_amazon(edition: str, kind: str, tmp_path: Path) -> None:
    write = raw_files.amazon_ratings if kind.endswith("csv") else raw_files.amazon_reviews
    source = write(tmp_path / kind, edition)
    metadata = raw_files.amazon_metadata(tmp_path / "meta.json.gz", edition)
    out = tmp_path / "out"
    assert prepare(source, out, "--format", edition, "--metadata", metadata, "--k-core", 2) == 0
    domain = Domain.open(out, verify=True)
    assert as_words(domain) == FIRST_TIMES
    assert domain.texts()[1:] == ["Glue & Tape. Home Craft. Gorilla.", "Shoe Polish. Home Shoes Care."]
    assert domain.attributes().to_pylist() == [["Home", "Craft"], ["Home", "Shoes", "Care"]]
    assert domain.sequences.timestamps is not None
    assert domain.sequences.timestamps.tolist() == [50, 100, 10, 20, 5, 6]
    assert pq.read_table(out / "items.parquet")["image_url"][0].as_py() == "http://x/1"


def test_movielens_with_pictures_on_disk(tmp_path: Path) -> None:
    source = raw_files.movielens(tmp_path / "ml")
    (tmp_path / "posters").mkdir()
    (tmp_path / "posters" / "B2.png").write_bytes(b"x")
    pictures = ("--images", tmp_path / "posters", "--image-name", "{id}.png")
    assert prepare(source, tmp_path / "out", "--format", "movielens", "--k-core", 1, *pictures) == 0
    domain = Domain.open(tmp_path / "out", verify=True)
    assert as_words(domain) == FIRST_TIMES
    assert domain.texts()[1:] == ["Glue, the film. Home Craft.", "Shoes."]
    assert domain.attributes().to_pylist() == [["Home", "Craft"], []]
    assert domain.image_paths() == ["", "", "../posters/B2.png"]
    assert domain.modalities == {}


def test_atomic_files(tmp_path: Path) -> None:
    source = raw_files.atomic(tmp_path / "shop")
    assert prepare(source, tmp_path / "out", "--format", "atomic", "--k-core", 2) == 0
    domain = Domain.open(tmp_path / "out", verify=True)
    assert as_words(domain) == FIRST_TIMES
    assert domain.texts()[1:] == ["Glue strong. Home, Craft.", "Shoes. Home."]
    assert prepare(source, tmp_path / "titles", "--format", "atomic", "--k-core", 2, "--text", "title") == 0
    assert Domain.open(tmp_path / "titles").texts()[1:] == ["Glue strong.", "Shoes."]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_own_table(kind: str, tmp_path: Path) -> None:
    moments = [f"2020-01-01 00:{time // 60:02}:{time % 60:02}" for *_, time in raw_files.ROWS]
    columns = {
        "customer": [row[0] for row in raw_files.ROWS],
        "sku": [row[1] for row in raw_files.ROWS],
        "bought at": moments,
    }
    source, metadata = tmp_path / f"orders.{kind}", tmp_path / "products.csv"
    if kind == "csv":
        lines = [",".join(row) for row in zip(*columns.values(), strict=True)]
        raw_files.write_lines(source, [",".join(columns), *lines])
    else:
        columns["bought at"] = np.array([moment.replace(" ", "T") for moment in moments], "datetime64[us]")
        pq.write_table(pa.table(columns), source)
    raw_files.write_lines(metadata, ["sku,what,photo", '"B1","Glue, strong",http://x/1', "B2,Shoes,"])
    named = (
        "--user",
        "customer",
        "--item",
        "sku",
        "--time",
        "bought at",
        "--text",
        "what",
        "--image-url",
        "photo",
    )
    arguments = ("--format", "table", "--metadata", metadata, "--k-core", 2, *named)
    assert prepare(source, tmp_path / "out", *arguments) == 0
    domain = Domain.open(tmp_path / "out", verify=True)
    assert as_words(domain) == FIRST_TIMES
    assert domain.sequences.timestamps is not None
    assert domain.sequences.timestamps[0] == 1577836800 + 50
    assert domain.texts()[1] == "Glue, strong."


def test_times_are_the_same_wherever_the_machine_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two moments around the end of New York's summer time, which its clocks show in the other order."""
    moments = np.array(["2020-11-01T05:50", "2020-11-01T06:10"], "datetime64[s]")
    rows = {"user": ["ann"] * 6, "item": ["B1", "B2", "B3", "B4", "B5", "B6"]}
    sources = [raw_files.write_lines(tmp_path / "offsets.csv", ["user,item,time", *OFFSETS])]
    for unit, zone in (("us", "Europe/Berlin"), ("ns", "UTC")):
        times = pa.array(np.tile(moments, 3)).cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))
        sources.append(tmp_path / f"{unit}.parquet")
        pq.write_table(pa.table({**rows, "time": times}), sources[-1])
    monkeypatch.setenv("TZ", "America/New_York")
    tzset()
    try:
        for source in sources:
            out = tmp_path / source.stem
            assert prepare(source, out, "--format", "table", "--keep-items-without-text", "--k-core", 1) == 0
            found = Domain.open(out).sequences.timestamps
            assert found is not None
            assert found.tolist() == [1604209800] * 3 + [1604211000] * 3, source
    finally:
        monkeypatch.undo()
        tzset()


OFFSETS = [
    "ann,B1,2020-11-01T05:50:00Z",
    "ann,B2,2020-11-01 06:10:00",
    "ann,B3,2020-11-01T06:50:00+01:00",
    "ann,B4,2020-11-01T02:10:00-0400",
    "ann,B5,1604209800",
    "ann,B6,1604211000.5",
]


def test_fields_that_say_nothing_are_no_text_and_lists_in_cells_are_lists(tmp_path: Path) -> None:
    source = raw_files.write_lines(tmp_path / "r.csv", ["user,item,time", *(f"ann,B{n},{n}" for n in range(6))])
    cells = ["Glue", "&nbsp;", "<br>", "!?", "null", "[7]"]
    lines = [f'B{number},{cell},"[""Home"", ""<i>Craft</i>""]"' for number, cell in enumerate(cells)]
    metadata = raw_files.write_lines(tmp_path / "m.csv", ["item,title,classes", *lines])
    common = (source, "--format", "table", "--metadata", metadata, "--k-core", 1, "--text")
    assert prepare(*common[:1], tmp_path / "titles", *common[1:], "title") == 0
    assert Domain.open(tmp_path / "titles").texts()[1:] == ["Glue.", "7."]
    assert prepare(*common[:1], tmp_path / "both", *common[1:], "title,classes") == 0
    assert Domain.open(tmp_path / "both").texts()[1:3] == ["Glue. Home Craft.", "Home Craft."]


def test_an_index_column_without_a_name_does_no_harm(tmp_path: Path) -> None:
    source = raw_files.write_lines(tmp_path / "orders.csv", [",user,item,time", "0,ann,B1,1", "1,ann,B2,2"])
    assert prepare(source, tmp_path / "out", "--format", "table", "--keep-items-without-text", "--k-core", 1) == 0
    assert as_words(Domain.open(tmp_path / "out")) == {"ann": ["B1", "B2"]}


def test_repeats_and_ratings(tmp_path: Path) -> None:
    source = raw_files.movielens(tmp_path / "ml")
    common = ("--format", "movielens", "--k-core", 1)
    assert prepare(source, tmp_path / "last", *common, "--repeats", "last") == 0
    assert as_words(Domain.open(tmp_path / "last"))["ann"] == ["B2", "B1"]
    assert prepare(source, tmp_path / "all", *common, "--repeats", "all") == 0
    assert as_words(Domain.open(tmp_path / "all"))["ann"] == ["B1", "B2", "B1"]
    assert prepare(source, tmp_path / "liked", *common, "--min-rating", 4) == 0
    assert as_words(Domain.open(tmp_path / "liked")) == {"ann": ["B2", "B1"], "cat": ["B2", "B1"]}
    assert prepare(source, tmp_path / "bare", *common, "--keep-items-without-text") == 0
    assert as_words(Domain.open(tmp_path / "bare"))["bob"] == ["B1", "B2", "B9"]
    assert Domain.open(tmp_path / "bare").texts()[3] == ""


def plain_reference(rows: list[raw_files.Row], k: int) -> dict[str, list[str]]:
    """The same filters and order, row by row in plain Python."""
    first: dict[tuple[str, str], int] = {}
    for user, item, _, time in rows:
        first[user, item] = min(time, first.get((user, item), time))
    pairs = dict(first)
    while True:
        users, items = {}, {}
        for user, item in pairs:
            users[user], items[item] = users.get(user, 0) + 1, items.get(item, 0) + 1
        left = {pair: time for pair, time in pairs.items() if users[pair[0]] >= k and items[pair[1]] >= k}
        if len(left) == len(pairs):
            break
        pairs = left

    def order(pair: tuple[str, str]) -> tuple[int, int, str]:
        digest = hashlib.md5("\0".join(pair).encode(), usedforsecurity=False).digest()
        return pairs[pair], int.from_bytes(digest[8:], "little"), pair[1]

    sequences: dict[str, list[str]] = {}
    for user, item in sorted(pairs, key=order):
        sequences.setdefault(user, []).append(item)
    return sequences


@pytest.mark.parametrize("threads", [1, 2])
def test_core_and_order_equal_a_plain_reference(threads: int, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    count = 20_000
    users = random.zipf(1.3, count) % 1500
    items = random.zipf(1.2, count) % 700
    days = random.integers(0, 40, count) * 86_400  # many interactions of one user on one day
    rows = [(f"u{u}", f"i{i}", 3.0, int(t)) for u, i, t in zip(users, items, days, strict=True)]
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014", rows)
    arguments = ["--format", "amazon2014", "--keep-items-without-text", "--threads", str(threads)]
    assert main(["interactions", str(source), str(tmp_path / "out"), *arguments]) == 0
    domain = Domain.open(tmp_path / "out", verify=True)
    expected = plain_reference(rows, 5)
    assert 20 < len(expected) < 1500
    assert as_words(domain) == expected
    steps = domain.manifest.created_by["filters"]
    assert steps[0]["interactions"] == count
    assert steps[-1] == {
        "name": steps[-1]["name"],
        "interactions": sum(map(len, expected.values())),
        "users": len(expected),
        "items": len({item for sequence in expected.values() for item in sequence}),
    }


def test_source_order_and_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = raw_files.movielens(tmp_path / "a")
    backward = raw_files.movielens(tmp_path / "b", raw_files.ROWS[::-1])
    common = ("--format", "movielens", "--k-core", 1)
    assert prepare(forward, tmp_path / "one", *common) == 0
    monkeypatch.setattr("missrec_pl.prepare.interactions.conversion._BATCH", 2)
    assert prepare(backward, tmp_path / "two", *common) == 0
    digests = [Domain.open(tmp_path / name).manifest.sha256 for name in ("one", "two")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{'Shoes', 'Home'}", None),
        ("b'Craft'", None),
        ("1e999", "Out of range float"),
        ("2 + 1j", "a complex is no value of a product"),
        ("...", "a ellipsis is no value of a product"),
    ],
)
def test_python_literals_without_a_json_form(
    value: str, told: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014")
    metadata = tmp_path / "meta.json"
    metadata.write_text("".join(f"{{'asin': 'B{n}', 'title': 'Glue', 'brand': {value}}}\n" for n in (1, 2)))
    arguments = ["--format", "amazon2014", "--metadata", str(metadata), "--k-core", "1"]
    code = main(["interactions", str(source), str(tmp_path / "out"), *arguments])
    err = capsys.readouterr().err
    assert (code == 0) == (told is None), err
    if told is not None:
        assert f"meta.json:1: {told}" in err
        assert not (tmp_path / "out").exists()


MISTAKES = {
    "no metadata": (("--format", "amazon2018"), "without --metadata"),
    "nothing survives": (
        ("--format", "amazon2014", "--keep-items-without-text", "--k-core", "9"),
        "complete rows: 8",
    ),
    "k of zero": (("--format", "amazon2014", "--keep-items-without-text", "--k-core", "0"), "--k-core 0"),
    "memory": (("--format", "amazon2014", "--keep-items-without-text", "--memory", "lots"), "--memory lots"),
    "columns": (("--format", "table", "--keep-items-without-text"), "--user"),
    "metadata of another format": (("--format", "amazon2018", "--metadata", "{csv}"), "metadata has to be"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014")
    arguments, expected = MISTAKES[case]
    given = [str(source) if argument == "{csv}" else argument for argument in arguments]
    assert prepare(source, tmp_path / "out", *given) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv"]


DAMAGES = {
    "a row too short": ("r.csv", b"ann,B1,5.0,1\nann,B2\n", "r.csv"),
    "no columns": ("r.csv", b"", "is empty"),
    "two columns": ("r.csv", b"ann,B1\n", "expected user, item, rating, time"),
    "a time in words": ("r.csv", b"ann,B1,5.0,1\nann,B2,5.0,noon\n", "= ('ann', 'B2', 'noon'); times are seconds"),
    "two units": ("r.csv", b"ann,B1,5.0,1577836800\nann,B2,5.0,1577836800000\n", "'time': times in mixed units"),
    "no user": ("r.csv", b"ann,B1,5.0,1\n,B2,5.0,2\n", "1 rows have no user"),
    "broken JSON": ("r.json", b'{"reviewerID": "a", "asin": "b"\n{oops}\n', "Malformed JSON"),
    "half a gzip": ("r.json.gz", b"\x1f\x8b\x08\x00half of it", "r.json.gz"),
    "text called gzip": ("r.json.gz", b"not compressed", "expected user, item, rating, time, found 2 columns"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_files_are_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, expected = DAMAGES[case]
    (tmp_path / name).write_bytes(content)
    arguments = ("--format", "amazon2014", "--keep-items-without-text", "--k-core", 1)
    assert prepare(tmp_path / name, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    bad = ["x", "nan", "1e30", "0", "-1", "99999999999999999999", "31/31/2020"]
    lines = ["ann,B1,5.0,1577836800", ",B2,5.0,1577836900", *(f"bob,B1,4.0,{time}" for time in bad)]
    source = raw_files.write_lines(tmp_path / "r.csv", lines)
    arguments = ("--format", "amazon2014", "--keep-items-without-text", "--k-core", 1, "--skip-bad-rows")
    assert prepare(source, tmp_path / "out", *arguments) == 0
    assert as_words(Domain.open(tmp_path / "out")) == {"ann": ["B1"]}


def test_a_bad_line_of_2014_metadata_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014")
    metadata = tmp_path / "meta.json.gz"
    metadata.write_bytes(gzip.compress(b"{'asin': 'B1', 'title': 'x'}\n{'asin': open('f')}\n"))
    assert prepare(source, tmp_path / "out", "--format", "amazon2014", "--metadata", metadata) == 2
    assert "meta.json.gz:2: neither JSON nor a Python literal" in capsys.readouterr().err


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


METADATA = {
    "cut off": (
        "m.json.gz",
        half(gzip.compress(b"{'asin': 'B1'}\n" * 3)),
        "m.json.gz: cannot be read beyond line 0",
    ),
    "damaged": ("m.json.gz", gzip.compress(b"x")[:10] + b"\xff" * 9, "m.json.gz: cannot be read beyond line 0"),
    "Latin-1": (
        "m.json",
        b"{'asin': 'B1'}\n" * 999 + b"{'asin': 'Caf\xe9'}\n",
        "m.json:1000: not UTF-8 (byte 0xe9",
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_damaged_metadata_of_2014_is_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014")
    name, content, expected = METADATA[case]
    (tmp_path / name).write_bytes(content)
    assert prepare(source, tmp_path / "out", "--format", "amazon2014", "--metadata", tmp_path / name) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["orders.csv", "orders.parquet"])
def test_two_columns_of_one_name_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, columns = tmp_path / name, {"user": ["ann"], "ID": ["B1"], "time": [1], "id": ["B2"]}
    if name.endswith("csv"):
        raw_files.write_lines(source, [",".join(columns), "ann,B1,1,B2"])
    else:
        pq.write_table(pa.table(columns), source)
    arguments = ("--format", "table", "--item", "id", "--keep-items-without-text")
    assert prepare(source, tmp_path / "out", *arguments) == 2
    where = f"{source}:1" if name.endswith("csv") else source
    assert f"error: {where}: several columns are called 'id'" in capsys.readouterr().err


def test_too_little_memory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"user {number}", f"item {number}", 5.0, number) for number in range(20_000)]
    source = raw_files.amazon_ratings(tmp_path / "r.csv", "amazon2014", rows)
    arguments = ("--format", "amazon2014", "--keep-items-without-text", "--memory", "1MB")
    assert prepare(source, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert f"--memory 1MB: raise it, or free disk beside {tmp_path / 'out'}" in error
    assert error.count("\n") == 1


def test_what_made_the_folder_is_written_down(tmp_path: Path) -> None:
    source = raw_files.movielens(tmp_path / "ml")
    assert prepare(source, tmp_path / "out", "--format", "movielens", "--k-core", 2) == 0
    told = json.loads((tmp_path / "out" / "domain.json").read_text())["created_by"]
    assert told["format"] == "movielens"
    assert told["options"]["k_core"] == 2
    assert [step["items"] for step in told["filters"]] == [3, 2, 2, 2]
    assert "date" in told
