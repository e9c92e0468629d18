"""``prepare features --from``: matrices of every usual kind, put beside their items by id; what is odd of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from small_shop import titles, write_shop

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.released.number_types import looks_like
from missrec_pl.prepare.__main__ import main

COUNT, WIDTH = 24, 6
IDS = [f"item {number}" for number in range(COUNT, 0, -1)]  # against the order of the items
ROWS = np.random.default_rng(0).standard_normal((COUNT, WIDTH)).astype(np.float16).astype(np.float32)
BRAIN = (np.round(ROWS * 16) / 16).astype(np.float32)  # what bfloat16 holds


def take(shop: Path, file: Path, *flags: object) -> int:
    return main(["features", str(shop), "--from", str(file), "--modality", "image", *map(str, flags)])


def shop_in(folder: Path) -> Path:
    return write_shop(folder / "shop", titles(COUNT))


def beside(file: Path, ids: list[str] = IDS) -> None:
    file.with_name(f"{file.stem}.ids.txt").write_text("".join(f"{one}\n" for one in ids))


def bits(rows: np.ndarray) -> np.ndarray:
    return (rows.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def write_npy(file: Path, rows: np.ndarray) -> None:
    np.save(file, rows)
    beside(file)


def write_npz(file: Path, rows: np.ndarray) -> None:
    np.savez(file, embeddings=rows, ids=np.array(IDS))


def write_safetensors(file: Path, rows: np.ndarray) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"image": torch.from_numpy(rows)}, file)
    beside(file)


def write_bfloat16(file: Path, rows: np.ndarray) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"image": torch.from_numpy(rows).bfloat16()}, file)
    beside(file)


def write_torch(file: Path, rows: np.ndarray) -> None:
    import torch

    torch.save({raw: torch.from_numpy(row) for raw, row in zip(IDS, rows, strict=True)}, file)


def write_parquet(file: Path, rows: np.ndarray) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1).astype(np.float16)), WIDTH)
    pq.write_table(pa.table({"asin": IDS, "vector": vectors, "row": np.arange(COUNT)}), file)


def write_wide_arrow(file: Path, rows: np.ndarray) -> None:
    table = pa.table({"sku": IDS, **{f"f{place}": rows[:, place] for place in range(WIDTH)}})
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_hdf5(file: Path, rows: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py", reason='needs pip install "missrec-pl[hdf5]"')
    with h5py.File(file, "w") as held:
        held["features"], held["ids"] = rows, IDS


FILES: dict[str, tuple[str, Callable[[Path, np.ndarray], None], np.ndarray, str]] = {
    "float16": ("a.npy", write_npy, ROWS.astype(np.float16), "float16"),
    "float64": ("a.npy", write_npy, ROWS.astype(">f8"), "float64"),
    "int8": ("a.npy", write_npy, np.round(ROWS * 20).astype(np.int8), "int8"),
    "bfloat16 of ml_dtypes": ("a.npy", write_npy, bits(BRAIN).view("V2"), "bfloat16"),
    "npz": ("a.npz", write_npz, ROWS, "float32"),
    "safetensors": ("a.safetensors", write_safetensors, ROWS, "float32"),
    "safetensors of bfloat16": ("a.safetensors", write_bfloat16, BRAIN, "bfloat16"),
    "tensors by id": ("a.pt", write_torch, ROWS, "float32"),
    "parquet": ("a.parquet", write_parquet, ROWS, "float16"),
    "columns of numbers": ("a.arrow", write_wide_arrow, ROWS, "float32"),
    "hdf5": ("a.h5", write_hdf5, ROWS, "float32"),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, write, stored, told = FILES[kind]
    shop = shop_in(tmp_path)
    (tmp_path / "given").mkdir()
    write(tmp_path / "given" / name, stored)
    assert take(shop, tmp_path / "given" / name, "--made-by", "mine@1") == 0
    domain = Domain.open(shop, verify=True)
    expected = BRAIN if stored.dtype == "V2" else stored.astype(np.float32)
    np.testing.assert_array_equal(domain.features("image")[1:][::-1], expected)
    assert domain.info("image").encoder == "mine@1"
    assert domain.info("image").made_by["stored"] == f"{told}, {WIDTH} wide"
    assert f"{COUNT} rows of {told}, {WIDTH} wide" in capsys.readouterr().out


ORDERS: dict[str, tuple[str, str]] = {
    "a list": ("ids.json", json.dumps(IDS)),
    "rows by id": ("a.json", json.dumps({raw: row for row, raw in enumerate(IDS)})),
    "ids by row, from 1": (
        "a_index.csv",
        "row,id\n" + "".join(f"{row},{raw}\n" for row, raw in enumerate(IDS, 1)),
    ),
    "released": ("shop.item2index", "".join(f"{raw}\t{row}\n" for row, raw in enumerate(IDS))),
    "a column with its name": ("item_ids.csv", "item_id\n" + "".join(f"{raw}\n" for raw in IDS)),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_ids_in_a_file(kind: str, tmp_path: Path) -> None:
    shop = shop_in(tmp_path)
    (tmp_path / "given").mkdir()
    np.save(tmp_path / "given" / "a.npy", ROWS)
    name, text = ORDERS[kind]
    (tmp_path / "given" / name).write_text(text)
    flags = ("--ids", tmp_path / "given" / name) if kind == "released" else ()
    assert take(shop, tmp_path / "given" / "a.npy", *flags) == 0
    np.testing.assert_array_equal(Domain.open(shop).features("image")[1:], ROWS[::-1])


def test_rows_in_the_order_of_the_items(tmp_path: Path) -> None:
    shop, file = shop_in(tmp_path), tmp_path / "a.npy"
    np.save(file, np.concatenate([np.zeros((1, WIDTH), np.float32), ROWS])[:, None])
    assert take(shop, file, "--ids", "items") == 0
    np.testing.assert_array_equal(Domain.open(shop).features("image")[1:], ROWS)


def test_what_is_missing_or_over_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop, file = shop_in(tmp_path), tmp_path / "a.npy"
    rows = ROWS.copy()
    rows[3], rows[4, 2] = 0, np.inf
    np.save(file, rows[:-2])
    beside(file, [*IDS[:-3], "nobody"])
    assert take(shop, file) == 2
    assert "1 rows hold NaN or infinity, such as that of item item 20" in capsys.readouterr().err
    assert take(shop, file, "--skip-bad-rows") == 0
    assert np.flatnonzero(~Domain.open(shop, verify=True).present("image")[1:]).tolist() == [0, 1, 2, 19, 20]
    printed = capsys.readouterr().out
    for told in (
        "21 of 24 items have a row",
        "3 items have none, such as item 1, item 2, item 3",
        "1 rows belong to no item, such as nobody",
        "1 rows of zeros count as missing",
    ):
        assert told in printed


def save(file: Path, rows: Any, ids: list[str] | None = None) -> Path:
    np.save(file, rows, allow_pickle=True)
    if ids is not None:
        beside(file, ids)
    return file


def test_the_join_is_checked_as_every_join_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop, file = write_shop(tmp_path / "shop", titles(COUNT)), tmp_path / "a.npy"
    save(file, ROWS, [one.upper() for one in IDS])
    assert take(shop, file) == 2
    assert "other capitals? --id-form case would match 24 more" in capsys.readouterr().err
    assert take(shop, file, "--allow-unmatched") == 2  # not one id matches
    capsys.readouterr()
    assert take(shop, file, "--id-form", "case") == 0
    stored = Domain.open(shop, verify=True).features("image")[1:]
    np.testing.assert_array_equal(stored[::-1], ROWS)
    capsys.readouterr()
    assert main(["info", str(shop)]) == 0
    assert "24 ids of a.npy: 24 in items.parquet, which has 24" in capsys.readouterr().out
    # Few items have a row, and all rows belong to items: nothing is odd.
    save(file, ROWS[:5], IDS[:5])
    assert take(shop, file, "--overwrite") == 0
    assert "warning: " not in capsys.readouterr().out.split("\n  ")[1]
    save(file, ROWS, [*IDS[:11], *(f"other {number}" for number in range(13))])
    assert take(shop, file, "--overwrite") == 2
    assert "13 of 24 ids of a.npy (54.2%) are not in items.parquet" in capsys.readouterr().err
    assert take(shop, file, "--overwrite", "--allow-unmatched") == 0
    assert "warning: 13 of 24 ids" in capsys.readouterr().out


MISTAKES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], str]] = {
    "no ids": (lambda file: save(file, ROWS), (), "nothing says which item each belongs to"),
    "another number of ids": (lambda file: save(file, ROWS, IDS[1:]), (), "23 ids for 24 rows"),
    "another number of rows": (lambda file: save(file, ROWS[1:]), ("--ids", "items"), "23 rows for 24 items"),
    "ids of others": (
        lambda file: save(file, ROWS, [f"0{one}" for one in IDS]),
        (),
        "24 of 24 ids of a.npy (100.0%) are not in items.parquet",
    ),
    "one id twice": (lambda file: save(file, ROWS, [IDS[1], *IDS[1:]]), (), "rows 0 and 1 are both of item"),
    "lists of Python": (lambda file: save(file, np.array([[1], [1, 2]], object)), (), "objects of Python"),
    "a vector": (lambda file: save(file, ROWS[:, 0], IDS), (), "no matrix of a row for each item"),
    "complex": (lambda file: save(file, ROWS * 1j, IDS), (), "no real numbers"),
    "too large": (lambda file: save(file, ROWS.astype(float) * 1e200, IDS), (), "hold NaN or infinity"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_and_change_nothing(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, flags, told = MISTAKES[mistake]
    shop = shop_in(tmp_path)
    (tmp_path / "given").mkdir()
    assert take(shop, write(tmp_path / "given" / "a.npy"), *flags) == 2
    assert told in capsys.readouterr().err
    assert Domain.open(shop, verify=True).modalities == {}


def test_odd_values_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = shop_in(tmp_path)
    (tmp_path / "given").mkdir()
    flat = ROWS.copy()
    flat[5] = 3
    copied = ROWS.copy()
    copied[:9] = copied[0]
    for rows, told in (
        (ROWS * 1e5, "values are of size"),
        (np.round(ROWS * 40).astype(np.int8), "quantised without their scale"),
        (flat, "hold one value only, such as that of item 19"),
        (copied, "have the same vector"),
        (np.hstack([ROWS[:, :1], np.ones((COUNT, 5), np.float32)]), "5 of 6 columns are the same for all items"),
    ):
        capsys.readouterr()
        assert take(shop, save(tmp_path / "given" / "a.npy", rows, IDS), "--overwrite") == 0
        assert f"warning: image: {told}" in (printed := capsys.readouterr().out) or told in printed
        assert "warning" in printed
    assert take(shop, save(tmp_path / "given" / "a.npy", ROWS, IDS), "--overwrite") == 0
    assert "warning" not in capsys.readouterr().out
    half = save(tmp_path / "given" / "a.npy", ROWS.astype(np.float16), IDS)
    assert main(["features", str(shop), "--from", str(half), "--modality", "text"]) == 0
    assert "warning: text: 100.0% of the rows equal those of image" in capsys.readouterr().out


def write_released(folder: Path, count: int = 20) -> Path:
    """A folder in the released format, without features."""
    folder.mkdir()
    header = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    lines: dict[str, str] = dict.fromkeys(("train", "valid", "test"), header)
    for user in range(6):
        items = [str((2 * user + step) % count) for step in range(5)]
        for split, end in (("train", 2), ("valid", 3), ("test", 4)):
            lines[split] += f"{user}\t{' '.join(items[:end])}\t{items[end]}\n"
        lines["train"] += f"{user}\t{items[0]}\t{items[1]}\n"
    for split, text in lines.items():
        (folder / f"shop.{split}.inter").write_text(text)
    (folder / "shop.item2index").write_text("".join(f"raw{row}\t{row}\n" for row in range(count)))
    return folder


TYPES = {"float16": "<f2", "float64": "<f8", "bfloat16": None, "int8": "i1"}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0])
def test_released_features_of_another_type_are_refused_and_read_by_flag(
    kind: str, scale: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_released(tmp_path / "shop")
    file = folder / "shop.feat1CLS"
    values = (np.random.default_rng(1).standard_normal((20, 64)) * scale).astype(np.float32)
    stored = bits(values) if kind == "bfloat16" else values.astype(TYPES[kind])
    if kind == "int8":
        stored = np.clip(np.round(values / scale * 40), -127, 127).astype(np.int8)
    stored.tofile(file)
    assert main(["released", str(folder), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert file.name in error
    assert f"--feature-type {kind}" in error
    assert main(["released", str(folder), str(tmp_path / "out"), "--feature-type", kind]) == 0
    found = np.asarray(Domain.open(tmp_path / "out", verify=True).features("text")[1:])
    wanted = stored.astype(np.float32) if kind != "bfloat16" else values
    np.testing.assert_allclose(found, wanted, rtol=0.01, atol=1e-6)


def test_sound_float32_is_never_taken_for_something_else() -> None:
    random = np.random.default_rng(2)
    normal = random.standard_normal((50, 64))
    tiny = np.where(random.random((50, 64)) < 0.5, normal, normal * 1e-17)  # as an SVD of few texts leaves them
    for rows in (
        normal,
        normal * 1e-3,
        normal.astype(np.float16),
        bits(normal).astype(np.uint32) << 16,
        np.maximum(normal, 0),
        normal > 1,
        np.exp(4 * normal),
        tiny,
        np.round(normal * 30),
        random.random((50, 64)),
    ):
        content = rows.view(np.float32) if rows.dtype == np.uint32 else rows.astype(np.float32)
        assert looks_like(content.tobytes()) is None
