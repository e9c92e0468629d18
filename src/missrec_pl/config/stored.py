"""Stored configs, which anybody may have written: what an evaluation may build of them, and nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from missrec_pl.checkpoints.versions import current_class_path, missing_option, modernised
from missrec_pl.config.allowed import is_at_evaluation, objection, trusted_package_of, trusted_packages
from missrec_pl.config.stored_values import StoredValues, place
from missrec_pl.errors import CheckpointError

log = logging.getLogger(__name__)

IN_EVAL, IN_REPORT = "trust=[{}]", "--trust {}"
"""How a package is trusted: in the config of ``eval.py``, and on the command line of a report."""

_NOT_BUILT = ("optim", "logger", "trainer", "hydra")
_SAID_ANEW = ("ckpt", "resume")
_CONVERSIONS = ("none", "partial", "object", "all")
_QUIETLY_LEFT = ("missrec_pl.", "lightning.")
# What configs/paths/default.yaml says where a run has not settled it: a checkpoint of the authors' was imported.
_UNSETTLED = {
    "${oc.env:MISSREC_DATA_DIR,data}": ("MISSREC_DATA_DIR", "data"),
    "${oc.env:MISSREC_CACHE_DIR,data/cache}": ("MISSREC_CACHE_DIR", "data/cache"),
}


def checked(
    config: Mapping[str, Any], *, flag: str, trust: Sequence[str] = (), trust_as: str = IN_EVAL
) -> dict[str, Any]:
    """What an evaluation needs of a stored config, with references filled in and every class of it known.

    Optimiser, loggers, trainer, ``ckpt``, ``resume`` and Hydra's own are left out, and so are callbacks that do
    not declare ``at_evaluation = True``. Class paths of earlier versions are today's.

    Args:
        config: as the checkpoint holds it, with this machine's paths (:func:`with_paths`).
        flag: what the user named the checkpoint with.
        trust: the user's own packages that it may name classes of.
        trust_as: how the user names one, with ``{}`` for the package.

    Returns:
        Plain dictionaries, lists and values: no text in it is an interpolation.

    Raises:
        CheckpointError: it names something else, or holds a resolver. Nothing was imported or called.
        ConfigError: ``trust`` names no package of the user's own.
    """
    trusted = trusted_packages(trust, trust_as)
    values = StoredValues(config, flag)
    kept: dict[str, Any] = {}
    for section in map(str, config):
        if section == "command":
            kept[section] = values.words(section, filled=True)
        elif section == "callbacks":
            kept[section] = _callbacks(config[section], values, trusted, trust_as)
        elif section not in (*_NOT_BUILT, *_SAID_ANEW):
            kept[section] = values.section(section)
    for path, node in _nodes({name: part for name, part in kept.items() if name != "command"}):
        _check_node(node, path, flag, trusted, trust_as)
    return kept


def current(
    config: Mapping[str, Any], *, flag: str, trust: Sequence[str] = (), trust_as: str = IN_EVAL
) -> dict[str, Any]:
    """As :func:`checked`, in today's form whatever version wrote it.

    Raises:
        CheckpointError: see :func:`checked`, or it lacks what every version has.
        ConfigError: see :func:`checked`.
    """
    known = checked(config, flag=flag, trust=trust, trust_as=trust_as)
    try:
        return modernised(known)
    except (KeyError, TypeError, AttributeError) as error:
        missing = missing_option(known)
        raise CheckpointError(
            f"{flag}: its config lacks {missing or error}, which an evaluation needs: another version wrote it, "
            "or it was changed; evaluate it with the version that trained it, or train again."
        ) from error


def with_paths(config: Mapping[str, Any], paths: Mapping[str, str | None]) -> dict[str, Any]:
    """A stored config with places of this machine.

    Args:
        config: as the checkpoint holds it.
        paths: under ``paths``; None for where the run had it.
    """
    stored = config.get("paths")
    places = dict(stored) if isinstance(stored, Mapping) else {}
    for name, text in places.items():
        if isinstance(text, str) and text in _UNSETTLED:
            places[name] = os.environ.get(*_UNSETTLED[text])
    return {**config, "paths": places | {name: path for name, path in paths.items() if path is not None}}


def _callbacks(
    stored: Any, values: StoredValues, trusted: Sequence[str], trust_as: str
) -> dict[str, dict[str, Any]]:
    """The callbacks that belong to an evaluation."""
    kept = {}
    for name, node in stored.items() if isinstance(stored, Mapping) else ():
        target = node.get("_target_") if isinstance(node, Mapping) else None
        if not isinstance(target, str):
            continue
        target = current_class_path(target)
        is_trusted = trusted_package_of(target, trusted) is not None
        if objection(target, trusted, trust_as) is None:
            if is_at_evaluation(target):
                kept[str(name)] = values.section("callbacks", str(name))
        elif is_trusted:  # and yet objected to, in a message of its own
            kept[str(name)] = values.section("callbacks", str(name))
        elif not target.startswith(_QUIETLY_LEFT):
            log.info("callbacks.%s (%s) is left out: it is not trusted", name, target)
    return kept


def _nodes(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in items:
        yield from _nodes(item, (*path, key))


def _check_node(
    node: dict[str, Any], path: tuple[str | int, ...], flag: str, trusted: Sequence[str], trust_as: str
) -> None:
    """Refuse what would be built and may not be; a class path of an earlier version becomes today's."""
    for key in ("_partial_", "_args_", "_recursive_"):
        if key in node:
            raise CheckpointError(f"{flag}: its {place((*path, key))} changes what is built; do not use it.")
    if "_convert_" in node and node["_convert_"] not in _CONVERSIONS:
        raise CheckpointError(f"{flag}: its {place((*path, '_convert_'))} is none of {', '.join(_CONVERSIONS)}.")
    if "_target_" not in node:
        return
    where, target = place((*path, "_target_")), node["_target_"]
    if not isinstance(target, str):
        raise CheckpointError(f"{flag}: its {where} is a {type(target).__name__}, not the name of a class.")
    node["_target_"] = target = current_class_path(target)
    if reason := objection(target, trusted, trust_as):
        raise CheckpointError(f"{flag}: its {where} names {target}, {reason}.")
