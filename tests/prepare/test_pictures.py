"""Picture files as people have them: what is decoded, and which file belongs to which item."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.encoders.base import Recipe
from missrec_pl.prepare.encoders.pixels import Preprocessing
from missrec_pl.prepare.features.picture_folders import ItemImages

Image = pytest.importorskip("PIL.Image", reason='needs pip install "missrec-pl[prepare]"')
from missrec_pl.prepare.features.pictures import read_picture  # noqa: E402
from missrec_pl.prepare.features.store import Status  # noqa: E402

WHOLE = Preprocessing(32, 32, (0, 0, 0), (1, 1, 1), squash=True)


def drawing() -> np.ndarray:
    """Uint8 [40, 56, 3] without any symmetry, white in a corner."""
    pixels = np.zeros((40, 56, 3), np.uint8)
    pixels[:20, :28], pixels[20:, :28], pixels[:20, 28:] = (200, 30, 30), (30, 180, 60), 255
    pixels[30:, 40:] = (20, 40, 200)
    return pixels


def seen(path: Path) -> tuple[np.ndarray, Sequence[str]]:
    status, pixels, notes = read_picture(path, WHOLE)
    assert status == Status.OK, pixels
    return np.asarray(pixels).astype(int), notes


@pytest.mark.parametrize("mark", range(2, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_pictures_are_turned_upright(mark: int, ending: str, tmp_path: Path) -> None:
    undone = {2: 0, 3: 1, 4: 4, 5: 5, 6: 2, 7: 6, 8: 3}
    upright = Image.fromarray(drawing())
    back = [
        "FLIP_LEFT_RIGHT",
        "ROTATE_180",
        "ROTATE_90",
        "ROTATE_270",
        "FLIP_TOP_BOTTOM",
        "TRANSPOSE",
        "TRANSVERSE",
    ]
    exif = Image.Exif()
    exif[0x0112] = mark
    upright.transpose(Image.Transpose[back[undone[mark]]]).save(tmp_path / f"a.{ending}", exif=exif, quality=95)
    upright.save(tmp_path / f"b.{ending}", quality=95)
    pixels, notes = seen(tmp_path / f"a.{ending}")
    assert notes == ["turned upright (EXIF)"]
    assert np.abs(pixels - seen(tmp_path / f"b.{ending}")[0]).mean() < 4


def test_every_kind_of_pixels_shows_the_same_picture(tmp_path: Path) -> None:
    pixels = drawing()
    upright = Image.fromarray(pixels)
    clear = (pixels == 255).all(axis=-1)
    rgba = np.dstack([pixels, np.where(clear, 0, 255).astype(np.uint8)])
    rgba[clear, :3] = 0
    grey = np.asarray(upright.convert("L"))
    palette = Image.fromarray(np.where(clear, 7, 0).astype(np.uint8), "P")
    palette.putpalette([200, 30, 30] * 7 + [0, 0, 0])
    black = Image.new("RGB", upright.size)
    expected, expected_grey = (
        np.asarray(upright.resize((32, 32), 3)),
        np.asarray(Image.fromarray(grey).convert("RGB").resize((32, 32), 3)),
    )
    on_white = np.asarray(
        Image.fromarray(np.where(clear[..., None], 255, np.uint8([200, 30, 30])).astype(np.uint8)).resize(
            (32, 32), 3
        )
    )
    upright.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=97, subsampling=0)
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    Image.fromarray(rgba).save(tmp_path / "alpha.webp", lossless=True)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    upright.quantize(64).save(tmp_path / "palette.png")
    palette.save(tmp_path / "clear palette.png", transparency=7)
    palette.save(tmp_path / "clear palette.gif", transparency=7)
    upright.quantize(64).save(tmp_path / "moving.gif", save_all=True, append_images=[black])
    black.quantize(8).save(tmp_path / "late.gif", save_all=True, append_images=[upright.quantize(64)])
    for name, wanted, told in (
        ("cmyk.jpg", expected, "CMYK turned to RGB"),
        ("alpha.png", expected, "transparency put on white"),
        ("alpha.webp", expected, "transparency put on white"),
        ("deep.png", expected_grey, "16 bits scaled to 8"),
        ("palette.png", expected, None),
        ("clear palette.png", on_white, "transparency put on white"),
        ("clear palette.gif", on_white, "transparency put on white"),
        ("moving.gif", expected, "one frame of an animation"),
        ("late.gif", expected, "one frame of an animation"),
    ):
        found, notes = seen(tmp_path / name)
        assert np.abs(found - wanted.astype(int)).mean() < 6, name
        assert list(notes) == ([told] if told else []), name


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # as prepare features does
def test_a_damaged_block_of_exif_costs_no_picture(tmp_path: Path) -> None:
    Image.fromarray(drawing()).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert seen(tmp_path / "a.jpg")[1] == []


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


def test_files_are_found_by_id_whatever_ending_place_and_number(tmp_path: Path) -> None:
    names = [
        "a.JPG",
        "b.jpeg",
        "sub/deep/c.png",
        "d_10.jpg",
        "d_2.jpg",
        "d.webp",
        "e/2.jpg",
        "e/1.jpg",
        "f (1).jpg",
    ]
    photos = folder_of(tmp_path / "photos", *names, "g_1.jpg", "x.jpg", ".a.jpg", "__MACOSX/a.jpg", "notes.txt")
    found = ItemImages(photos).find(["a", "b", "c", "d", "e", "f", "g", "g_1", "h"], tmp_path / "shop")
    short = [[file.removeprefix("../photos/") for file in several] for several in found.files]
    assert short == [
        ["a.JPG"],
        ["b.jpeg"],
        ["sub/deep/c.png"],
        ["d.webp", "d_2.jpg", "d_10.jpg"],
        ["e/1.jpg", "e/2.jpg"],
        ["f (1).jpg"],
        [],
        ["g_1.jpg"],
        [],
    ]
    told = "\n".join(found.told)
    for line in ("7 of 9 items", "2 items have none, such as g, h", "1 files belong to no item, such as x.jpg"):
        assert line in told
    assert "2 items have several, such as d" in told


def test_a_name_finds_what_is_called_so(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "a_main.JPG", "a_2.jpg", "b_main.jpg", "sub/c_main.jpg")
    found = ItemImages(photos, "{id}_main.jpg").find(["a", "b", "c"], tmp_path / "shop")
    assert found.files == [["../photos/a_main.JPG"], ["../photos/b_main.jpg"], []]
    assert "leave out --image-name" in found.told[-1]


class Sums:
    """Encodes a picture by its mean colours."""

    image_recipe, image_dim, preprocessing = Recipe("sums@1"), 3, WHOLE

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.mean(axis=(1, 2)).astype(np.float32)


def test_several_pictures_of_an_item_count_by_their_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    from missrec_pl.prepare.__main__ import main

    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for name in ("a.png", "a_2.png", "b.png"):
        Image.fromarray(random.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "b_2.png").write_bytes(b"no picture")
    (tmp_path / "orders.csv").write_text("user,item,time\nu,a,1\nu,b,2\n")
    source = ["interactions", str(tmp_path / "orders.csv"), str(tmp_path / "shop"), "--format", "table"]
    flags = ["--keep-items-without-text", "--k-core", "1", "--images", str(tmp_path / "photos"), "--threads", "1"]
    assert main([*source, *flags]) == 0
    encode = ["features", str(tmp_path / "shop"), "--encoder", f"{__name__}:Sums", "--workers", "1", "--overwrite"]
    rows = {}
    for pictures in ("first", "mean"):
        assert main([*encode, "--pictures", pictures]) == 0
        rows[pictures] = np.array(Domain.open(tmp_path / "shop", verify=True).features("image")[1:])
    means = [seen(tmp_path / "photos" / name)[0].mean(axis=(0, 1)) for name in ("a.png", "a_2.png", "b.png")]
    np.testing.assert_allclose(rows["first"], [means[0], means[2]], rtol=1e-4)
    np.testing.assert_allclose(rows["mean"], [(means[0] + means[1]) / 2, means[2]], rtol=1e-4)
    assert (
        "1 one of several, such as image of item b: no picture of a kind that is read" in capsys.readouterr().out
    )
