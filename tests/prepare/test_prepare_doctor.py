"""``prepare doctor``: the page about any source names what it is and a command that reads it."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import recipe_sources as sources
from small_shop import titles, write_pictures, write_shop

from missrec_pl.prepare.__main__ import main

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')
START = sources.START


def page(capsys: pytest.CaptureFixture[str], source: Path) -> str:
    capsys.readouterr()
    assert main(["doctor", str(source)]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= 62
    return printed


def command_of(printed: str, out: Path) -> list[str]:
    line = next(line for line in printed.splitlines() if "missrec_pl.prepare interactions" in line)
    return [str(out) if word == "OUT" else word for word in shlex.split(line)[3:] if word != "--dry-run"]


def test_two_tables_are_told_apart_and_the_command_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "raw"
    rows = [(u, i, (START + s) * 1000, 5) for u, i, s in sources.random_log(200, 9, 6)] + [
        ("", "i1", START * 1000, 1)
    ]
    sources.table(folder / "orders.csv", ("customer", "sku", "bought_at", "stars"), rows)
    products = [(f"i{n}", f"Thing {n}", "Home", f"http://x/{n}.jpg") for n in range(5)]
    sources.table(folder / "products.csv", ("sku", "title", "category", "image"), products)
    printed = page(capsys, folder)
    for told in (
        "orders.csv: interactions, 201 rows",
        "products.csv: items, 5 rows",
        "201 interactions of 9 users with 6 items",
        "milliseconds, 2017-07-14",
        "1 rows have no customer; --skip-bad-rows",
        "83.3% of the items of orders.csv are in products.csv (sku)",
        "--repeats says which stay",
    ):
        assert told in printed
    assert main([*command_of(printed, tmp_path / "out"), "--skip-bad-rows", "--k-core", "1"]) == 0


def test_published_data_sets_are_known_by_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources.hm(tmp_path / "hm")
    sources.amazon(tmp_path / "amazon", "2018", "Industrial_and_Scientific")
    sources.movielens_1m(tmp_path / "ml-1m")
    for source, recipe in (("hm", "hm"), ("amazon", "amazon2018-scientific"), ("ml-1m.zip", "movielens-1m")):
        printed = page(capsys, tmp_path / source)
        assert f"--recipe {recipe} " in printed
        assert main([*command_of(printed, tmp_path / f"{recipe}.out"), "--k-core", "1"]) == 0


def test_what_is_no_raw_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", titles(12))
    assert "a domain folder, made already" in page(capsys, shop)
    assert "1 domain folders" in page(capsys, tmp_path)
    rows = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float16)
    rows[3] = np.nan
    np.save(tmp_path / "vectors.npy", rows)
    printed = page(capsys, tmp_path / "vectors.npy")
    for told in ("float16 (12, 4)", "1 rows hold NaN", "features DOMAIN --from"):
        assert told in printed
    write_pictures(tmp_path / "photos", ["a.jpg", "b.JPG"])
    (tmp_path / "photos" / "c.png").write_bytes(b"no")
    printed = page(capsys, tmp_path / "photos")
    for told in (
        "3 pictures (1 .jpg, 1 .JPG, 1 .png)",
        "of 3 that were decoded 2 are sound",
        "1 broken",
        "--images",
    ):
        assert told in printed


def test_ratings_without_names_and_files_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.amazon(tmp_path / "raw", "2014", "Office_Products")
    (log,) = (tmp_path / "raw").glob("*.csv")
    log.write_text("".join(f"A{u.upper()}XYZQWERT,B0{i}ABCDEF,5.0,{START + s}\n" for u, i, s in sources.LOG))
    assert "four columns as Amazon's ratings of 2014" in page(capsys, log)
    (tmp_path / "page.csv").write_text("<html><body>404</body></html>")
    assert "a web page" in page(capsys, tmp_path / "page.csv")
    assert main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
