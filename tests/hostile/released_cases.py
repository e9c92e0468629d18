"""Broken folders in the authors' format."""

import numpy as np
from bad_input import HEADER, ITEMS, WIDTH, case, features


def lines(folder, split="train"):
    return (folder / f"shop.{split}.inter").read_text().splitlines(keepends=True)


def write(folder, rows, split="train"):
    (folder / f"shop.{split}.inter").write_text("".join(rows))


def replace_row(folder, row, text, split="train"):
    rows = lines(folder, split)
    rows[row] = text
    write(folder, rows, split)


@case("released", "lines end in CRLF (read all the same)")
def crlf(folder):
    for file in [*folder.glob("*.inter"), folder / "shop.item2index"]:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


@case("released", "byte order mark (read all the same)")
def bom(folder):
    for file in [*folder.glob("*.inter"), folder / "shop.item2index"]:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


@case("released", "users' names in other scripts (read all the same)")
def scripts(folder):
    for file in folder.glob("*.inter"):
        rows = file.read_text().splitlines(keepends=True)
        file.write_text("".join([rows[0], *("kävijä-用户" + row for row in rows[1:])]))


@case("released", "no header", "shop.train.inter:1: bad header", "expected")
def no_header(folder):
    write(folder, lines(folder)[1:])


@case("released", "header twice", "shop.train.inter:2: item token", "is not an integer row number")
def header_twice(folder):
    write(folder, [HEADER, *lines(folder)])


@case("released", "columns separated by spaces", "shop.train.inter:1: bad header")
def spaces(folder):
    write(folder, [row.replace("\t", " ") for row in lines(folder)])


@case("released", "a fourth column", "shop.train.inter:2: expected 3 columns separated by tabs, found 4")
def fourth_column(folder):
    replace_row(folder, 1, "0\t0\t2\t9\n")


@case("released", "item beyond the catalogue", "shop.test.inter:2: item 99 is outside the catalogue", "0..11")
def beyond(folder):
    replace_row(folder, 1, lines(folder, "test")[1].rpartition("\t")[0] + "\t99\n", "test")


@case("released", "negative item", "shop.train.inter:2: item token '-1' is not an integer row number")
def negative(folder):
    replace_row(folder, 1, "0\t-1\t2\n")


@case("released", "item number of a hundred digits", "shop.train.inter:2: item token", "not an integer row number")
def long_number(folder):
    replace_row(folder, 1, f"0\t{'9' * 100}\t2\n")


@case("released", "digits of another script", "shop.train.inter:2: item token '٣' is not an integer row number")
def other_digits(folder):
    replace_row(folder, 1, "0\t٣\t2\n")


@case("released", "history of length zero", "shop.train.inter:2: user 0 has an empty history")
def zero_length(folder):
    replace_row(folder, 1, "0\t\t2\n")


@case("released", "no target", "shop.train.inter:2: user 0 has a history but no target")
def no_target(folder):
    replace_row(folder, 1, "0\t0\t\n")


@case("released", "a line of two million characters", "shop.train.inter:2: expected 3 columns", "found 1")
def long_line(folder):
    replace_row(folder, 1, "x" * 2_000_000 + "\n")


@case("released", "a user's name of a million characters", "has train rows but none", "…")
def long_user(folder):
    replace_row(folder, 1, "u" * 1_000_000 + "\t0\t2\n")


@case("released", "terminal escapes in a name", "\\x1b[2J", "has an empty history")
def escapes(folder):
    replace_row(folder, 1, "\x1b[2Juser\t\t2\n")


@case("released", "NUL bytes", "shop.train.inter:2: item token '\\x00\\x00' is not an integer")
def nul(folder):
    replace_row(folder, 1, "0\t\0\0\t2\n")


@case("released", "not UTF-8", "shop.train.inter: not UTF-8", "convert the file")
def latin(folder):
    file = folder / "shop.train.inter"
    file.write_bytes(file.read_bytes() + "Mällä\t0\t2\n".encode("latin-1"))


@case("released", "compressed rows under the plain name", "shop.train.inter: not UTF-8")
def compressed(folder):
    import gzip

    (folder / "shop.train.inter").write_bytes(gzip.compress(b"x" * 1000, mtime=0))


@case("released", "an empty file", "shop.valid.inter:1: bad header ''")
def empty_file(folder):
    write(folder, [], "valid")


@case("released", "a split without rows", "shop.valid.inter: the split is empty")
def empty_split(folder):
    write(folder, [HEADER], "valid")


