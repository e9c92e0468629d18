"""Whatever the bytes, a released folder is read or refused; no changed byte of a domain folder goes unnoticed."""

import random
import shutil

import pytest
from bad_input import HEADER, ITEMS, native, released
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from missrec_pl.data.released import read_released
from missrec_pl.errors import DataError
from missrec_pl.prepare.__main__ import main

tokens = st.one_of(
    st.integers(-1, ITEMS).map(str),
    st.sampled_from(["", "x", "1-2", "\u0663", "1.0", "9" * 12]),
    st.text(max_size=3),
)
rows = st.lists(
    st.tuples(st.integers(0, 3).map(str), st.lists(tokens, max_size=4).map(" ".join), tokens).map("\t".join),
    max_size=6,
)
whole_files = st.one_of(rows.map(lambda lines: HEADER + "\n".join(lines)), st.text(max_size=80))
reading = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path):
    return released(tmp_path / "shop")


def read_or_refuse(folder):
    """Nothing but a DataError leaves the reader, and what is read fits the catalogue."""
    try:
        (domain,) = read_released(folder)
    except DataError:
        return
    sequences = domain.users.sequences
    sequences.check(len(domain.raw_item_ids), "fuzz")
    assert len(domain.users.users) == sequences.num_users


@reading
@given(content=whole_files, split=st.sampled_from(["train", "valid", "test"]))
def test_any_text_as_a_split(folder, content, split):
    file = folder / f"shop.{split}.inter"
    before = file.read_bytes()
    file.write_text(content, encoding="utf-8", errors="surrogatepass")
    read_or_refuse(folder)
    file.write_bytes(before)


@reading
@given(content=st.binary(max_size=120), name=st.sampled_from(["train.inter", "item2index", "user2index", "text"]))
def test_any_bytes_as_any_file(folder, content, name):
    file = folder / f"shop.{name}"
    before = file.read_bytes() if file.exists() else None
    file.write_bytes(content)
    read_or_refuse(folder)
    file.unlink() if before is None else file.write_bytes(before)


@reading
@given(content=st.binary(min_size=4 * ITEMS, max_size=16 * ITEMS))
def test_any_bytes_as_features(folder, content):
    (folder / "shop.feat1CLS").write_bytes(content[: len(content) // (4 * ITEMS) * 4 * ITEMS])
    read_or_refuse(folder)


@reading
@given(data=st.data())
def test_any_changed_bytes_of_a_good_folder(folder, data):
    file = data.draw(st.sampled_from(sorted(folder.iterdir())))
    before = file.read_bytes()
    content = bytearray(before)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    read_or_refuse(folder)
    file.write_bytes(before)


def test_every_changed_byte_of_a_domain_folder_is_noticed(tmp_path, capsys):
    """A sweep over all files but domain.json: a byte at about 40 places of each, first and last among them."""
    folder = native(tmp_path / "shop")
    draw = random.Random(0)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "domain.json"]
    assert {file.name for file in files} == {"items.parquet", "sequences.parquet", "text.npy"}
    places = 0
    for file in files:
        before = file.read_bytes()
        chosen = {0, len(before) - 1, *(draw.randrange(len(before)) for _ in range(40))}
        for at in chosen:
            content = bytearray(before)
            content[at] ^= 1 << draw.randrange(8)
            file.write_bytes(content)
            assert main(["check", str(folder)]) == 2, f"{file.name}, byte {at}"
            printed = capsys.readouterr()
            assert file.name in printed.err
            assert len(printed.err.splitlines()) == 1
            places += 1
        file.write_bytes(before)
    assert places > 100
    assert main(["check", str(folder)]) == 0
    shutil.rmtree(folder)
