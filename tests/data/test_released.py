from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from released_maker import HEADER, random_sequences, rows_of, write_released

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.released import convert_released, read_released
from missrec_pl.errors import DataError


def native(sequences: list[list[int]]) -> list[list[int]]:
    return [[item + 1 for item in one] for one in sequences]


def as_lists(domain: Domain) -> list[list[int]]:
    return [domain.sequences.of(user).tolist() for user in range(domain.num_users)]


def test_conversion_keeps_everything(tmp_path: Path) -> None:
    sequences = random_sequences()
    folder = write_released(tmp_path / "Toys", sequences)
    (path,) = convert_released(folder, tmp_path / "out")
    domain = Domain.open(path, verify=True)
    assert path == tmp_path / "out"
    assert as_lists(domain) == native(sequences)
    assert domain.raw_user_ids() == [f"person{user}" for user in range(len(sequences))]
    assert domain.raw_item_ids()[1:] == [f"raw{item}" for item in range(30)]
    assert domain.texts()[5] == 'a "nice" thing 4'
    assert list(domain.modalities) == ["text", "image"]
    assert list(domain.views) == ["text_worddrop"]
    image = np.fromfile(folder / "Toys.feat3CLS", "<f4").reshape(30, 3)
    np.testing.assert_array_equal(domain.features("image")[1:], image)
    assert np.flatnonzero(~domain.present("image")).tolist() == [0, 3]
    assert domain.manifest.created_by["missing_prefixes"] == 0


@pytest.mark.parametrize("descending", [False, True])
def test_cut_histories_are_joined_again(tmp_path: Path, descending: bool) -> None:
    rng = np.random.default_rng(1)
    sequences = [rng.permutation(400)[:length].tolist() for length in (3, 49, 50, 51, 52, 53, 54, 120, 200)]
    sequences.append([7] * 60 + [8, 7, 9])  # the same window, again and again, with different targets
    sequences.append([1, 2] * 40)
    folder = write_released(tmp_path / "Long", sequences, items=400, descending=descending)
    (domain,) = read_released(folder)
    assert [domain.users.sequences.of(user).tolist() for user in range(len(sequences))] == native(sequences)
    assert domain.users.missing_prefixes == 0
    assert domain.users.max_history == 50


def test_sets_cut_at_another_length(tmp_path: Path) -> None:
    sequences = [list(range(start, start + 20)) for start in range(5)]
    folder = write_released(tmp_path / "Short", sequences, cut=7)
    (domain,) = read_released(folder)
    assert [domain.users.sequences.of(user).tolist() for user in range(5)] == native(sequences)
    assert domain.users.max_history == 7


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_byte_order_marks_and_dos_lines(tmp_path: Path, end: str, start: str) -> None:
    sequences = random_sequences()
    folder = write_released(tmp_path / "Dos", sequences, end=end, start=start)
    (path,) = convert_released(folder, tmp_path / "out")
    domain = Domain.open(path)
    assert as_lists(domain) == native(sequences)
    assert domain.raw_user_ids()[0] == "person0"
    assert domain.raw_item_ids()[-1] == "raw29"
    assert domain.texts()[1] == 'a "nice" thing 0'


def test_stem_comes_from_the_files(tmp_path: Path) -> None:
    (domain,) = read_released(write_released(tmp_path / "folder", random_sequences(), stem="Toys"))
    assert domain.name == "Toys"


def test_absent_images_are_no_modality(tmp_path: Path) -> None:
    (domain,) = read_released(write_released(tmp_path / "Toys", random_sequences(), image=False, worddrop=False))
    assert list(domain.features) == ["text"]
    assert domain.views == {}


def test_optional_files_may_be_absent(tmp_path: Path) -> None:
    sequences = [[*one, 29] for one in random_sequences()]
    folder = write_released(tmp_path / "Toys", sequences)
    for suffix in ("item2index", "user2index", "text"):
        (folder / f"Toys.{suffix}").unlink()
    (domain,) = read_released(folder)
    assert domain.raw_item_ids == [str(row) for row in range(30)]
    assert domain.users.users == [str(user) for user in range(len(sequences))]
    assert set(domain.texts) == {""}


def test_a_user_with_two_items_needs_no_validation_row(tmp_path: Path) -> None:
    sequences = [[1, 2, 3, 4], [5, 6]]
    (domain,) = read_released(write_released(tmp_path / "Toys", sequences))
    assert [domain.users.sequences.of(user).tolist() for user in range(2)] == native(sequences)


