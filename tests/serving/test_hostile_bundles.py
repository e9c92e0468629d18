"""Bundles that are damaged or that somebody wrote to do harm: one line each, and nothing of them is executed."""

import hashlib
import json
import os
import shutil
import struct
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from served_shop import written

from missrec_pl.errors import DataError, printable
from missrec_pl.serving import load

CASES = {}


def case(words):
    def kept(damage):
        CASES[damage.__name__] = (damage, words)
        return damage

    return kept


def signed(folder):
    """Checksums as they are now: who writes a bundle can write these, too."""
    content = json.loads((folder / "bundle.json").read_text())
    for name in content["sha256"]:
        content["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(content))


def rewrite(folder, change):
    content = json.loads((folder / "bundle.json").read_text())
    change(content)
    (folder / "bundle.json").write_text(json.dumps(content))


def retensor(folder, change):
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file(tensors, folder / "weights.safetensors")
    signed(folder)


@case("is no bundle: it has no bundle.json")
def no_manifest(folder):
    (folder / "bundle.json").unlink()


@case("is no bundle")
def a_file_in_the_place_of_a_folder(folder):
    shutil.rmtree(folder)
    folder.write_text("a bundle")


@case("not valid JSON")
def manifest_cut_off(folder):
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text[: len(text) // 2])


@case("nested deeper than 100")
def deep_json(folder):
    (folder / "bundle.json").write_text("[" * 100_000)


@case("schema version None")
def a_list_for_a_manifest(folder):
    (folder / "bundle.json").write_text("[1, 2]")


@case("schema version True, this program reads 1")
def a_truth_for_a_version(folder):
    rewrite(folder, lambda content: content.update(schema_version=True))


@case("a missing or wrong entry .*encoders")
def a_number_for_an_encoder(folder):
    rewrite(folder, lambda content: content["encoders"].update(text=5))


@case("a missing or wrong entry .*metrics")
def a_text_for_a_metric(folder):
    rewrite(folder, lambda content: content["metrics"].update({"test/recall@10": ["x"]}))


@case("is no bundle: it has no bundle.json")
def a_manifest_without_end(folder):
    (folder / "bundle.json").unlink()
    (folder / "bundle.json").symlink_to("/dev/zero")


@case("weights.safetensors is missing")
def a_pipe_for_weights(folder):
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")


@case("truncated or no safetensors file")
def files_in_each_others_place(folder):
    (folder / "weights.safetensors").rename(folder / "other")
    (folder / "items.parquet").rename(folder / "weights.safetensors")
    (folder / "other").rename(folder / "items.parquet")
    signed(folder)


@case("schema version 2, this program reads 1")
def another_version(folder):
    rewrite(folder, lambda content: content.update(schema_version=2))


@case("a missing or wrong entry .*temperature")
def no_temperature(folder):
    rewrite(folder, lambda content: content.pop("temperature"))


@case("a missing or wrong entry .*extra")
def an_entry_of_another_program(folder):
    rewrite(folder, lambda content: content.update(extra=1))


@case("a missing or wrong entry .*temperature=0")
def temperature_zero(folder):
    rewrite(folder, lambda content: content.update(temperature=0))


@case("a missing or wrong entry .*network is no object")
def a_text_for_a_network(folder):
    rewrite(folder, lambda content: content.update(network="os.system"))


@case("'os.system' is no network that this version has")
def code_for_a_network(folder):
    rewrite(
        folder,
        lambda content: content.update(network={"name": "os.system", "arguments": {"command": "touch HARM"}}),
    )


@case("'Encoder' is no network")
def a_part_for_a_network(folder):
    rewrite(folder, lambda content: content["network"].update(name="Encoder"))


@case("'subprocess.Popen' is no part of a network")
def code_for_an_argument(folder):
    part = {"$part": "subprocess.Popen", "args": ["touch", "HARM"]}
    rewrite(folder, lambda content: content["network"]["arguments"].update(interests=part))


@case("MISSRecReleased does not take its arguments")
def an_unknown_argument(folder):
    rewrite(folder, lambda content: content["network"]["arguments"].update(command="touch HARM"))


@case("MISSRecReleased does not take its arguments")
def an_argument_of_another_kind(folder):
    rewrite(folder, lambda content: content["network"]["arguments"].update(hidden_size={"a": []}))


@case("MISSRecReleased does not take its arguments .*overflow")
def a_huge_width(folder):
    rewrite(folder, lambda content: content["network"]["arguments"].update(hidden_size=2_000_000_000))


@case("is float32 .*, the network has float32 ")
def a_large_width(folder):
    rewrite(folder, lambda content: content["network"]["arguments"].update(hidden_size=1_000_000))


@case("more layers than it has weights for")
def layers_without_end(folder):
    rewrite(folder, lambda content: content["network"]["arguments"].update(num_encoder_layers=10**9))


@case("a count of 1000000000000")
def a_huge_count(folder):
    rewrite(folder, lambda content: content["shape"].update(num_items=10**12))


@case("float32 .*the network has float32")
def more_items_than_there_are(folder):
    rewrite(folder, lambda content: content["shape"].update(num_items=2**31 - 1))


@case("a count of -1")
def a_negative_count(folder):
    rewrite(folder, lambda content: content["shape"].update(max_history=-1))


@case("not valid JSON .*400 digits")
def endless_digits(folder):
    text = (folder / "bundle.json").read_text().replace('"max_history": 5', '"max_history": 5' + "0" * 399)
    (folder / "bundle.json").write_text(text)


@case("'Evil' is no scorer")
def an_unknown_scorer(folder):
    rewrite(folder, lambda content: content["scorers"].update(evil={"name": "Evil", "arguments": {}}))


@case("a scorer has a name that none can have")
def a_scorer_with_a_path_for_a_name(folder):
    rewrite(folder, lambda content: content["scorers"].update({"../../x.y": content["scorers"].pop("seen")}))


@case("it holds .*, which the network lacks")
def a_scorer_left_out(folder):
    rewrite(folder, lambda content: content["scorers"].pop("content"))


@case("no whitening of '../../etc/passwd'")
def a_whitening_with_a_path_for_a_name(folder):
    rewrite(folder, lambda content: content.update(whitening=["../../etc/passwd"]))


@case("weights.safetensors is missing")
def no_weights(folder):
    (folder / "weights.safetensors").unlink()


@case("weights.safetensors: its checksum is not the one")
def one_bit_changed(folder):
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


@case("truncated or no safetensors file")
def weights_cut_off(folder):
    content = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(content[: len(content) // 2])
    signed(folder)


@case("truncated or no safetensors file")
def a_pickle_for_weights(folder):
    torch.save({"a": torch.zeros(2)}, folder / "weights.safetensors")
    signed(folder)


@case("truncated or no safetensors file")
def a_header_without_end(folder):
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    signed(folder)


@case("truncated or no safetensors file")
def a_tensor_that_claims_to_be_huge(folder):
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    signed(folder)


@case("it lacks the tensor network.|it lacks the tensor position_embedding")
def a_tensor_is_missing(folder):
    retensor(folder, lambda tensors: tensors.pop("network.position_embedding.weight"))


@case("it holds '__class__', which the network lacks")
def a_tensor_too_many(folder):
    retensor(folder, lambda tensors: tensors.update({"network.__class__": torch.zeros(1)}))


@case(r"position_embedding.weight is float32 \(3, 3\), the network has float32 \(5, 8\)")
def another_shape(folder):
    retensor(folder, lambda tensors: tensors.update({"network.position_embedding.weight": torch.zeros(3, 3)}))


@case("position_embedding.weight is int64")
def another_type(folder):
    name = "network.position_embedding.weight"
    retensor(folder, lambda tensors: tensors.update({name: tensors[name].long()}))


@case(r"position_embedding.weight is float8_e4m3fn \(5, 8\), which no network has")
def a_type_without_arithmetic(folder):
    name = "network.position_embedding.weight"
    retensor(folder, lambda tensors: tensors.update({name: tensors[name].to(torch.float8_e4m3fn)}))


@case("truncated or no safetensors file .20,001 tensors")
def tensors_without_end(folder):
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"network.x{number}": nothing for number in range(20_001)}).encode()
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    signed(folder)


@case("position_embedding.weight holds NaN or infinity")
def not_a_number(folder):
    retensor(folder, lambda tensors: tensors["network.position_embedding.weight"].fill_(float("nan")))


@case("items' vectors of shape .* for 12 items")
def vectors_of_other_items(folder):
    retensor(folder, lambda tensors: tensors.update({"items.vectors": torch.zeros(3, 2, 8)}))


@case("it lacks the items' vectors")
def no_vectors(folder):
    retensor(folder, lambda tensors: tensors.pop("items.vectors"))


@case("its tensors do not go together")
def vectors_of_another_width(folder):
    retensor(folder, lambda tensors: tensors.update({"items.vectors": torch.zeros(13, 2, 9)}))


@case("its tensors do not go together")
def interests_out_of_range(folder):
    retensor(folder, lambda tensors: tensors["items.extra.interest"].fill_(10**6))


@case("its tensors do not go together")
def neighbours_out_of_range(folder):
    retensor(folder, lambda tensors: tensors["scorers.cooccurrence.fitted.pairs.neighbours"].fill_(10**12))


@case("its tensors do not go together .pairs that are not there")
def pairs_that_would_fill_the_memory(folder):
    name = "scorers.cooccurrence.fitted.pairs.offsets"
    retensor(folder, lambda tensors: tensors.update({name: torch.arange(14) * 10**10}))


@case("its tensors do not go together")
def rows_out_of_range(folder):
    retensor(folder, lambda tensors: tensors["scorers.content.fitted.text.row_of"].fill_(-(10**6)))


@case("its tensors do not go together")
def words_of_items_that_are_not_there(folder):
    retensor(folder, lambda tensors: tensors["scorers.words.fitted.words.neighbours"].fill_(10**6))


@case("items.parquet: no readable table of items")
def no_table(folder):
    (folder / "items.parquet").write_bytes(b"PAR1 no more")
    signed(folder)


def table_of(folder, **columns):
    known = pq.read_table(folder / "items.parquet")
    for name, values in columns.items():
        known = known.set_column(known.column_names.index(name), name, values)
    pq.write_table(known, folder / "items.parquet")
    signed(folder)


@case("13 rows for 12 items|11 rows for 12 items")
def fewer_items(folder):
    pq.write_table(pq.read_table(folder / "items.parquet").slice(1), folder / "items.parquet")
    signed(folder)


@case("an item's id is empty or comes twice")
def an_id_twice(folder):
    table_of(folder, raw_id=pa.array(["same"] * 12))


@case("a cell without a value")
def an_id_missing(folder):
    table_of(folder, raw_id=pa.array([None] * 12, pa.string()))


@case("the columns ")
def a_column_of_another_type(folder):
    table_of(folder, count=pa.array(["1"] * 12))


@case("texts without end")
def titles_without_end(folder):
    table_of(folder, title=pa.array(["x" * 1_000_000] * 12))


@case("texts without end")
def one_text_in_every_row(folder):
    """Stored once, spelled out for each row: a file of some KB would fill the memory."""
    known = pq.read_table(folder / "items.parquet")
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 12, pa.int32()), pa.array(["x" * 110_000]))
    table = known.set_column(known.column_names.index("title"), "title", shared)
    pq.write_table(table, folder / "items.parquet", compression="zstd", store_schema=False)
    assert (folder / "items.parquet").stat().st_size < 10_000
    signed(folder)


