"""Files of objects: JSON lines, lists, objects over several lines, Python literals; as JSON that DuckDB reads."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.lines import Look, numbered_lines

_ESCAPES = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_INSTEAD = r"\ufffd"  # of half a letter


def shape_of(path: Path, found: Look) -> str:
    """DuckDB's name of how the objects stand: ``newline_delimited``, ``array`` or ``unstructured``."""
    for _, line in numbered_lines(path, found):
        if text := line.strip():
            if text.startswith("["):
                return "array"
            return "newline_delimited" if text.endswith("}") and not _several(text) else "unstructured"
    return "newline_delimited"


def _several(text: str) -> bool:
    """Whether several objects stand in one line."""
    try:
        return json.JSONDecoder().raw_decode(text)[1] < len(text)
    except (ValueError, RecursionError):
        return False


def cleaned(path: Path, found: Look, out: Path) -> Path:
    """A copy in UTF-8, not packed, without byte order marks, in which no half of a letter stands alone."""
    with out.open("w", encoding="utf-8") as target:
        for _, line in numbered_lines(path, found):
            target.write(_ESCAPES.sub(_whole, line) + "\n")
    return out


def from_literals(path: Path, found: Look, out: Path) -> Path:
    """Lines of Python literals, as the metadata of 2014 has, as JSON lines.

    Raises:
        DataError: A line that is neither, or holds what JSON has no word for; names it.
    """
    with out.open("w", encoding="utf-8") as target:
        for number, line in numbered_lines(path, found):
            if not line.strip():
                continue
            try:
                entry = json.loads(line) if line.startswith('{"') else ast.literal_eval(line)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                entry = None
            if not isinstance(entry, dict):
                raise DataError(
                    f"{path}:{number}: neither JSON nor a Python literal of one product: {line[:60]!r}"
                )
            try:
                text = json.dumps(entry, allow_nan=False, default=_plain)
            except (TypeError, ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: {error}: {line[:60]!r}; mend or remove the line") from error
            target.write(_ESCAPES.sub(_whole, text) + "\n")
    return out


def refuse_bad_line(path: Path, found: Look) -> None:
    """Raises DataError for the first line that is no JSON object, where there is one object a line."""
    for number, line in numbered_lines(path, found):
        if not line.strip():
            continue
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}:{number}: Malformed JSON ({error}): {line[:60]!r}; mend or remove the line"
            ) from error
        if not isinstance(entry, dict):
            raise DataError(f"{path}:{number}: no JSON object: {line[:60]!r}; expected one object a line")


def _whole(escape: re.Match[str]) -> str:
    return _INSTEAD if escape[3] else escape[0]


def _plain(value: object) -> object:
    """What JSON has no word for: sets as lists in the order of their texts, bytes as text."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(f"a {type(value).__name__} is no value of a product")