def test_absent_prefixes_are_counted_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_released(tmp_path / "Toys", [[1, 2, 3, 4, 5, 6]] * 2)
    rewrite(folder / "Toys.train.inter", lambda lines: lines[:2] + lines[3:])
    (domain,) = read_released(folder)
    assert domain.users.missing_prefixes == 1
    assert "1 prefixes of the training sequences have no row in Toys.train.inter" in caplog.text


def test_merged_folders_give_one_domain_each(tmp_path: Path) -> None:
    folder = tmp_path / "FH"
    first, second = random_sequences(1, items=20), random_sequences(2, items=30)
    for name, items in (("Food", 20), ("Home", 30)):
        write_released(tmp_path / "parts" / name, random_sequences(), items=30)
        part = tmp_path / "parts" / name
        folder.mkdir(exist_ok=True)
        np.fromfile(part / f"{name}.feat1CLS", "<f4")[: items * 4].tofile(folder / f"{name}.feat1CLS")
        (folder / f"{name}.item2index").write_text("".join(f"{name}{n}\t{n}\n" for n in range(items)))
    (folder / "FH.pt_datasets").write_text("Food,Home")
    lines = [HEADER]
    for number, sequences in enumerate((first, second)):
        for user, items in enumerate(sequences):
            for end in range(1, len(items)):
                history = " ".join(f"{number}-{item}" for item in items[:end])
                lines.append(f"{number}-{user}\t{history}\t{number}-{items[end]}")
    (folder / "FH.train.inter").write_text("\n".join(lines) + "\n")
    paths = convert_released(folder, tmp_path / "out")
    assert [path.name for path in paths] == ["Food", "Home"]
    domains = [Domain.open(path, verify=True) for path in paths]
    assert as_lists(domains[0]) == native(first)
    assert as_lists(domains[1]) == native(second)
    assert domains[1].raw_item_ids()[30] == "Home29"
    assert domains[0].manifest.created_by["split"] == "train_only"
    (folder / "FH.pt_datasets").write_text("Food")
    with pytest.raises(DataError, match=r"FH\.train\.inter:\d+: domain number 1, but FH\.pt_datasets lists 1"):
        read_released(folder)
    lines[2] = "0-0\t0-1 1-2\t0-3"
    (folder / "FH.train.inter").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"FH\.train\.inter:3: items of several domains in one row"):
        read_released(folder)
    lines[2] = "0-0\t17\t0-3"
    (folder / "FH.train.inter").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"FH\.train\.inter:3: item token '17'; expected '<domain number>-<row>'"):
        read_released(folder)


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))


