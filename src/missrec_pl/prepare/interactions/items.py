"""Items as a domain folder keeps them, from their cells of metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from missrec_pl.prepare.features.picture_folders import ItemImages, Pictures
from missrec_pl.prepare.interactions.texts import item_attributes, item_text
from missrec_pl.prepare.tables.cells import addresses_of, texts_of
from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_lists
from missrec_pl.prepare.tables.raw_files import RawFiles


@dataclass(frozen=True)
class Items:
    """What is known of items, in their order.

    Attributes:
        raw_ids: The source's ids.
        texts: "" where there is none.
        urls: Addresses of pictures; None: nobody has one.
        attributes: Lists of values; None: nobody has any.
        files: Picture files, none or several an item; None: nobody looked for them.
        told: Lines about the pictures, and ``counts`` of them for ``domain.json``.
    """

    raw_ids: pa.StringArray
    texts: list[str]
    urls: list[str | None] | None
    attributes: list[list[str]] | None
    files: list[list[str]] | None
    told: list[str] = field(default_factory=list)
    counts: dict[str, object] | None = None
    joins: list[JoinReport] = field(default_factory=list)  # how items and files of pictures match


def items_of(
    table: pa.Table, files: RawFiles, attributes: int | None, images: ItemImages | None, domain: Path
) -> Items:
    """Items from a table of ``raw_id``, ``fields`` and ``pictures`` (see ``Source``), for a domain folder."""
    cells, nothing = table["fields"].to_pylist(), files.choices.nothing
    raw_ids = table["raw_id"].cast(pa.string()).combine_chunks()
    urls = _addresses(files, table["pictures"].to_pylist())
    found = None if images is None else images.find(raw_ids.to_pylist(), domain)
    return Items(
        raw_ids,
        [item_text(one, nothing) for one in cells],
        urls if any(urls) else None,
        _attributes(cells, attributes, nothing),
        None if found is None else found.files,
        [] if found is None else found.told,
        None if found is None else found.counts,
        [] if found is None else [_pictures_join(files, raw_ids.to_pylist(), found)],
    )


def image_columns(files: Sequence[Sequence[str]] | None) -> dict[str, Any]:
    """The arguments of the writer for picture files, none or several an item; None: there are none."""
    if files is None or not any(files):
        return {}
    further = [list(several[1:]) for several in files]
    first = [next(iter(several), None) for several in files]
    return {"image_paths": first, "further_images": further if any(further) else None}


def _pictures_join(files: RawFiles, raw_ids: Sequence[str], pictures: Pictures) -> JoinReport:
    """How items and files of pictures match. Items without one are sound where no file is left over."""
    found = [raw for raw, several in zip(raw_ids, pictures.files, strict=True) if several]
    left = [PurePath(file).stem for file in pictures.left]
    wanted = raw_ids if left else found
    sides = Sides("items", "the interactions", "the folder of pictures", "--image-name says what files are called")
    return check_lists(wanted, [*found, *left], sides, allowed=files.choices.allow_unmatched, warn=files.warn)


def _attributes(
    fields: Sequence[str | None], number: int | None, nothing: Sequence[str]
) -> list[list[str]] | None:
    """Attribute values of every item, of the given field; None where there is no such field, or nobody has any."""
    found = [] if number is None else [item_attributes(one, number, nothing) for one in fields]
    return found if any(found) else None


def _addresses(files: RawFiles, cells: Sequence[str | None]) -> list[str | None]:
    """The first address of every item's cell of pictures."""
    values = [None if cell is None else json.loads(cell) for cell in cells]
    found = [next(iter(addresses_of(value, files.choices.nothing)), None) for value in values]
    none = [value for value, url in zip(values, found, strict=True) if url is None and value not in (None, "", [])]
    odd = [value for value in none if texts_of(value, files.choices.nothing)]
    if odd:
        files.warn(f"{len(odd):,} items have a cell of pictures without an address, such as {str(odd[0])[:60]!r}")
    return found