@case("utf-8")
def a_title_that_is_no_text(folder):
    ends = pa.py_buffer(np.arange(13, dtype=np.int32).tobytes())
    table_of(folder, title=pa.Array.from_buffers(pa.string(), 12, [None, ends, pa.py_buffer(b"\xff" * 12)]))


@case("a count below 0")
def fewer_than_none(folder):
    table_of(folder, count=pa.array([-1] * 12))


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return written(tmp_path_factory.mktemp("intact") / "bundle")


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_nothing_is_executed(name, intact, tmp_path, monkeypatch):
    damage, words = CASES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail(f"executed: {command}"))
    folder = tmp_path / "bundle"
    shutil.copytree(intact, folder)
    damage(folder)
    start = time.perf_counter()
    with pytest.raises(DataError, match=words) as found:
        load(folder)
    assert time.perf_counter() - start < 20
    line = printable(str(found.value))
    assert "\n" not in line
    assert not (tmp_path / "HARM").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


def test_titles_are_data(intact, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(intact, folder)
    odd = ["<script>alert(1)</script>", "\x1b[2J", "../../etc/passwd", "'; DROP TABLE", "${oc.env:HOME}"]
    table_of(folder, title=pa.array(odd + ["x"] * 7), raw_id=pa.array(odd + [f"r{n}" for n in range(7)]))
    served = load(folder)
    assert [served.title(one) for one in odd] == odd
    assert np.isfinite(served.recommend([odd])["score"].to_numpy()).all()
