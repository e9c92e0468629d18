"""``prepare features --encoder module:Class``: encoders that are no part of the package."""

import sys
from pathlib import Path

import numpy as np
import pytest
from small_shop import titles, write_pictures, write_shop

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main

MODULE = '''
import os

import numpy as np

from missrec_pl.prepare.encoders.base import Recipe, TextVectors
from missrec_pl.prepare.encoders.pixels import Preprocessing

SOUNDS = "a sound"


class Sounds:
    """Every third item has no sound, item 5's is broken."""

    reads, dim = "raw_ids", 4

    def __init__(self, model="small", device="?", precision="?"):
        self.recipe = Recipe(f"sounds-{model}@1", model, options={"device": device, "precision": precision})

    def encode(self, values):
        numbers = np.array([int(value.split()[1]) for value in values])
        rows = np.random.default_rng(0).normal(size=(500, self.dim))[numbers]
        rows[numbers % 3 == 0] = 0
        rows[numbers == 5] = np.nan
        return rows


class Lengths:
    reads, dim, recipe = "texts", 2, Recipe("lengths@1")

    def encode(self, values):
        return np.array([[len(value), len(value.split())] for value in values])


class Sizes(Lengths):
    reads = "image_paths"

    def encode(self, values):
        return np.array([[os.path.getsize(value), 1] for value in values])


class Words:
    text_dim, text_recipe = 3, Recipe("words@1")

    def encode_texts(self, texts):
        rows = np.array([[len(text), text.count("o"), 1] for text in texts], np.float32)
        return TextVectors(rows, np.array([len(text) > 20 for text in texts]))


class Colours:
    image_dim, image_recipe = 3, Recipe("colours@1")
    preprocessing = Preprocessing(16, 16, (0, 0, 0), (1, 1, 1))

    def encode_images(self, pixels):
        return pixels.mean(axis=(1, 2))


class Both(Words, Colours):
    pass


class NoRecipe:
    reads, dim = "texts", 2

    def encode(self, values):
        return np.ones((len(values), 2))


class StringRecipe(NoRecipe):
    recipe = "mine"


class WrongReads(Lengths):
    reads = "sounds"


class WrongShape(Lengths):
    dim = 5


class NeedsMore(Lengths):
    def __init__(self, folder):
        pass
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outside" / "mypkg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "encoders.py").write_text(MODULE)
    (package / "broken.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path / "outside")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        monkeypatch.delitem(sys.modules, name)


def features(shop: Path, encoder: str, *arguments: object) -> int:
    named = encoder if ":" in encoder else f"mypkg.encoders:{encoder}"
    return main(["features", str(shop), "--encoder", named, *map(str, arguments), "--workers", "1"])


def test_a_new_modality_from_raw_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", titles(40))
    assert features(shop, "Words") == 0
    assert features(shop, "Sounds", "--modality", "audio", "--model", "large") == 0
    assert "audio by sounds-large@1: 26 encoded, 13 none known, 1 no finite vector" in capsys.readouterr().out
    domain = Domain.open(shop, verify=True)
    assert list(domain.modalities) == ["text", "audio"]
    there = np.array([number > 0 and number % 3 > 0 and number != 5 for number in range(41)])
    np.testing.assert_array_equal(domain.present("audio"), there)
    np.testing.assert_array_equal(
        domain.features("audio")[there],
        np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)[:41][there],
    )
    made = domain.info("audio").made_by
    assert made["model"] == "large"
    assert (made["options"]["device"], made["options"]["precision"]) in (("cpu", "fp32"), ("cuda", "fp16"))
    assert main(["check", str(shop)]) == 0
    assert "audio: 65.0% of the items" in capsys.readouterr().out
    assert features(shop, "Sounds", "--modality", "audio") == 2
    assert "has audio features already, by sounds-large@1" in capsys.readouterr().err


def test_texts_and_pictures_under_any_name(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["1.jpg", "2.jpg"])
    shop = write_shop(tmp_path / "shop", ["glue", " ", "toy story"], ["../1.jpg", "../2.jpg", None])
    assert features(shop, "Lengths", "--modality", "lengths") == 0
    assert features(shop, "Sizes", "--modality", "sizes") == 0
    assert features(shop, "Both", "--worddrop", "0.5") == 0
    assert features(shop, "Words", "--modality", "letters") == 0
    assert features(shop, "Colours", "--modality", "colours") == 0
    domain = Domain.open(shop, verify=True)
    assert list(domain.modalities) == ["lengths", "sizes", "text", "image", "letters", "colours"]
    assert list(domain.views) == ["text_worddrop"]
    assert domain.features("lengths")[1:].tolist() == [[4, 1], [0, 0], [9, 2]]
    assert domain.features("sizes")[1:3, 0].tolist() == [
        (tmp_path / name).stat().st_size for name in ("1.jpg", "2.jpg")
    ]
    assert np.array_equal(domain.features("text"), domain.features("letters"))
    assert np.array_equal(domain.features("image"), domain.features("colours"))
    assert domain.present("image").tolist() == domain.present("sizes").tolist() == [False, True, True, False]


def test_rows_shared_by_processes(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", titles(30))
    assert features(shop, "Lengths", "--modality", "lengths", "--processes", 2) == 0
    assert Domain.open(shop, verify=True).features("lengths")[1:, 0].tolist() == [len(one) for one in titles(30)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_rows_shared_by_the_workers_of_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data", reason='needs pip install "missrec-pl[ray]"')
    shop, again = (write_shop(tmp_path / name / "shop", titles(1200)) for name in ("one", "two"))
    assert features(shop, "Lengths", "--modality", "lengths") == 0
    shared = (again, "Lengths", "--modality", "lengths", "--engine", "ray", "--ray-workers", "2")
    monkeypatch.setattr("missrec_pl.prepare.features.run.add_features", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        features(*shared)
    chunks = sorted((tmp_path / "two").glob(".shop.features-lengths-*/*.npz"))
    assert len(chunks) == 3
    chunks[1].unlink()  # as if it had been killed before that one
    kept = [chunk.stat().st_mtime_ns for chunk in (chunks[0], chunks[2])]
    with pytest.raises(ZeroDivisionError):
        features(*shared)
    assert [chunk.stat().st_mtime_ns for chunk in (chunks[0], chunks[2])] == kept
    monkeypatch.undo()
    assert features(*shared) == 0
    one, two = (Domain.open(path, verify=True).manifest.sha256 for path in (shop, again))
    assert one == two


@pytest.mark.parametrize("more", [("--shard", "0/2"), ("--processes", "2")])
def test_one_way_to_share_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str]) -> None:
    shop = write_shop(tmp_path / "shop", titles(3))
    assert features(shop, "Lengths", "--modality", "lengths", "--engine", "ray", *more) == 2
    assert "give one of them" in capsys.readouterr().err


def test_the_example_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    example = docs[docs.index("# sounds.py") :]
    (tmp_path / "sounds.py").write_text(example[: example.index("```")])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    shop = write_shop(tmp_path / "shop", titles(6))
    (tmp_path / "recordings").mkdir()
    for number in (1, 4):
        np.save(tmp_path / "recordings" / f"item {number}.npy", np.arange(127.0) + number)
    assert features(shop, "sounds:Spectra", "--modality", "audio") == 0
    domain = Domain.open(shop, verify=True)
    assert np.flatnonzero(domain.present("audio")).tolist() == [1, 4]
    assert domain.info("audio").dim == 64
    assert main(["check", str(shop)]) == 0


MISTAKES = {
    "no such module": (
        ("nowhere.module:Mine",),
        "cannot be imported (ModuleNotFoundError: No module named 'nowhere'",
    ),
    "broken module": (("mypkg.broken:Mine",), "cannot be imported (SyntaxError: "),
    "no such class": (("Missing",), "has no attribute 'Missing'"),
    "no module": ((":Mine",), "cannot be imported (ValueError: "),
    "no class": (("mypkg.encoders:SOUNDS",), "SOUNDS is a str; name a class"),
    "neither known nor a path": (("lsa2:",), "cannot be imported"),
    "not a protocol": (("NoRecipe", "--modality", "audio"), "lacks recipe of the protocol ItemEncoder"),
    "not an encoder": (
        ("pathlib:Path", "--modality", "audio"),
        "lacks encode_texts, text_dim, text_recipe of the protocol",
    ),
    "recipe": (("StringRecipe", "--modality", "audio"), "recipe is no missrec_pl.prepare.encoders.base.Recipe"),
    "reads": (("WrongReads", "--modality", "audio"), "reads 'sounds'; choose one of texts, image_paths, raw_ids"),
    "shape": (("WrongShape", "--modality", "audio"), "gave vectors of shape (2, 2), expected (2, 5)"),
    "arguments unknown": (
        ("builtins:dict", "--modality", "audio"),
        "cannot be made from model, device and precision",
    ),
    "arguments": (("NeedsMore", "--modality", "audio"), "missing a required argument: 'folder'"),
    "model": (("Lengths", "--modality", "audio", "--model", "x"), "--model x: mypkg.encoders:Lengths takes no"),
    "no modality": (("Lengths",), "say what its features are with --modality"),
    "name": (("Lengths", "--modality", "Audio"), "modality name 'Audio'; use lower-case letters"),
    "view": (("Lengths", "--modality", "text_worddrop"), "make it with --worddrop"),
    "two kinds": (("Both", "--modality", "audio"), "encodes texts and pictures; name one of them"),
    "no pictures": (("Words", "--modality", "image"), "encodes no pictures"),
    "no texts": (("Colours", "--modality", "text"), "encodes no texts"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", ["glue", "shoe"])
    (encoder, *arguments), expected = MISTAKES[case]
    assert features(shop, encoder, *arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.strip().startswith("error: ")
    assert error.strip().count("\n") == 0
    assert Domain.open(shop).modalities == {}


def test_unknown_names_are_told_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", ["glue"])
    assert main(["features", str(shop), "--encoder", "clap"]) == 2
    assert "--encoder clap: choose one of clip, sentence, lsa" in capsys.readouterr().err
