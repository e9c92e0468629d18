"""Broken domain folders."""

import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bad_input import ITEMS, WIDTH, case


class Harmful:
    def __reduce__(self):
        return (open, ("HARM", "w"))


def manifest(folder, change):
    file = folder / "domain.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def column(folder, file, name, values):
    """Replace a column of a table; the checksum is brought up to date, so that the content is looked at."""
    from missrec_pl.data.domain.checks import sha256_of

    table = pq.read_table(folder / file)
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), folder / file)
    manifest(folder, lambda content: content["sha256"].update({file: sha256_of(folder / file)}))


def text(folder):
    return folder / "features" / "text.npy"


def sequences(folder, change, name="items", kind=None):
    lists = pq.read_table(folder / "sequences.parquet")[name].to_pylist()
    change(lists)
    column(folder, "sequences.parquet", name, pa.array(lists, pa.list_(kind or pa.int32())))


@case("native", "domain.json is no JSON", "domain.json: not valid JSON")
def no_json(folder):
    (folder / "domain.json").write_text("{")


@case("native", "domain.json with a byte order mark", "domain.json: not valid JSON", "BOM")
def bom(folder):
    file = folder / "domain.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


@case("native", "domain.json nested without end", "domain.json: not valid JSON")
def nested(folder):
    (folder / "domain.json").write_text("[" * 100_000)


@case("native", "domain.json of binary zeros", "domain.json: not valid JSON")
def zeros(folder):
    (folder / "domain.json").write_bytes(b"\0" * 100)


@case("native", "domain.json of another schema", "domain.json: schema version 99, this program reads 1")
def schema(folder):
    manifest(folder, lambda content: content.update(schema_version=99))


@case("native", "domain.json without counts", "domain.json: missing or wrong entry", "counts")
def no_counts(folder):
    manifest(folder, lambda content: content.pop("counts"))


@case("native", "a count that is a text", "domain.json: missing or wrong entry", "many")
def count_text(folder):
    manifest(folder, lambda content: content["counts"].update(items="many"))


@case("native", "counts that are not the table's", "items have to be 1..13 in order, found 12 rows")
def wrong_count(folder):
    manifest(folder, lambda content: content["counts"].update(items=13))


@case("native", "a feature file outside of the folder", "domain.json: missing or wrong entry", "leaves the domain")
def traversal(folder):
    manifest(folder, lambda content: content["modalities"]["text"].update(file="../../secret.npy"))


@case("native", "a checksum of a file outside of the folder", "domain.json: missing or wrong entry", "leaves the")
def checksum_traversal(folder):
    manifest(folder, lambda content: content["sha256"].update({"../../etc/passwd": "0" * 64}))


@case("native", "an unknown dtype", "domain.json: missing or wrong entry", "int8")
def dtype(folder):
    manifest(folder, lambda content: content["modalities"]["text"].update(dtype="int8"))


@case("native", "domain.json is a link to itself", "holds no domain.json")
def link_loop(folder):
    (folder / "domain.json").unlink()
    (folder / "domain.json").symlink_to("domain.json")


@case("native", "items.parquet cut off", "items.parquet: not a readable parquet file")
def cut_items(folder):
    file = folder / "items.parquet"
    file.write_bytes(file.read_bytes()[:-9])


@case("native", "items.parquet lost", "items.parquet is missing")
def lost_items(folder):
    (folder / "items.parquet").unlink()


@case("native", "items out of order", "items.parquet: items have to be 1..12 in order")
def item_order(folder):
    column(folder, "items.parquet", "item", pa.array([*range(2, ITEMS + 1), 1], pa.int32()))


@case("native", "presence that is not the coverage's", "has_text does not fit the coverage")
def coverage(folder):
    column(folder, "items.parquet", "has_text", pa.array([False] * ITEMS))


@case("native", "sequences of texts", "sequences.parquet: column 'items' is list", "not a list of int32")
def text_items(folder):
    lists = pa.array([["a"]] * 6, pa.list_(pa.string()))
    column(folder, "sequences.parquet", "items", lists)


@case("native", "item beyond the catalogue", "sequences.parquet: user 3 has item 50", "items 1..12")
def beyond(folder):
    sequences(folder, lambda lists: lists[3].__setitem__(1, 50))


@case("native", "padding item in a sequence", "sequences.parquet: user 3 has item 0")
def padding(folder):
    sequences(folder, lambda lists: lists[3].__setitem__(1, 0))


@case("native", "a sequence of length zero", "sequences.parquet", "user 2 has no interactions")
def zero_length(folder):
    sequences(folder, lambda lists: lists[2].clear())
    sequences(folder, lambda lists: lists[2].clear(), "timestamps", pa.int64())


@case("native", "unsorted timestamps", "sequences.parquet: timestamps of user 1 run backwards")
def unsorted(folder):
    sequences(folder, lambda lists: lists[1].reverse(), "timestamps", pa.int64())


@case("native", "fewer timestamps than items", "sequences.parquet: timestamps and items differ in length")
def fewer_times(folder):
    sequences(folder, lambda lists: lists[1].pop(), "timestamps", pa.int64())


@case("native", "features cut off", "features/text.npy: truncated or no .npy file")
def cut_features(folder):
    text(folder).write_bytes(text(folder).read_bytes()[:-6])


@case("native", "features lost", "features/text.npy is missing")
def lost_features(folder):
    text(folder).unlink()


@case("native", "features as float64", "features/text.npy: found float64 (13, 4), domain.json says float32")
def float64(folder):
    np.save(text(folder), np.load(text(folder)).astype(np.float64))


@case("native", "features in big-endian order", "features/text.npy: found >f4 (13, 4), domain.json says float32")
def big_endian(folder):
    np.save(text(folder), np.load(text(folder)).astype(">f4"))


@case("native", "features of another width", "features/text.npy: found float32 (13, 5)")
def width(folder):
    np.save(text(folder), np.zeros((ITEMS + 1, WIDTH + 1), np.float32))


@case("native", "padding row that is not zero", "features/text.npy: row 0 belongs to padding")
def padding_row(folder):
    np.save(text(folder), np.load(text(folder)) + 1)


@case("native", "features that are a pickle with code", "features/text.npy: truncated or no .npy file", "objects")
def pickled(folder):
    np.save(text(folder), np.array([Harmful()], object), allow_pickle=True)


@case("native", "features that are an archive which would fill the memory", "features/text.npy", "no .npy file")
def bomb(folder):
    with zipfile.ZipFile(text(folder), "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 300)}
        )
        archive.writestr("rows.npy", header.getvalue() + b"\0" * 10_000_000)


@case("native", "a header that claims a terabyte", "features/text.npy: truncated or no .npy file")
def huge_header(folder):
    with text(folder).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**10, 25)})


@case("native", "one byte of the features changed", "features/text.npy: checksum", "damaged or changed")
def one_byte(folder):
    content = bytearray(text(folder).read_bytes())
    content[-5] ^= 1
    text(folder).write_bytes(content)


@case("native", "one byte of the texts changed", "items.parquet")
def one_text(folder):
    file = folder / "items.parquet"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)


@case("native", "a folder that is a link to itself", "no domain folder at")
def folder_loop(folder):
    import shutil

    shutil.rmtree(folder)
    folder.symlink_to(folder.name)
