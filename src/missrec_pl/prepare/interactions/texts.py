"""An item's text from its metadata: title, categories and brand (the paper's 4.2.1)."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.cells import text_of, texts_of
from missrec_pl.prepare.tables.choices import NOTHING


def item_text(fields: str | None, nothing: Collection[str] = NOTHING) -> str:
    """One text: fields in order, each a sentence, the parts of a list separated by spaces.

    ``fields`` is a JSON list of cells, or None; words for ``nothing`` are left out. It is "" if no field has a
    letter or digit. What goes besides is said in :mod:`missrec_pl.prepare.tables.html`.
    """
    text = " ".join(_sentences(fields, nothing))
    return text if any(map(str.isalnum, text)) else ""


def item_attributes(fields: str | None, number: int, nothing: Collection[str] = NOTHING) -> list[str]:
    """The distinct values of one of the fields, such as categories; see :func:`item_text`."""
    known = _fields(fields)
    return list(dict.fromkeys(texts_of(known[number], nothing))) if number < len(known) else []


def has_text(fields: str | None, nothing: Collection[str] = NOTHING) -> bool:
    """Whether ``item_text`` of the fields is not empty; faster than making the text."""
    return any(char.isalnum() for sentence in _sentences(fields, nothing) for char in sentence)


def _fields(fields: str | None) -> list[Any]:
    try:
        return [] if fields is None else list(json.loads(fields))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the metadata of an item, {str(fields)[:60]!r}: {error}; mend or remove it") from error


def _sentences(fields: str | None, nothing: Collection[str]) -> Iterator[str]:
    for field in _fields(fields):
        sentence = text_of(field, nothing)
        if sentence.strip(". "):
            yield sentence.rstrip(". ") + "."