def line(number: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [text if at == number else old for at, old in enumerate(lines, start=1)]


SEQUENCES = [[1, 2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13, 14, 15]]


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", line(1, "user\titems\titem"), r"train\.inter:1: bad header 'user\\titems\\titem'"),
        ("train", line(3, "0\t1 2\t99"), r"train\.inter:3: item 99 is outside the catalogue; .*0\.\.29"),
        ("valid", line(3, "1\t6 77\t8"), r"valid\.inter:3: item 77 is outside the catalogue"),
        ("train", line(3, "0\t1 x2\t3"), r"train\.inter:3: item token 'x2' is not an integer"),
        ("train", line(3, "0\t1 -2\t3"), r"train\.inter:3: item token '-2' is not an integer"),
        ("test", line(2, "0\t1 2 3 4\t"), r"test\.inter:2: user 0 has a history but no target"),
        ("test", line(2, "0\t\t5"), r"test\.inter:2: user 0 has an empty history"),
        ("test", line(2, "\t1 2\t5"), r"test\.inter:2: no user"),
        ("test", line(2, "0\t1 2 3 4"), r"test\.inter:2: expected 3 columns separated by tabs, found 2"),
        ("valid", lambda lines: lines[:1], r"valid\.inter: the split is empty"),
        ("valid", lambda lines: [], r"valid\.inter:1: bad header ''"),
        ("train", line(3, "0\t1 9\t3"), r"train\.inter:3: history and target of user 0 contradict"),
        ("train", line(3, "0\t1 2\t9"), r"train\.inter:3: history and target of user 0 contradict"),
        (
            "valid",
            line(2, "0\t1 2\t3"),
            r"valid\.inter:2: the target of user 0 is item 3 of 5, .*the last but one",
        ),
        ("train", line(3, "0\t1 2 3 4\t5"), r"train\.inter:3: the target of user 0 is item 5 of 5"),
        ("train", line(3, "0\t1\t2"), r"train\.inter:3: user 0 repeats the row of line 2"),
        ("test", line(3, "0\t1 2 3 4\t5"), r"test\.inter:3: user 0 repeats the row of line 2"),
        (
            "test",
            lambda lines: lines[:-1],
            r"train\.inter:\d: user 2 has train rows but none in Toys\.test\.inter",
        ),
        (
            "valid",
            lambda lines: lines[:-1],
            r"test\.inter:4: user 2 has a test row but none in Toys\.valid\.inter",
        ),
    ],
)
def test_damaged_rows_are_named(
    tmp_path: Path, split: str, change: Callable[[list[str]], list[str]], message: str
) -> None:
    folder = write_released(tmp_path / "Toys", SEQUENCES)
    rewrite(folder / f"Toys.{split}.inter", change)
    with pytest.raises(DataError, match=message):
        convert_released(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gap_between_cut_histories_is_named(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "Toys", [list(range(12))] * 2, cut=4)
    rewrite(folder / "Toys.train.inter", lambda lines: lines[:7] + lines[8:])
    with pytest.raises(DataError, match=r"train\.inter:8: this history of user 0 does not continue"):
        read_released(folder)


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "Toys", SEQUENCES)
    with pytest.raises(DataError, match=r"no released folder at .*Toy; .*did you mean 'Toys'"):
        read_released(tmp_path / "Toy")
    with pytest.raises(DataError, match=r"no released folder: looked for <name>\.train\.inter, found Toys"):
        read_released(tmp_path)
    (folder / "Toys.valid.inter").unlink()
    with pytest.raises(DataError, match=r"lacks Toys\.valid\.inter"):
        read_released(folder)


def test_damaged_features_are_named(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "Toys", SEQUENCES)
    path = folder / "Toys.feat1CLS"
    rows = np.fromfile(path, "<f4").reshape(30, 4)
    path.write_bytes(rows.tobytes()[:-6])
    with pytest.raises(DataError, match=r"feat1CLS: 474 bytes are not 30 rows of float32 .* truncated"):
        read_released(folder)
    broken = rows.copy()
    broken[17, 2] = np.nan
    broken.tofile(path)
    with pytest.raises(DataError, match=r"feat1CLS: row 17 \(item raw17\) has NaN"):
        read_released(folder)
    rows[:, :2].tofile(path)
    with pytest.raises(DataError, match=r"feat2CLS has wrong width 4: Toys\.feat1CLS, .* has 2"):
        read_released(folder)
    for suffix in ("feat1CLS", "feat2CLS", "feat3CLS"):
        (folder / f"Toys.{suffix}").unlink()
    with pytest.raises(DataError, match=r"neither Toys\.feat1CLS \(text\) nor Toys\.feat3CLS"):
        read_released(folder)


def test_row_count_that_cannot_be_derived_is_refused(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "Toys", SEQUENCES)
    (folder / "Toys.item2index").unlink()
    with pytest.raises(DataError, match=r"not 16 rows of float32 .*item2index is missing"):
        read_released(folder)


def test_damaged_indexes_are_named(tmp_path: Path) -> None:
    folder = write_released(tmp_path / "Toys", SEQUENCES)
    rewrite(folder / "Toys.item2index", line(4, "raw3 3"))
    with pytest.raises(DataError, match=r"item2index:4: expected 'raw id<TAB>index', found 'raw3 3'"):
        read_released(folder)
    rewrite(folder / "Toys.item2index", line(4, "raw3\t2"))
    with pytest.raises(DataError, match=r"item2index:4: index 2 was given in line 3 already"):
        read_released(folder)
    rewrite(folder / "Toys.item2index", line(4, "raw3\t30"))
    with pytest.raises(DataError, match=r"item2index:4: index 30 but only 30 lines"):
        read_released(folder)


def test_rows_of_the_helper_look_like_the_released_ones() -> None:
    assert rows_of([[1, 2, 3, 4]])["train"] == ["0\t1\t2"]
    assert rows_of([[1, 2, 3, 4]])["test"] == ["0\t1 2 3\t4"]
