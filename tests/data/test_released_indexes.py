"""``.text`` and ``.item2index`` of released folders: joined by id whatever their order; what is odd is told."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from released_maker import random_sequences, write_released

from missrec_pl.data.released.convert import read_released
from missrec_pl.data.released.domain import ReleasedDomain
from missrec_pl.errors import DataError

Change = Callable[[list[str]], list[str]]
TEXTS = [f'a "nice" thing {item}' for item in range(30)]


def changed(tmp_path: Path, suffix: str, change: Change, *, end: str = "\n", start: str = "") -> ReleasedDomain:
    """A folder of which one file is written anew, its lines changed."""
    folder = write_released(tmp_path / "Toys", random_sequences())
    path = folder / f"Toys.{suffix}"
    lines = change(path.read_text().splitlines())
    path.write_bytes((start + "".join(line + end for line in lines)).encode())
    (domain,) = read_released(folder)
    return domain


def behind(lines: list[str], more: list[str]) -> list[str]:
    return [*lines, *more]


SOUND: dict[str, tuple[str, Change]] = {
    "index backwards": ("item2index", lambda lines: lines[::-1]),
    "index turned": ("item2index", lambda lines: lines[7:] + lines[:7]),
    "texts in the order of the index": ("text", lambda lines: lines[:1] + lines[:0:-1]),
    "blank lines": ("text", lambda lines: behind(lines, ["", "  "])),
    "a text twice": ("text", lambda lines: behind(lines, lines[3:5])),
    "texts of further items": ("text", lambda lines: behind(lines, [f"more{number}\tx" for number in range(40)])),
    "a mark within": ("text", lambda lines: [*lines[:9], "\ufeff" + lines[9], *lines[10:]]),
}


@pytest.mark.parametrize("case", SOUND)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_come_to_their_items_without_a_warning(
    case: str, end: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    suffix, change = SOUND[case]
    with caplog.at_level(logging.WARNING):
        domain = changed(tmp_path, suffix, change, end=end, start="\ufeff" if end == "\r\n" else "")
    assert not caplog.messages
    assert domain.raw_item_ids == [f"raw{item}" for item in range(30)]
    assert domain.texts == TEXTS


TOLD: dict[str, tuple[str, Change, str]] = {
    "one item lost": (
        "text",
        lambda lines: lines[:5] + lines[6:],
        "item2index: 1 of 30 ids are not in Toys.text, such as raw25",
    ),
    "cut off": (
        "text",
        lambda lines: lines[:20],
        "item2index: 11 of 30 ids are not in Toys.text, such as raw0, raw1",
    ),
    "another id": (
        "text",
        lambda lines: [*lines[:5], "RAW26\tx", *lines[6:]],
        "Toys.text: 1 of 30 ids are not in Toys.item2index, such as RAW26",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_items_without_a_text_are_told(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    suffix, change, told = TOLD[case]
    with caplog.at_level(logging.WARNING):
        domain = changed(tmp_path, suffix, change)
    assert told in caplog.text
    kept = [text for text in domain.texts if text]
    assert kept == [text for text in TEXTS if text in kept]
    assert len(kept) < 30


def of_index(line: Callable[[int], str]) -> Change:
    return lambda lines: [line(number) for number in range(len(lines))]


REFUSED: dict[str, tuple[str, Change, str]] = {
    "an index twice": (
        "item2index",
        lambda lines: [*lines[:-1], "raw29\t28"],
        r"30: index 28 was given in line 29",
    ),
    "an id twice": ("item2index", lambda lines: [*lines[:-1], "raw3\t29"], r"30: 'raw3' has an index in line 4"),
    "rows lost": ("item2index", lambda lines: lines[:12] + lines[13:], r"29: index 29 but only 29 lines"),
    "rows lost at the end": ("item2index", lambda lines: lines[:-3], r"outside the catalogue|are not 27 rows"),
    "from one": ("item2index", of_index(lambda number: f"raw{number}\t{number + 1}"), r"30: index 30 but only 30"),
    "spaces": ("item2index", of_index(lambda number: f"raw{number} {number}"), r"1: expected 'raw id<TAB>index'"),
    "swapped columns": ("item2index", of_index(lambda number: f"{number}\traw{number}"), r"1: expected 'raw id"),
    "a line of names": ("item2index", lambda lines: ["item\tindex", *lines], r"1: expected 'raw id<TAB>index'"),
    "another text": ("text", lambda lines: behind(lines, ["raw3\tanother"]), r"32: item 'raw3' has another text"),
    "no names": ("text", lambda lines: lines[1:], r"text:1: bad header"),
    "no tab": ("text", lambda lines: [*lines[:4], "raw5 x", *lines[5:]], r"text:5: expected 'item id<TAB>text'"),
    "other ids": ("text", lambda lines: [lines[0], *(f"x{line}" for line in lines[1:])], r"another edition"),
    "rows by number": (
        "text",
        lambda lines: [lines[0], *(line.replace("raw", "", 1) for line in lines[1:])],
        r"30 of 30 ids are not in Toys\.item2index, such as 29, 28, 27; it is of another edition",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_contradicts_itself_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    suffix, change, told = REFUSED[case]
    with pytest.raises(DataError, match=told):
        changed(tmp_path, suffix, change)
