"""``prepare merge``, ``export`` and ``stats``."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_shop import write_shop

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import add_features, image_urls, known_image_urls
from missrec_pl.data.domain.writer import FeatureMatrix
from missrec_pl.data.released import released_files
from missrec_pl.prepare.__main__ import main

SHARED = Path(os.environ.get("MISSREC_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "released"
HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token"


def shop_with_features(
    path: Path, count: int, *, encoder: str = "toy@1", width: int = 4, image: bool = True
) -> Path:
    """A domain whose every third item lacks the picture."""
    shop = write_shop(path, [f'"thing" {number}' if number else '"all quoted"' for number in range(count)])
    random = np.random.default_rng(count)
    rows = {
        name: random.normal(size=(count, width)).astype(np.float32) for name in ("text", "text_worddrop", "image")
    }
    some = np.arange(count) % 3 > 0
    whole = np.ones(count, bool)
    features = {"text": FeatureMatrix(rows["text"], whole, encoder)}
    if image:
        features["image"] = FeatureMatrix(rows["image"], some, encoder)
    add_features(shop, features, {"text_worddrop": FeatureMatrix(rows["text_worddrop"], whole, encoder)})
    return shop


def contents(domain: Domain) -> dict[str, object]:
    """What has to survive a round trip; timestamps have no place in released files."""
    return {
        "ids": domain.raw_item_ids(),
        "users": domain.raw_user_ids(),
        "texts": domain.texts(),
        "items": domain.sequences.items.tolist(),
        "offsets": domain.sequences.offsets.tolist(),
        "features": {name: domain.features(name).tobytes() for name in (*domain.modalities, *domain.views)},
        "present": {name: domain.present(name).tolist() for name in (*domain.modalities, *domain.views)},
    }


def test_export_and_back(tmp_path: Path) -> None:
    shop = shop_with_features(tmp_path / "shop", 12)
    assert main(["export", str(shop), str(tmp_path / "released")]) == 0
    assert main(["released", str(tmp_path / "released"), str(tmp_path / "back")]) == 0
    assert contents(Domain.open(tmp_path / "back", verify=True)) == contents(Domain.open(shop))
    train = (tmp_path / "released" / "released.train.inter").read_text().splitlines()
    assert train[:3] == [HEADER, "0\t0 1\t2", "0\t0\t1"]
    assert (tmp_path / "released" / "released.test.inter").read_text().splitlines()[1] == "0\t0 1 2 3\t4"


def add_modality(shop: Path, name: str, width: int, missing: int) -> None:
    """Features of every item but each ``missing``-th."""
    count = Domain.open(shop).num_items
    rows = np.random.default_rng(width).normal(size=(count, width)).astype(np.float32)
    add_features(shop, {name: FeatureMatrix(rows, np.arange(count) % missing > 0, "toy@1")})


def test_every_modality_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop = shop_with_features(tmp_path / "shop", 12)
    add_modality(shop, "text", 4, 5)
    add_modality(shop, "audio", 7, 4)
    assert main(["export", str(shop), str(tmp_path / "released")]) == 0
    assert "released.feat_audioCLS holds audio features: the authors' code does not read it" in caplog.text
    assert (tmp_path / "released" / "released.feat_audioCLS").stat().st_size == 12 * 7 * 4
    assert main(["released", str(tmp_path / "released"), str(tmp_path / "back")]) == 0
    back = Domain.open(tmp_path / "back", verify=True)
    assert set(back.modalities) == {"text", "image", "audio"}
    assert all(0 < back.present(name).sum() < 12 for name in back.modalities)
    assert contents(back) == contents(Domain.open(shop))


def test_a_domain_of_one_further_modality_comes_back(tmp_path: Path) -> None:
    shop = write_shop(tmp_path / "shop", ["thing"] * 6)
    add_modality(shop, "audio", 3, 2)
    assert main(["export", str(shop), str(tmp_path / "out")]) == 0
    assert main(["released", str(tmp_path / "out"), str(tmp_path / "back")]) == 0
    assert contents(Domain.open(tmp_path / "back", verify=True)) == contents(Domain.open(shop))


def test_a_further_modality_is_part_of_what_a_cached_conversion_depends_on(tmp_path: Path) -> None:
    shop = shop_with_features(tmp_path / "shop", 6)
    add_modality(shop, "audio", 3, 2)
    assert main(["export", str(shop), str(tmp_path / "out")]) == 0
    (tmp_path / "out" / "out.feat_CLS").write_bytes(b"no modality")
    assert "out.feat_audioCLS" in {file.name for file in released_files(tmp_path / "out")}
    assert "out.feat_CLS" not in {file.name for file in released_files(tmp_path / "out")}


def test_one_and_two_interactions_have_no_training_row(tmp_path: Path) -> None:
    from missrec_pl.data.domain.writer import UserBlock, stream_domain
    from missrec_pl.data.sequences import Sequences

    users = [UserBlock(Sequences.from_lists([[1], [2, 1], [1, 2, 1, 2]]), ["a", "b", "c"])]
    stream_domain(tmp_path / "d", name="d", raw_item_ids=["x", "y"], texts=["x", "y"], users=users, features={})
    assert main(["export", str(tmp_path / "d"), str(tmp_path / "out")]) == 0
    rows = {
        split: (tmp_path / "out" / f"out.{split}.inter").read_text().splitlines()[1:]
        for split in ("train", "valid", "test")
    }
    assert rows == {"train": ["2\t0\t1"], "valid": ["2\t0 1\t0"], "test": ["1\t1\t0", "2\t0 1 0\t1"]}


@pytest.mark.parametrize("name", ["Scientific_mm_subset", "Movies_drama"])
def test_real_released_folders_come_back(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not here; set MISSREC_SHARED_DATA")
    assert main(["released", str(SHARED / name), str(tmp_path / "domain")]) == 0
    assert main(["export", str(tmp_path / "domain"), str(tmp_path / name)]) == 0
    written = {path.name for path in (tmp_path / name).iterdir()}
    assert written == {path.name for path in (SHARED / name).iterdir()}
    for file in sorted(written):
        ours, theirs = (tmp_path / name / file).read_bytes(), (SHARED / name / file).read_bytes()
        if file.endswith(".train.inter"):  # order: a user's longest history first
            assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
        elif file.endswith(".text"):  # order of items; no white space at line ends
            lines = [Counter(b" ".join(line.split()) for line in one.splitlines()) for one in (ours, theirs)]
            assert lines[0] == lines[1]
        else:
            assert ours == theirs, file


def test_recbole_files(tmp_path: Path) -> None:
    shop = shop_with_features(tmp_path / "shop", 6)
    add_modality(shop, "audio", 3, 2)
    assert main(["export", str(shop), str(tmp_path / "toys"), "--layout", "recbole"]) == 0
    lines = (tmp_path / "toys" / "toys.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float"
    assert lines[1:3] == ["user 0\titem 1\t0", "user 0\titem 2\t1"]
    assert len(lines) == 1 + len(Domain.open(shop).sequences.items)
    vectors = (tmp_path / "toys" / "toys.imageemb").read_text().splitlines()
    assert len(vectors) == 1 + 4
    first = np.array(vectors[1].split("\t")[1].split(), np.float32)
    assert np.array_equal(first, Domain.open(shop).features("image")[2])
    sounds = (tmp_path / "toys" / "toys.audioemb").read_text().splitlines()
    assert sounds[0] == "audio_item_id:token\taudio:float_seq"
    assert [line.split("\t")[0] for line in sounds[1:]] == ["item 2", "item 4", "item 6"]
    # What was exported is read again as raw interactions.
    arguments = ["--format", "atomic", "--text", "text", "--k-core", "1", "--repeats", "all"]
    assert main(["interactions", str(tmp_path / "toys"), str(tmp_path / "again"), *arguments]) == 0
    again = Domain.open(tmp_path / "again")
    assert again.sequences.items.tolist() == Domain.open(shop).sequences.items.tolist()


def test_merge_to_one_domain(tmp_path: Path) -> None:
    one = shop_with_features(tmp_path / "one", 7)
    two = shop_with_features(tmp_path / "two", 5, image=False)
    assert main(["merge", str(one), str(two), str(tmp_path / "mix")]) == 0
    mix, parts = Domain.open(tmp_path / "mix", verify=True), [Domain.open(one), Domain.open(two)]
    assert list(mix.modalities) == ["text", "image"]
    assert mix.raw_item_ids()[8] == "two:item 1"
    for name in ("text", "text_worddrop"):
        expected = np.concatenate([part.features(name)[1:] for part in parts])
        assert np.array_equal(mix.features(name)[1:], expected)
    assert mix.present("image").tolist() == [*parts[0].present("image").tolist(), *[False] * 5]
    assert mix.num_users == sum(part.num_users for part in parts)
    last = parts[1].sequences.of(parts[1].num_users - 1) + 7
    assert mix.sequences.of(mix.num_users - 1).tolist() == last.tolist()


def test_merge_keeps_the_addresses_of_pictures(tmp_path: Path) -> None:
    one = write_shop(tmp_path / "one", ["a", "b"], urls=["http://x/1", None])
    two = write_shop(tmp_path / "two", ["c"])
    assert main(["merge", str(one), str(two), str(tmp_path / "mix")]) == 0
    assert image_urls(tmp_path / "mix") == ["http://x/1", None, None]
    assert main(["merge", str(two), str(tmp_path / "without")]) == 0
    assert known_image_urls(tmp_path / "without") is None


def test_merge_to_the_released_layout(tmp_path: Path) -> None:
    shops = [shop_with_features(tmp_path / name, count) for name, count in (("one", 7), ("two", 5))]
    add_modality(shops[1], "audio", 3, 2)
    out = tmp_path / "Mix"
    assert main(["merge", *map(str, shops), str(out), "--layout", "released"]) == 0
    assert (out / "Mix.pt_datasets").read_text() == "one,two\n"
    assert "0\t1-0 1-1 1-2 1-3\t1-4" in (out / "Mix.train.inter").read_text().splitlines()
    assert main(["released", str(out), str(tmp_path / "back")]) == 0
    for shop in shops:
        assert contents(Domain.open(tmp_path / "back" / shop.name, verify=True)) == contents(Domain.open(shop))


def test_different_encoders_are_not_mixed_unless_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shops = [shop_with_features(tmp_path / name, 6, encoder=f"toy@{name}") for name in ("one", "two")]
    for layout in ("domain", "released"):
        arguments = ["merge", *map(str, shops), str(tmp_path / layout), "--layout", layout]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert "image features were made by different encoders (toy@one in one; toy@two in two)" in error
        assert main([*arguments, "--allow-mixed-encoders"]) == 0
    assert Domain.open(tmp_path / "domain").info("text").encoder == "toy@one + toy@two"
    narrow = shop_with_features(tmp_path / "narrow", 6, encoder="toy@one", width=3)
    assert main(["merge", str(shops[0]), str(narrow), str(tmp_path / "x")]) == 2
    assert "different widths" in capsys.readouterr().err


def test_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shops = [shop_with_features(tmp_path / name, count) for name, count in (("a_b", 9), ("c", 1200))]
    assert main(["stats", *map(str, shops), "--total", "Both", "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Datasets | #Users | #Items | #Img. (Cover.%) | #Inters. | Avg. SL. |"
    assert lines[2] == "| Both | 403 | 1,209 | 806 (66.67%) | 2,015 | 5.00 |"
    assert lines[3] == "| a_b | 3 | 9 | 6 (66.67%) | 15 | 5.00 |"
    assert main(["stats", str(shops[0]), "--format", "latex"]) == 0
    latex = capsys.readouterr().out.splitlines()
    assert latex[0] == r"\begin{tabular}{lrrrrr}"
    assert latex[4] == r"a\_b & 3 & 9 & 6 (66.67\%) & 15 & 5.00 \\"
    assert main(["stats", str(shops[0])]) == 0
    text = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in text}) == 1


def test_ids_that_no_line_can_hold_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from missrec_pl.data.domain.writer import UserBlock, stream_domain
    from missrec_pl.data.sequences import Sequences

    users = [UserBlock(Sequences.from_lists([[1, 1]]), ["a"])]
    stream_domain(tmp_path / "d", name="d", raw_item_ids=["x\ty"], texts=["x"], users=users, features={})
    for layout in ("released", "recbole"):
        assert main(["export", str(tmp_path / "d"), str(tmp_path / layout), "--layout", layout]) == 2
        assert "'x\\ty' cannot be written" in capsys.readouterr().err
        assert not (tmp_path / layout).exists()
