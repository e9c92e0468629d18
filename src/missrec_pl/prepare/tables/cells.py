"""Any cell as text, as a list of texts, as addresses of pictures, or as a number.

A cell is what JSON can say: DuckDB's ``to_json`` makes structs and maps objects, and lists lists. A text may hold
such a value once more, as JSON or as Python, numpy or Postgres print it.
"""

import ast
import json
import math
import re
from collections.abc import Collection, Iterator
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import NOTHING
from missrec_pl.prepare.tables.html import visible_text
from missrec_pl.system.documents import MAX_DEPTH

_LONGEST = 1 << 20  # characters of a text that is tried as a list
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_ARRAY = re.compile(r"array\((.*?)(?:,\s*dtype=[^)]*)?\)\Z", re.DOTALL)
_STRINGS = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_BYTES = re.compile(r"b(['\"]).*\1", re.DOTALL)
_NAN = re.compile(r"(?<![\w'\"])nan(?![\w'\"])")
_NAMES = ("name", "title", "label", "value", "text")  # what an object is called by; else all that it holds counts
_ADDRESS_KEYS = ("hi_res", "highres", "large", "url", "href", "src", "link", "image", "medium", "thumb", "small")
_BEFORE_ADDRESS = re.compile(r"[\s,;|]+(?=(?:https?:)?//)")
_ADDRESS = re.compile(r"(?:https?:)?//[^\s\"'<>]+")
_PLAIN = re.compile(r"[^\s\"'<>\[\]{}|]+\.[^\s\"'<>\[\]{}|]+")  # shop.example/1.jpg, pictures/1.jpg


def texts_of(cell: Any, nothing: Collection[str] = NOTHING) -> list[str]:
    """The texts of a cell, in order, without markup; words for nothing are none.

    Raises:
        DataError: It is nested too deep.
    """
    return [text for part in _parts(cell) if part.strip() not in nothing and (text := visible_text(part))]


def text_of(cell: Any, nothing: Collection[str] = NOTHING) -> str:
    """The distinct texts of a cell, separated by spaces; raises as :func:`texts_of`."""
    return " ".join(dict.fromkeys(texts_of(cell, nothing)))


def addresses_of(cell: Any, nothing: Collection[str] = NOTHING) -> list[str]:
    """The addresses of a cell, the largest picture's first where an object holds several.

    Raises:
        DataError: It is nested too deep.
    """
    found = []
    for part in _parts(cell, _ADDRESS_KEYS):
        for piece in _BEFORE_ADDRESS.split(part.strip()):
            if piece in nothing or not piece:
                continue
            address = _ADDRESS.search(piece) if "//" in piece else _PLAIN.fullmatch(piece)
            if address is not None:
                text = address[0].rstrip(",;")
                found.append("https:" + text if text.startswith("//") else text)
    return list(dict.fromkeys(found))


def number_sql(text: str) -> str:
    """SQL of a number from SQL of a text: ``4.5``, ``4,5``, ``1.234,5`` and ``1,234.5``; NULL if it is none.

    One comma is a decimal comma unless a point stands behind it, or another comma.
    """
    shapes = {  # of numbers with commas, and what makes them numbers with a point
        "[0-9]{1,3}([.][0-9]{3})*,[0-9]+": "replace(replace({0}, '.', ''), ',', '.')",
        "[0-9]+,[0-9]*": "replace({0}, ',', '.')",
        "[0-9]{1,3}(,[0-9]{3})+([.][0-9]*)?": "replace({0}, ',', '')",
    }
    cases = " ".join(
        f"WHEN {text} SIMILAR TO '[+-]?{shape}' THEN {made.format(text)}" for shape, made in shapes.items()
    )
    with_commas = f"CASE WHEN contains({text}, ',') THEN TRY_CAST(CASE {cases} END AS DOUBLE) END"
    return f"coalesce(TRY_CAST({text} AS DOUBLE), {with_commas})"


def parsed(text: str) -> Any:
    """What a text holds that JSON, Python, numpy or Postgres printed; else the text itself."""
    inner = text.strip()
    if len(inner) > _LONGEST or len(inner) < 2:
        return text
    if (found := _ARRAY.fullmatch(inner)) is not None:
        inner = found[1].strip()
    if _BYTES.fullmatch(inner):
        value = _literal(inner)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else text
    if inner[0] == '"' and inner[-1] == '"' and '\\"' in inner:
        value = _json(inner)
        return value if isinstance(value, str) else text
    if _BRACKETS.get(inner[0]) != inner[-1]:
        return text
    value = _json(inner) if inner[0] != "(" else None
    if value is None:
        value = _printed(inner) if inner[0] == "[" and _is_numpy(inner) else _literal(inner)
    if value is None and inner[0] != "(":
        value = _printed(inner)
    return text if value is None else value


def _parts(cell: Any, first: tuple[str, ...] = (), depth: int = 0) -> Iterator[str]:
    """The texts within a cell, however deep; of an object those under ``first``, one alone, else what names it."""
    if depth > MAX_DEPTH:
        raise DataError(f"the metadata of an item: lists nested deeper than {MAX_DEPTH}; mend or remove it")
    if isinstance(cell, str):
        value = parsed(cell)
        yield from [cell] if value is cell else _parts(value, first, depth + 1)
    elif isinstance(cell, bytes):
        yield cell.decode("utf-8", "replace")
    elif isinstance(cell, list | tuple | set | frozenset):
        for part in sorted(cell, key=str) if isinstance(cell, set | frozenset) else cell:
            yield from _parts(part, first, depth + 1)
    elif isinstance(cell, dict):
        yield from _object_parts(cell, first, depth)
    elif isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell):
        yield str(int(cell)) if cell == int(cell) else str(cell)


def _object_parts(cell: dict[Any, Any], first: tuple[str, ...], depth: int) -> Iterator[str]:
    lists = [value for value in cell.values() if isinstance(value, list)]
    if first and lists and len(lists) == len(cell) and len({len(value) for value in lists}) == 1:
        yield from _parts(
            [dict(zip(cell, row, strict=True)) for row in zip(*lists, strict=True)], first, depth + 1
        )
        return
    keys = {str(key).lower(): key for key in cell}
    for name in first or _NAMES:
        if name in keys and (texts := list(_parts(cell[keys[name]], first, depth + 1))):
            yield from texts
            return
    for value in cell.values():
        yield from _parts(value, first, depth + 1)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> Any:
    for written in (text, _NAN.sub("None", text)):
        try:
            return ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return None


def _is_numpy(text: str) -> bool:
    """Whether quoted texts stand beside each other without commas, which Python would join."""
    return re.search(r"['\"]\s+['\"]", text) is not None and re.search(r"['\"]\s*,\s*", text) is None


def _printed(text: str) -> list[str] | None:
    """The parts of a list whose texts stand beside each other, or without quotation marks; None: it is no list."""
    inner = text[1:-1].strip()
    found = [single or double for single, double in _STRINGS.findall(inner)]
    if found and not _STRINGS.sub("", inner).replace("nan", "").replace("None", "").strip(" ,\n\r\t"):
        return [re.sub(r"\\(.)", r"\1", part) for part in found]
    if text[0] == "{" and ":" in inner:
        return None
    if "[" in inner or "{" in inner:
        return None
    return [part.strip().strip('"') for part in inner.split(",")] if inner else []
