"""The values of a stored config, references filled in without OmegaConf: nothing registered with it is called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from missrec_pl.errors import CheckpointError

_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_KEY = r"[^\\{}()\[\]:.\s'\"]+"
_REFERENCE = re.compile(rf"(\.*)((?:{_KEY}|\[{_KEY}\])(?:\.{_KEY}|\[{_KEY}\])*)")
_ESCAPES = re.compile(r"\\*\$\{")
# No config of a run comes near these; one that refers to itself passes them at once.
_MAX_DEPTH, _MAX_VALUES, _MAX_TEXT = 50, 50_000, 20_000
_ADVICE = "give the value itself when you train, and use no file that you do not trust"


class _AbsentError(Exception):
    """A reference to nothing; its text is the name."""


class StoredValues:
    """A config as a checkpoint holds it, read without executing anything.

    Plain references (``${data.name}``, relative and nested ones) and ``${compat:a,b}`` are filled in; every other
    resolver is refused by its name.

    Args:
        config: plain dictionaries, lists and values.
        flag: what the user named the checkpoint with, for the messages.
    """

    def __init__(self, config: Mapping[str, Any], flag: str) -> None:
        self._config = config
        self._flag = flag
        self._left = _MAX_VALUES

    def get(self, name: str) -> Any:
        """The value of a flag such as ``data.name``; None where there is none.

        Raises:
            CheckpointError: it is made by a resolver, or is no plain value.
        """
        try:
            return self._found(name.split("."), 0)
        except _AbsentError:
            return None

    def stated(self, name: str) -> Any:
        """As :meth:`get`, but what cannot be filled in is the text that stands there."""
        try:
            return self.get(name)
        except CheckpointError:
            return _in_words(raw_value(self._config, name))

    def section(self, *keys: str) -> Any:
        """A part of the config with all of its references filled in.

        Raises:
            CheckpointError: a value in it is made by a resolver, refers to nothing, or is no plain value.
        """
        try:
            return self._found(list(keys), 0)
        except _AbsentError as error:
            raise CheckpointError(
                f"{self._flag}: its config lacks {error}, which an evaluation needs: another version wrote it, or "
                "it was changed; evaluate it with the version that trained it, or train again."
            ) from error

    def words(self, *keys: str, filled: bool = False) -> Any:
        """A part that is read and never built: its texts stay what they are, escaped.

        Args:
            keys: where it is.
            filled: whether references in texts are filled in, where they can be.

        Raises:
            CheckpointError: it names a class, or holds something else than plain values.
        """
        value: Any = self._config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return self._words(value, keys, filled)

    def _words(self, value: Any, path: tuple[str | int, ...], filled: bool) -> Any:
        self._spend(path, len(path))
        if isinstance(value, dict):
            if "_target_" in value:
                raise CheckpointError(
                    f"{self._flag}: its {place(path)} names a class, where a run keeps words alone; do not use it."
                )
            return {str(key): self._words(item, (*path, str(key)), filled) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._words(item, (*path, index), filled) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return self._filled(value, path, 0)
        try:
            return self._filled(value, path, 0) if filled else escaped(value)
        except (CheckpointError, _AbsentError):
            return escaped(value)

    def _found(self, keys: list[str], depth: int) -> Any:
        value: Any = self._config
        is_filled = False
        path: tuple[str | int, ...] = ()
        for key in keys:
            if isinstance(value, str) and not is_filled and "${" in value:
                value, is_filled = self._filled(value, path, depth + 1), True
            if isinstance(value, Mapping) and key in value:
                value = value[key]
            elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise _AbsentError(".".join(keys))
            path = (*path, key)
        return value if is_filled else self._filled(value, path, depth + 1)

    def _filled(self, value: Any, path: tuple[str | int, ...], depth: int) -> Any:
        self._spend(path, depth)
        if isinstance(value, dict):
            return {str(key): self._filled(item, (*path, str(key)), depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._filled(item, (*path, index), depth + 1) for index, item in enumerate(value)]
        if isinstance(value, str):
            return self._text(value, path, depth) if "${" in value else value
        if value is None or type(value) in (bool, int, float):
            return value
        raise CheckpointError(
            f"{self._flag}: its {place(path)} holds a {type(value).__name__}, where a config holds plain values."
        )

    def _text(self, text: str, path: tuple[str | int, ...], depth: int) -> Any:
        whole = text
        while match := _INNERMOST.search(text):
            if "\\${" in text:
                break
            self._spend(path, depth)
            value = self._interpolated(match[1].strip(), path, depth)
            if match.span() == (0, len(text)) and not isinstance(value, str):
                return value
            if isinstance(value, dict | list):
                break
            text = text[: match.start()] + str(value) + text[match.end() :]
            if len(text) > _MAX_TEXT:
                raise CheckpointError(f"{self._flag}: its {place(path)} grows without end as it is filled in.")
        if "${" in text:
            raise CheckpointError(f"{self._flag}: its {place(path)}={whole} cannot be filled in: {_ADVICE}.")
        return text

    def _interpolated(self, inner: str, path: tuple[str | int, ...], depth: int) -> Any:
        name, colon, rest = inner.partition(":")
        if colon:
            options = [option.strip() for option in rest.split(",")]
            if name.strip() != "compat" or len(options) != 2:
                raise CheckpointError(
                    f"{self._flag}: its {place(path)} holds ${{{inner}}}, and of a stored config no resolver but "
                    f"compat, of two values, is called: {_ADVICE}."
                )
            return _scalar(options[self._is_compat(depth)])
        match = _REFERENCE.fullmatch(inner)
        if match is None or len(match[1]) > len(path):
            raise CheckpointError(f"{self._flag}: its {place(path)} holds ${{{inner}}}, which refers to nothing.")
        above = [str(key) for key in path[: len(path) - len(match[1])]] if match[1] else []
        return self._found([*above, *re.findall(_KEY, match[2])], depth + 1)

    def _is_compat(self, depth: int) -> bool:
        try:
            return self._found(["model", "compat"], depth + 1) is True
        except _AbsentError:
            return False

    def _spend(self, path: tuple[str | int, ...], depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise CheckpointError(
                f"{self._flag}: its {place(path[:4])} refers to itself or goes deeper than a config does; do not "
                "use it."
            )


def raw_value(config: Any, name: str) -> Any:
    """What stands at a flag, nothing filled in; None where there is nothing."""
    for key in name.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def escaped(text: str) -> str:
    """A text that OmegaConf takes for what it is, with whatever it looks like."""
    return _ESCAPES.sub(r"\\${", text)


def place(path: tuple[str | int, ...]) -> str:
    """A place in a config as one writes it: ``data.source[0].name``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".") or "config"


def _in_words(value: Any, depth: int = 0) -> Any:
    """A value that can be compared and printed, whatever somebody has put there."""
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {str(key): _in_words(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < _MAX_DEPTH:
        return [_in_words(item, depth + 1) for item in value]
    return value if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _scalar(text: str) -> Any:
    """A value as an argument of a resolver is written."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() == "null" or text == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
