import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.writer import FeatureMatrix, UserBlock, stream_domain, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

ITEMS, USERS = 5, 3
PRESENT = np.array([True, False, True, True, False])


def parts(**changes: object) -> dict[str, object]:
    rng = np.random.default_rng(0)
    content: dict[str, object] = {
        "name": "toys",
        "raw_item_ids": [f"i{n}" for n in range(ITEMS)],
        "texts": ["red ball", "", "doll", "kite", "drüm"],
        "sequences": Sequences.from_lists([[1, 2, 3, 2], [5], [4, 1]], [[10, 10, 12, 15], [3], [7, 9]]),
        "raw_user_ids": ["ann", "bob", "cy"],
        "features": {
            "text": FeatureMatrix(rng.normal(size=(ITEMS, 4)), np.ones(ITEMS, bool), "toy-encoder"),
            "image": FeatureMatrix(rng.normal(size=(ITEMS, 3)), PRESENT, "toy-camera"),
            "audio": FeatureMatrix(rng.normal(size=(ITEMS + 1, 2)), np.ones(ITEMS, bool), "toy-ear"),
        },
        "views": {
            "text_worddrop": FeatureMatrix(rng.normal(size=(ITEMS, 4)), np.ones(ITEMS, bool), "toy-encoder")
        },
        "image_paths": ["a.jpg", None, "c.jpg", "d.jpg", None],
    }
    return {**content, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_domain(tmp_path / "toys", **parts())  # type: ignore[arg-type]


def test_everything_written_is_read_again(folder: Path) -> None:
    given = parts()
    domain = Domain.open(folder, verify=True)
    assert (domain.name, domain.num_users, domain.num_items) == ("toys", USERS, ITEMS)
    assert list(domain.modalities) == ["text", "image", "audio"]
    assert list(domain.views) == ["text_worddrop"]
    assert domain.modalities["image"].coverage == pytest.approx(0.6)
    assert domain.modalities["image"].encoder == "toy-camera"
    sequences = given["sequences"]
    assert isinstance(sequences, Sequences)
    np.testing.assert_array_equal(domain.sequences.items, sequences.items)
    np.testing.assert_array_equal(domain.sequences.offsets, sequences.offsets)
    np.testing.assert_array_equal(domain.sequences.timestamps, sequences.timestamps)
    assert domain.sequences.items.dtype == np.int32
    assert domain.sequences.offsets.dtype == np.int64
    assert domain.texts() == ["", "red ball", "", "doll", "kite", "drüm"]
    assert domain.image_paths() == ["", "a.jpg", "", "c.jpg", "d.jpg", ""]
    assert domain.raw_item_ids() == ["", "i0", "i1", "i2", "i3", "i4"]
    assert domain.raw_user_ids() == ["ann", "bob", "cy"]


def test_features_are_read_only_maps_with_zero_rows_for_padding_and_missing(folder: Path) -> None:
    domain = Domain.open(folder)
    image = domain.features("image")
    assert isinstance(image, np.memmap)
    assert not image.flags.writeable
    assert image.shape == (ITEMS + 1, 3)
    np.testing.assert_array_equal(domain.present("image"), [False, *PRESENT])
    np.testing.assert_array_equal(image.any(axis=1), [False, *PRESENT])
    given = parts()["features"]["image"].rows  # type: ignore[index]
    np.testing.assert_array_equal(image[1], given[0].astype(np.float32))


def test_rows_with_padding_first_are_not_shifted(folder: Path) -> None:
    given = parts()["features"]["audio"].rows  # type: ignore[index]
    np.testing.assert_array_equal(Domain.open(folder).features("audio")[1:], given[1:].astype(np.float32))


def test_float16_and_order_only_sequences(tmp_path: Path) -> None:
    path = write_domain(
        tmp_path / "half", **parts(dtype="float16", sequences=Sequences.from_lists([[1], [2, 3], [4, 5]]))
    )  # type: ignore[arg-type]
    domain = Domain.open(path, verify=True)
    assert domain.features("text").dtype == np.float16
    assert domain.sequences.timestamps is None


def test_pickling_carries_no_features(folder: Path) -> None:
    domain = Domain.open(folder)
    domain.features("text")
    assert domain.sequences.num_users == USERS
    data = pickle.dumps(domain)
    assert len(data) < 3000
    np.testing.assert_array_equal(pickle.loads(data).features("text"), domain.features("text"))


def test_fingerprint_follows_the_content(tmp_path: Path, folder: Path) -> None:
    same = write_domain(tmp_path / "again", **parts(name="other name"))  # type: ignore[arg-type]
    assert Domain.open(same).fingerprint == Domain.open(folder).fingerprint
    for changes in ({"features": {}}, {"raw_item_ids": [f"x{row}" for row in range(ITEMS)]}):
        other = write_domain(tmp_path / "other", **parts(**changes), overwrite=True)  # type: ignore[arg-type]
        assert Domain.open(other).fingerprint != Domain.open(folder).fingerprint
    path = Domain.open(same).path / "items.parquet"  # as another version would write it
    pq.write_table(pq.read_table(path), path, compression="gzip", version="1.0")
    assert Domain.open(same).fingerprint == Domain.open(folder).fingerprint


def test_one_corrupted_byte_is_found(folder: Path) -> None:
    path = folder / "features" / "image.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    Domain.open(folder)
    with pytest.raises(DataError, match=r"image\.npy: checksum .* damaged"):
        Domain.open(folder, verify=True)


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "domain.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_structural_damage_is_refused_without_verify(folder: Path) -> None:
    rows = np.load(folder / "features" / "text.npy")
    np.save(folder / "features" / "text.npy", rows + 1)
    with pytest.raises(DataError, match=r"text\.npy: row 0 belongs to padding"):
        Domain.open(folder)
    np.save(folder / "features" / "text.npy", rows[:, :2])
    with pytest.raises(DataError, match=r"text\.npy: found float32 \(6, 2\), domain.json says float32 \(6, 4\)"):
        Domain.open(folder)
    np.save(folder / "features" / "text.npy", rows)
    content = (folder / "features" / "text.npy").read_bytes()
    (folder / "features" / "text.npy").write_bytes(content[:-4])
    with pytest.raises(DataError, match=r"text\.npy: truncated"):
        Domain.open(folder)
    (folder / "features" / "text.npy").unlink()
    with pytest.raises(DataError, match=r"text\.npy is missing"):
        Domain.open(folder)


def test_wrong_counts_ids_and_versions_are_refused(folder: Path) -> None:
    edit_manifest(folder, counts={"users": USERS, "items": ITEMS, "interactions": 99})
    with pytest.raises(DataError, match=r"3 users with 7 interactions, domain.json says 3 with 99"):
        Domain.open(folder)
    edit_manifest(folder, counts={"users": USERS, "items": ITEMS + 1, "interactions": 7})
    with pytest.raises(DataError, match=r"items have to be 1\.\.6 in order, found 5"):
        Domain.open(folder)
    edit_manifest(folder, counts={"users": USERS})
    with pytest.raises(DataError, match=r"domain\.json: missing or wrong entry"):
        Domain.open(folder)
    edit_manifest(folder, schema_version=2)
    with pytest.raises(DataError, match="schema version 2, this program reads 1"):
        Domain.open(folder)
    (folder / "domain.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        Domain.open(folder)


def test_item_outside_the_catalogue_is_refused_on_reading(folder: Path) -> None:
    path = folder / "sequences.parquet"
    table = pq.read_table(path)
    bad = table.set_column(2, "items", [[[1, 9, 3, 2], [5], [4, 1]]]).cast(table.schema)
    pq.write_table(bad, path)
    with pytest.raises(DataError, match=r"sequences\.parquet: user 0 has item 9, the catalogue has items 1\.\.5"):
        Domain.open(folder)
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"sequences\.parquet: not a readable parquet file"):
        Domain.open(folder)


def test_unknown_modality_is_named_with_near_ones(folder: Path) -> None:
    with pytest.raises(DataError, match="no modality 'imag'; did you mean 'image'"):
        Domain.open(folder).features("imag")


def test_missing_folders_list_what_is_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no domain folder at .*toy; .*did you mean 'toys'"):
        Domain.open(tmp_path / "toy")
    with pytest.raises(DataError, match=r"holds no domain\.json; its sub-folders do \(toys\)"):
        Domain.open(tmp_path)
    with pytest.raises(DataError, match="is a file, not a domain folder"):
        Domain.open(folder / "domain.json")
    released = tmp_path / "released"
    released.mkdir()
    (released / "x.train.inter").touch()
    with pytest.raises(DataError, match="it is a released folder"):
        Domain.open(released)


def broken(value: float) -> dict[str, FeatureMatrix]:
    rows = np.ones((ITEMS, 2), np.float32)
    rows[3, 1] = value
    return {"text": FeatureMatrix(rows, np.ones(ITEMS, bool), "toy-encoder")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": broken(np.nan)}, r"text features of item 4 \(row 3, .*NaN or infinite"),
        ({"features": broken(np.inf)}, r"text features of item 4 \(row 3, .*NaN or infinite"),
        ({"features": broken(70_000), "dtype": "float16"}, r"item 4 .*infinite \(as float16\)"),
        (
            {"features": {"text": FeatureMatrix(np.zeros((ITEMS, 2)), np.ones(ITEMS, bool), "e")}},
            "item 1 .*all zeros but marked as present",
        ),
        ({"features": {"text": FeatureMatrix(np.ones((9, 2)), np.ones(9, bool), "e")}}, r"shape \(9, 2\)"),
        ({"features": {"text": FeatureMatrix(np.ones((ITEMS, 2)), np.ones(4, bool), "e")}}, r"presence of text"),
        ({"features": {"Text!": FeatureMatrix(np.ones((ITEMS, 2)), np.ones(ITEMS, bool), "e")}}, "name 'Text!'"),
        (
            {"sequences": Sequences.from_lists([[1], [6], [2]])},
            r"user 1 has item 6, the catalogue has items 1\.\.5",
        ),
        ({"sequences": Sequences.from_lists([[1], [0], [2]])}, "user 1 has item 0"),
        ({"sequences": Sequences.from_lists([[1], [], [2]])}, "user 1 has no interactions"),
        (
            {"sequences": Sequences.from_lists([[1, 2], [3, 4], [5]], [[1, 2], [2, 1], [0]])},
            "timestamps of user 1 run backwards",
        ),
        ({"raw_user_ids": ["ann"]}, "1 raw user ids for 3 sequences"),
        ({"raw_item_ids": ["a", "b", "a", "d", "e"]}, "raw item id 'a' occurs twice"),
        ({"texts": ["one"]}, "1 texts for 5 items"),
        ({"dtype": "int8"}, "not 'int8'"),
    ],
)
def test_wrong_content_is_refused_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_domain(tmp_path / "toys", **parts(**changes))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_existing_targets_are_kept_unless_told(tmp_path: Path, folder: Path) -> None:
    before = Domain.open(folder).file_fingerprint()
    with pytest.raises(DataError, match="exists already"):
        write_domain(folder, **parts(texts=["x"] * ITEMS))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="NaN"):
        write_domain(folder, **parts(features=broken(np.nan)), overwrite=True)  # type: ignore[arg-type]
    assert Domain.open(folder, verify=True).file_fingerprint() == before
    write_domain(folder, **parts(texts=["x"] * ITEMS), overwrite=True)  # type: ignore[arg-type]
    assert Domain.open(folder, verify=True).file_fingerprint() != before
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]


