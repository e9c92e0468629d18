"""An item's text from its metadata: title, categories and brand (the paper's 4.2.1)."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.system.documents import MAX_DEPTH

_TAG = re.compile(r"</?\w+[^>]*>")
_SPACE = re.compile(r"[\s\"]+")


def item_text(fields: str | None) -> str:
    """One text: fields in order, each a sentence, the parts of a list separated by spaces.

    ``fields`` is a JSON list of texts and (nested) lists of texts, or None. Tags and character references of HTML,
    quotation marks and line ends go, as in UniSRec's preparation. It is "" if no field has a letter or digit.
    """
    return " ".join(_sentences(fields)) if has_text(fields) else ""


def item_attributes(fields: str | None, number: int) -> list[str]:
    """The distinct values of one of the fields, such as categories; see :func:`item_text`."""
    known = _fields(fields)
    return list(dict.fromkeys(_parts(known[number]))) if number < len(known) else []


def has_text(fields: str | None) -> bool:
    """Whether ``item_text`` of the fields is not empty; faster than making the text."""
    return any(char.isalnum() for sentence in _sentences(fields) for char in sentence)


def _fields(fields: str | None) -> list[Any]:
    try:
        return [] if fields is None else list(json.loads(fields))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the metadata of an item, {str(fields)[:60]!r}: {error}; mend or remove it") from error


def _sentences(fields: str | None) -> Iterator[str]:
    for field in _fields(fields):
        sentence = " ".join(dict.fromkeys(_parts(field)))
        if sentence.strip(". "):
            yield sentence.rstrip(". ") + "."


def _parts(field: Any, depth: int = 0) -> Iterator[str]:
    """The texts of a field, however deep; a text that is a JSON list of texts (in a CSV cell) counts as a list."""
    if depth > MAX_DEPTH:
        raise DataError(f"the metadata of an item: lists nested deeper than {MAX_DEPTH}; mend or remove it")
    if isinstance(field, list):
        for part in field:
            yield from _parts(part, depth + 1)
    elif isinstance(field, str):
        listed = _listed(field) if field.lstrip().startswith("[") else None
        if listed is not None:
            yield from _parts(listed, depth + 1)
        elif cleaned := _SPACE.sub(" ", _TAG.sub(" ", html.unescape(field))).strip():
            yield cleaned
    elif isinstance(field, int | float) and not isinstance(field, bool):
        yield str(field)


def _listed(text: str) -> list[str] | None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed) else None
