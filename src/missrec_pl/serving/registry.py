"""The names that a bundle may use for networks, auxiliary scorers and their parts, and nothing else.

A bundle names an architecture; what it names is looked up here and never imported. The tables hold the classes of
this package, as its own modules define them, and what a caller adds.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

import missrec_pl.nn
from missrec_pl.clustering import methods
from missrec_pl.errors import DataError
from missrec_pl.nn.contract import Recommender
from missrec_pl.nn.scorers import Scorer
from missrec_pl.system.lookup import near_names

PART = "$part"
"""Key of a nested argument that is an object: its name in :func:`parts`."""


@cache
def networks() -> dict[str, type[Recommender]]:
    """Every network of :mod:`missrec_pl.nn`, by the name of its class."""
    return {kind.__name__: kind for kind in _classes() if issubclass(kind, Recommender) and _is_whole(kind)}


@cache
def scorers() -> dict[str, type[nn.Module]]:
    """Every auxiliary scorer, by the name of its class."""
    return {kind.__name__: kind for kind in _classes() if issubclass(kind, Scorer) and kind is not Scorer}


@cache
def parts() -> dict[str, type]:
    """What networks take as arguments beside plain values: settings and methods, no networks."""
    found = [*_classes(), *_defined_in(methods)]
    return {kind.__name__: kind for kind in found if not issubclass(kind, nn.Module | BaseException)}


def looked_up(name: Any, table: Mapping[str, type], what: str, where: str) -> type:
    """The class of a name.

    Raises:
        DataError: no such name in the table.
    """
    if not isinstance(name, str) or name not in table:
        shown = name[:80] if isinstance(name, str) else type(name).__name__
        raise DataError(
            f"{where}: {shown!a} is no {what} that this version has; {near_names(str(shown), sorted(table))}."
        )
    return table[name]


def built(
    record: Any, table: Mapping[str, type], what: str, where: str, own: Iterable[type] = (), **supplied: Any
) -> Any:
    """The object of a record ``{"name": ..., "arguments": {...}}``.

    Args:
        record: what the bundle says.
        table: the names that it may use.
        what: what is built, for messages.
        where: the file, for messages.
        own: classes of the caller's that it may use, too.
        **supplied: arguments that the program itself passes.

    Raises:
        DataError: an unknown name, or arguments that it does not take.
    """
    if not isinstance(record, dict) or not isinstance(record.get("arguments"), dict):
        raise DataError(f"{where}: its {what} is no record of a name and arguments; export the bundle again.")
    more = {kind.__name__: kind for kind in own}
    kind = looked_up(record.get("name"), {**table, **more}, what, where)
    known = {**parts(), **more}
    arguments = {name: _value(value, known, where) for name, value in record["arguments"].items()}
    return _called(kind, {**arguments, **supplied}, where)


def _value(value: Any, known: Mapping[str, type], where: str) -> Any:
    if isinstance(value, list):
        return [_value(one, known, where) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _value(one, known, where) for name, one in value.items() if name != PART}
    if PART not in value:
        return inner
    return _called(looked_up(value[PART], known, "part of a network", where), inner, where)


def _called(kind: type, arguments: Mapping[str, Any], where: str) -> Any:
    try:
        return kind(**arguments)
    except Exception as error:  # arguments of any kind, of a file that anybody may have written
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{where}: {kind.__name__} does not take its arguments ({reason}); export the bundle again."
        ) from error


def _is_whole(kind: type) -> bool:
    return not inspect.isabstract(kind)


@cache
def _classes() -> tuple[type, ...]:
    """The classes that the modules below :mod:`missrec_pl.nn` define."""
    names = sorted(info.name for info in pkgutil.walk_packages(missrec_pl.nn.__path__, "missrec_pl.nn."))
    return tuple(kind for name in names for kind in _defined_in(importlib.import_module(name)))


def _defined_in(module: ModuleType) -> Iterator[type]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ == module.__name__:
            yield kind