def test_overwrite_does_not_destroy_other_folders(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(DataError, match="is no domain folder and is not overwritten"):
        write_domain(tmp_path / "thesis", **parts(), overwrite=True)  # type: ignore[arg-type]
    assert (tmp_path / "thesis" / "chapter.tex").is_file()


def test_interrupted_writing_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("missrec_pl.data.domain.files.write_sequences", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_domain(tmp_path / "toys", **parts())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_was_forgotten_is_read_again(folder: Path) -> None:
    domain = Domain.open(folder)
    before, rows = domain.sequences, np.array(domain.features("text"))
    domain.forget_sequences()
    domain.release_pages("text")
    np.testing.assert_array_equal(domain.features("text"), rows)
    domain.forget_features()
    domain.release_pages("text")
    assert domain.sequences is not before
    np.testing.assert_array_equal(domain.sequences.items, before.items)
    np.testing.assert_array_equal(domain.features("text"), rows)


def streamed(folder: Path, blocks: list[UserBlock]) -> Domain:
    given = parts()
    names = ("name", "raw_item_ids", "texts", "features")
    content = {name: given[name] for name in names}
    return Domain.open(stream_domain(folder, users=blocks, block_rows=2, **content), verify=True)  # type: ignore[arg-type]


def test_streamed_users_are_those_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("missrec_pl.data.domain.writer._STREAMED_ROW_GROUP", 2)
    lists, times = [[1, 2, 3, 2], [5], [4, 1]], [[10, 10, 12, 15], [3], [7, 9]]
    alone = [
        UserBlock(Sequences.from_lists([one], [t]), [f"u{len(one)}"]) for one, t in zip(lists, times, strict=True)
    ]
    once = [UserBlock(Sequences.from_lists(lists, times), ["u4", "u1", "u2"])]
    one, other = streamed(tmp_path / "a", alone), streamed(tmp_path / "b", once)
    assert one.fingerprint == other.fingerprint
    assert pq.ParquetFile(one.path / "sequences.parquet").num_row_groups == 2
    np.testing.assert_array_equal(one.sequences.items, [1, 2, 3, 2, 5, 4, 1])
    np.testing.assert_array_equal(one.sequences.timestamps, [10, 10, 12, 15, 3, 7, 9])
    assert one.raw_user_ids() == ["u4", "u1", "u2"]
    assert (one.num_users, one.manifest.interactions) == (3, 7)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "no users"),
        ([UserBlock(Sequences.from_lists([[1], [2]]), ["a", "a"])], "raw user id 'a' occurs twice"),
        ([UserBlock(Sequences.from_lists([[1], [6]]), ["a", "b"])], "user 1 has item 6"),
    ],
)
def test_wrong_streamed_users_leave_nothing(tmp_path: Path, blocks: list[UserBlock], message: str) -> None:
    with pytest.raises(DataError, match=message):
        streamed(tmp_path / "toys", blocks)
    assert list(tmp_path.iterdir()) == []


def test_features_are_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("missrec_pl.data.domain.writer.BLOCK_ROWS", 2)
    given = parts()
    domain = Domain.open(write_domain(tmp_path / "toys", **given), verify=True)  # type: ignore[arg-type]
    rows = given["features"]["text"].rows  # type: ignore[index]
    np.testing.assert_array_equal(domain.features("text")[1:], rows.astype(np.float32))
