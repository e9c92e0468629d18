"""Recipes: every shipped one on a small copy of its data set, one's own, and what is told of mistakes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import recipe_sources as sources

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import image_urls
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.__main__ import main
from missrec_pl.prepare.recipes.recipe import read_recipe, shipped

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')

SOURCES: dict[str, tuple[Callable[[Path], None], str]] = {
    "steam": (sources.steam, "Red Shoe. Shoes Red."),
    "yelp": (sources.yelp, "Red Shoe. Shoes Red. Rome."),
    "gowalla": (sources.gowalla, ""),
    "lastfm": (sources.lastfm, "Red Shoe."),
    "lastfm tags": (sources.lastfm_tags, "Red Shoe."),
    "mind": (sources.mind, "Red Shoe. news. local. About it."),
    "hm": (sources.hm, "Red Shoe. Thing. Thing. Thing. Thing. Thing."),
    "pixelrec": (sources.pixelrec, "Red Shoe. tag. about it."),
    "microlens": (sources.microlens, "Red Shoe."),
    "retailrocket": (sources.retailrocket, "111."),
    "huggingface": (sources.huggingface, "Red Shoe."),
    "movielens-100k": (sources.movielens_100k, "Red Shoe é. Action Animation."),
    "movielens-100k of RecBole": (sources.recbole, "Red Shoe. Shoes Red."),
    "movielens-1m": (sources.movielens_1m, "Red Shoe é. Shoes Red."),
    **{
        f"amazon{year}-{name}": (partial(sources.amazon, year=year, stem=stem), "Red Shoe. Shoes Red.")
        for year, name, stem in (
            ("2014", "office", "Office_Products"),
            ("2018", "scientific", "Industrial_and_Scientific"),
            ("2023", "arts", "Arts_Crafts_and_Sewing"),
        )
    },
}


def prepare(source: Path, out: Path, recipe: str, *flags: object) -> int:
    return main(["interactions", str(source), str(out), "--recipe", recipe, "--threads", "1", *map(str, flags)])


@pytest.mark.parametrize("name", SOURCES)
def test_every_shipped_recipe_reads_its_data_set(name: str, tmp_path: Path) -> None:
    write, text = SOURCES[name]
    write(folder := tmp_path / "raw")
    source = folder if folder.is_dir() else folder.with_suffix(".zip")
    assert prepare(source, tmp_path / "out", name.split(" ")[0], "--k-core", 1) == 0
    domain = Domain.open(tmp_path / "out", verify=True)
    assert domain.sequences.timestamps is not None
    ids, users = domain.raw_item_ids(), domain.raw_user_ids()
    days = name in ("steam", "hm")
    found = [
        (users[user], ids[item], time)
        for user in range(domain.num_users)
        for item, time in zip(
            domain.sequences.of(user).tolist(),
            domain.sequences.timestamps[domain.sequences.offsets[user] :].tolist(),
            strict=False,
        )
    ]
    assert len(found) == len(sources.LOG)
    for (user, item, time), (u, i, second) in zip(found, sources.LOG, strict=True):
        assert user.removeprefix("u") == u.removeprefix("u")
        assert item.removeprefix("01") == (sources.TITLES[i] if name == "lastfm" else i)
        moment = sources.START + second * (86_400 if days else 1)
        assert time == (moment // 86_400 * 86_400 if days else moment)
    assert domain.texts()[ids.index(found[0][1])] == text
    if name in ("hm", "pixelrec", "microlens"):
        assert all(domain.image_paths()[1:])
    if name == "lastfm tags":
        assert image_urls(domain.path)[0] == "http://pictures/11.jpg"


def test_all_recipes_are_tried_or_alike_and_each_tells_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    tried = {name.split(" ")[0] for name in SOURCES}
    assert {name for name in shipped() if not name.startswith("amazon")} <= tried
    assert {name.split("-")[0] for name in shipped() if name.startswith("amazon")} == {
        name.split("-")[0] for name in tried if name.startswith("amazon")
    }
    assert main(["recipes"]) == 0
    assert "steam  " in capsys.readouterr().out
    assert main(["recipes", "steam"]) == 0
    assert "product_id" in capsys.readouterr().out
    assert all(read_recipe(name).about for name in shipped())


def test_ones_own_recipe_and_what_the_command_line_overrides(tmp_path: Path) -> None:
    sources.retailrocket(tmp_path / "raw")
    text = (shipped()["retailrocket"][0]).read_text()
    (tmp_path / "mine.yaml").write_text(
        text.replace(
            "item: itemid\n  time", "item: itemid\n  where: {event: [view, transaction], itemid: '11'}\n  time"
        )
    )
    assert prepare(tmp_path / "raw", tmp_path / "out", str(tmp_path / "mine.yaml"), "--k-core", 1) == 0
    assert Domain.open(tmp_path / "out").raw_item_ids() == ["", "11"]
    flags = ("--k-core", 1, "--text", "categoryid", "--user", "event", "--repeats", "all")
    assert prepare(tmp_path / "raw", tmp_path / "other", "retailrocket", *flags) == 0
    assert Domain.open(tmp_path / "other").raw_user_ids() == ["view"]


def test_a_dry_run_shows_rows_and_filters_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.yelp(tmp_path / "raw")
    assert prepare(tmp_path / "raw", tmp_path / "out", "yelp", "--k-core", 2, "--dry-run") == 0
    printed = capsys.readouterr().out
    for told in (
        "u1, 11, 2017-07-14 02:40:00, 4.0",
        "item 11: Red Shoe. Shoes Red. Rome.",
        "2-core",
        "nothing was written",
    ):
        assert told in printed
    sources.microlens(tmp_path / "videos")
    assert prepare(tmp_path / "videos", tmp_path / "none" / "out", "microlens", "--k-core", 1, "--dry-run") == 0
    assert "3 of 3 items have one" in capsys.readouterr().out
    assert {entry.name for entry in tmp_path.iterdir()} == {"raw", "videos"}


MISTAKES = {
    "no such recipe": ("stem", None, "did you mean 'steam'?"),
    "no such file": ("mine.yaml", None, "no such file"),
    "another data set": ("yelp", None, "recipe yelp looks for yelp_academic_dataset_review.json*"),
    "unknown entry": ("mine.yaml", "interactions: {files: a.csv, usr: x}", "no entry 'usr'; did you mean 'user'?"),
    "unknown filter": ("mine.yaml", "interactions: {files: a.csv}\nfilters: {kcore: 3}", "did you mean 'k_core'?"),
    "no files": ("mine.yaml", "interactions: {user: a}", "the entry 'files' is missing"),
    "format": ("mine.yaml", "format: xml\ninteractions: {files: a}", "format 'xml'; choose one of"),
    "unit": ("mine.yaml", "interactions: {files: a, time_unit: h}", "time_unit 'h'; choose one of"),
    "no mapping": ("mine.yaml", "- a", "expected entries"),
    "a wrong value": ("mine.yaml", "interactions: {files: a, where: [b]}", "where has entries of its own"),
    "no column": ("mine.yaml", "interactions: {files: u.data, names: [a, b, c, d]}", "no column 'user'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_recipes_are_told(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text, told = MISTAKES[mistake]
    sources.movielens_100k(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    assert prepare(tmp_path / "raw", tmp_path / "out", name) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_source_is_said_by_format_or_recipe(tmp_path: Path) -> None:
    assert main(["interactions", str(tmp_path), str(tmp_path / "out")]) == 2
    with pytest.raises(ConfigError):
        read_recipe("nothing")
