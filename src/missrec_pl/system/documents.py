"""JSON and YAML of bounded size and depth, whoever wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from missrec_pl.errors import DataError

MAX_BYTES = 64 << 20
"""Largest document, in bytes; a manifest has some thousands."""
MAX_LINE = 16 << 20
"""Longest line of a file that is read line by line, in characters."""
MAX_DEPTH = 100
"""Deepest nesting of lists and objects."""
MAX_VALUES = 2_000_000
"""Most values of a YAML document, those that aliases repeat counted each time."""
MAX_DIGITS = 300
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def read_json(path: Path, advice: str, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a JSON file.

    Args:
        path: The file.
        advice: What the user is to do if it is refused, for the message.
        max_bytes: Largest size.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It cannot be read, is too large, or is no JSON as :func:`parse_json` takes it.
    """
    return parse_json(_text(path, advice, max_bytes), str(path), advice)


def parse_json(text: str, where: str, advice: str) -> Any:
    """The content of a JSON text.

    Raises:
        DataError: It is no JSON, is nested deeper than ``MAX_DEPTH``, repeats a key, or holds NaN, infinity or a
            number of more than ``MAX_DIGITS`` digits.
    """
    try:
        check_depth(text)
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_int=_whole,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error}); {advice}") from None


def read_yaml(path: Path, advice: str, max_bytes: int = 1 << 20) -> Any:
    """The content of a YAML file of plain values; see :func:`read_json`.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It cannot be read, is too large or deep, repeats a key, makes objects, or its aliases grow.
    """
    return parse_yaml(_text(path, advice, max_bytes), str(path), advice)


def parse_yaml(text: str, where: str, advice: str) -> Any:
    """The content of a YAML text; raises DataError as :func:`read_yaml`."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Refuses what is nested too deep while it is composed, and keys that come twice."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            if len(set(keys)) < len(keys):
                raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} comes twice")
            return super().construct_mapping(node, deep)

    loader = Loader(text)
    try:
        node = loader.get_single_node()
        _expanded(node, {}, set())
        return None if node is None else _plain(loader.construct_document(node))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:300]
        raise DataError(f"{where}: not valid YAML ({told}); {advice}") from None
    finally:
        loader.dispose()


def checked_lines(lines: TextIO, where: str) -> Iterator[str]:
    """Yields the lines of a text file with their ends; of one longer than ``MAX_LINE`` no more is read.

    Args:
        lines: The text stream.
        where: Its name, for the message.

    Raises:
        DataError: A line is too long; names it.
    """
    number = 0
    while line := lines.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(
                f"{where}:{number}: a line of more than {MAX_LINE:,} characters; it is no file of one row a line"
            )
        yield line


def _text(path: Path, advice: str, max_bytes: int) -> str:
    try:
        with path.open("rb") as stream:  # bounded where size says nothing, as of a device or pipe
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise DataError(f"{path}: larger than {max_bytes:,} bytes; {advice}")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {advice}") from None


def check_depth(text: str) -> None:
    """Raises ValueError where a JSON text is nested deeper than ``MAX_DEPTH``."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
        elif mark in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)[:80]!r} comes twice")
    return content


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _expanded(node: Any, sizes: dict[int, int], open_nodes: set[int]) -> int:
    """How many values a node holds with its aliases written out; ValueError if too many, or if it holds itself."""
    if node is None or isinstance(node.value, str):
        return 1
    if id(node) in open_nodes:
        raise ValueError("an alias refers to what holds it")
    if id(node) not in sizes:
        open_nodes.add(id(node))
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        sizes[id(node)] = 1 + sum(_expanded(part, sizes, open_nodes) for part in parts)
        open_nodes.discard(id(node))
    if sizes[id(node)] > MAX_VALUES:
        raise ValueError(f"its aliases repeat more than {MAX_VALUES:,} values")
    return sizes[id(node)]


def _plain(value: Any) -> Any:
    """Refuses numbers that are none and whole numbers without end."""
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        raise ValueError(f"{value} is no finite number")
    if isinstance(value, int) and value.bit_length() > 4 * MAX_DIGITS:
        raise ValueError(f"a number of {value.bit_length()} bits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _plain(part)
    return value