@case("released", "no test file", "lacks shop.test.inter")
def no_test(folder):
    (folder / "shop.test.inter").unlink()


@case("released", "a user without a test row", "has train rows but none in shop.test.inter")
def no_test_row(folder):
    write(folder, lines(folder, "test")[:-1], "test")


@case("released", "the same row twice", "shop.test.inter:3: user 0 repeats the row of line 2")
def twice(folder):
    rows = lines(folder, "test")
    write(folder, [*rows[:2], *rows[1:]], "test")


@case("released", "rows that contradict each other", "contradict the user's longest row")
def contradiction(folder):
    replace_row(folder, 1, "0\t7\t3\n")


@case("released", "a file that is a link to itself", "lacks shop.valid.inter")
def link_loop(folder):
    (folder / "shop.valid.inter").unlink()
    (folder / "shop.valid.inter").symlink_to("shop.valid.inter")


@case("released", "a folder in place of a file", "shop.item2index", "is a folder, not a file")
def folder_as_file(folder):
    (folder / "shop.item2index").unlink()
    (folder / "shop.item2index").mkdir()


@case("released", "an index given twice", "shop.item2index:13: index 0 was given in line 1 already")
def index_twice(folder):
    with (folder / "shop.item2index").open("a") as file:
        file.write("again\t0\n")


@case("released", "an index left out", "shop.item2index:12: index 12 but only 12 lines")
def index_gap(folder):
    file = folder / "shop.item2index"
    file.write_text(file.read_text().replace("\t11\n", "\t12\n"))


@case("released", "an index that is no number", "shop.item2index:1: expected 'raw id<TAB>index'")
def index_word(folder):
    file = folder / "shop.item2index"
    file.write_text(file.read_text().replace("\t0\n", "\tzero\n", 1))


@case("released", "no features at all", "has neither shop.feat1CLS (text) nor shop.feat3CLS (image)")
def no_features(folder):
    (folder / "shop.feat1CLS").unlink()


@case("released", "features of zero bytes", "shop.feat1CLS: 0 bytes are not 12 rows of float32")
def zero_bytes(folder):
    (folder / "shop.feat1CLS").write_bytes(b"")


@case("released", "features cut within a row", "shop.feat1CLS: 186 bytes are not 12 rows", "truncated")
def truncated(folder):
    file = folder / "shop.feat1CLS"
    file.write_bytes(file.read_bytes()[:-6])


@case("released", "features in big-endian order", "shop.feat1CLS", "little-endian float32")
def big_endian(folder):
    features().astype(">f4").tofile(folder / "shop.feat1CLS")


@case("released", "features as float64", "shop.feat1CLS", "float64", "little-endian float32")
def float64(folder):
    features().astype("<f8").tofile(folder / "shop.feat1CLS")


@case("released", "features that are text", "shop.feat1CLS", "little-endian float32")
def text_features(folder):
    (folder / "shop.feat1CLS").write_bytes(b"0.1234 0.5678 ; " * ITEMS)


@case("released", "NaN features", "shop.feat1CLS: row 7 (item raw7) has NaN or infinite features")
def nan(folder):
    rows = features()
    rows[7, 2] = np.nan
    rows.tofile(folder / "shop.feat1CLS")


@case("released", "infinite features", "shop.feat1CLS: row 3 (item raw3) has NaN or infinite features")
def infinite(folder):
    rows = features()
    rows[3, 0] = np.inf
    rows.tofile(folder / "shop.feat1CLS")


@case("released", "a view of another width", "shop.feat2CLS has wrong width 5")
def view_width(folder):
    features(WIDTH + 1).tofile(folder / "shop.feat2CLS")


@case("merged", "a domain name that leaves the folder", "shop.pt_datasets", "'../../shop' is no name of a domain")
def traversal(folder):
    (folder / "shop.pt_datasets").write_text("../../shop")


@case("merged", "no domain listed", "shop.pt_datasets names no domain")
def no_domain(folder):
    (folder / "shop.pt_datasets").write_text("\n")


@case("merged", "a domain number beyond the list", "shop.train.inter:2: domain number 3")
def domain_number(folder):
    write(folder, [row.replace("0-", "3-") for row in lines(folder)])


@case("merged", "items of two domains in one row", "items of several domains in one row")
def two_domains(folder):
    replace_row(folder, 1, "0\t0-0 1-2\t0-4\n")


@case("merged", "tokens without a domain number", "expected '<domain number>-<row>'")
def plain_tokens(folder):
    replace_row(folder, 1, "0\t0\t2\n")
