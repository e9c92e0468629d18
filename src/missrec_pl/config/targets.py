"""Checks every ``_target_`` of a config against the signature it names, without calling anything."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from missrec_pl.system.lookup import near_names

_SPECIAL = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
OF_PARTS = ("callbacks", "logger", "scorers")
"""Groups whose parts have names of their own, and may each be switched off."""
_PLAIN = (int, float, bool, str, type(None))


def target_mistakes(cfg: DictConfig, supplied: Mapping[str, Set[str]]) -> list[str]:
    """Find unknown and missing arguments and values of a wrong kind.

    Args:
        cfg: the composed config.
        supplied: per config path the arguments that the program itself passes.

    Returns:
        One line per mistake, each naming the flag.
    """
    found = []
    for path, node in _targets(cfg):
        if is_off(path, node):
            continue
        name = node["_target_"]
        try:
            target = imported(str(name))
        except (ImportError, AttributeError, ValueError) as error:
            found.append(f"{path}._target_={name}: cannot be imported ({error}).")
            continue
        if not callable(target):
            kind = "module" if isinstance(target, types.ModuleType) else type(target).__name__
            found.append(f"{path}._target_={name}: is not callable but a {kind}; name a class or a function.")
            continue
        found += _argument_mistakes(path, node, target, supplied.get(path, frozenset()))
    return found


def in_use(cfg: DictConfig, group: str) -> dict[str, DictConfig]:
    """The nodes of a group of several parts (:data:`OF_PARTS`) that are built; none where the group is absent.

    A preset switches a part off by ``_target_: null``: it stays off when another preset sets one of its options.
    """
    nodes = cfg.get(group) or {}
    return {str(name): node for name, node in nodes.items() if node is not None and not is_off(f"{group}.", node)}


def is_off(path: str, node: DictConfig) -> bool:
    """Whether a node is a part that is switched off."""
    return path.startswith(tuple(f"{group}." for group in OF_PARTS)) and node.get("_target_", "") is None


def nameless_parts(cfg: DictConfig) -> list[str]:
    """Parts that have options and do not say of what."""
    return [
        f"{group}.{name}: has options ({', '.join(map(str, node))}) and no _target_; say {group}.{name}=null, or "
        "choose a preset that has it."
        for group in OF_PARTS
        for name, node in in_use(cfg, group).items()
        if not (isinstance(node, DictConfig) and "_target_" in node)
    ]


def has_argument(name: str, argument: str) -> bool:
    """Whether what a ``_target_`` names takes an argument; True where nobody can tell."""
    try:
        return argument in parameters_of(imported(name))
    except (ImportError, AttributeError, ValueError, TypeError):
        return True


def parameters_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a target takes, by name.

    What a constructor of this package hands on as ``**options``, the class that it derives from takes.

    Raises:
        ValueError: a builtin that does not say what it takes.
    """
    makers = iter(target.__mro__ if inspect.isclass(target) else [target])
    found = _parameters(next(makers))
    for base in makers:
        options = [name for name, p in found.items() if p.kind is p.VAR_KEYWORD]
        if not options or not base.__module__.startswith("missrec_pl."):
            break
        del found[options[0]]
        found = {**_parameters(base), **found}
    return found


def imported(name: str) -> Any:
    """What Hydra finds under a name: attributes as far as they go, then modules."""
    first, *parts = name.split(".")
    found = importlib.import_module(first)
    for number, part in enumerate(parts, 1):
        if isinstance(found, types.ModuleType) and not hasattr(found, part):
            found = importlib.import_module(".".join([first, *parts[:number]]))
        else:
            found = getattr(found, part)
    return found


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Node]]:
    """All nodes of a config by path; what an interpolation refers to is visited at its own place only."""
    yield path, node
    if not isinstance(node, DictConfig | ListConfig) or node._is_none() or node._is_interpolation():
        return
    if isinstance(node, ListConfig):
        for index in range(len(node)):
            yield from walk(node._get_node(index), f"{path}[{index}]")
        return
    for key in node:  # numbers, too
        yield from walk(node._get_node(key), f"{path}.{key!s}" if path else str(key))


def _targets(cfg: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    for path, node in walk(cfg):
        if (
            isinstance(node, DictConfig)
            and not (node._is_none() or node._is_interpolation())
            and "_target_" in node
        ):
            yield path, node


def _argument_mistakes(
    path: str, node: DictConfig, target: Callable[..., Any], supplied: Set[str]
) -> Iterator[str]:
    try:
        parameters = parameters_of(target)
    except ValueError:
        return
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = {
        n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)
    }
    given = {str(key) for key in node} - _SPECIAL
    short = getattr(target, "__name__", str(target))
    if not takes_any:
        for name in sorted(given - names):
            yield f"{path}.{name}: {short} has no such argument; {near_names(name, sorted(names - supplied))}."
    if not node.get("_partial_"):
        needed = {n for n in names if parameters[n].default is inspect.Parameter.empty}
        for name in sorted(needed - given - supplied):
            yield f"{path}.{name} is missing: {short} needs it."
    for name in sorted(given & names):
        if OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name):
            continue  # a value that is referred to is checked at its own place
        if path == "trainer" and node[name] is None:
            continue  # Lightning's default
        if wanted := _misfit(node[name], parameters[name].annotation):
            yield f"{path}.{name}={node[name]}: {wanted}."


def _parameters(maker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(maker, eval_str=True).parameters)
    except (NameError, TypeError):  # annotations that name nothing here
        return dict(inspect.signature(maker).parameters)


def _misfit(value: Any, hint: Any) -> str | None:
    """What to do instead, in words; None where it fits or where the annotation says more than plain values."""
    options = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    choices = [choice for option in options if get_origin(option) is Literal for choice in get_args(option)]
    kinds = [option for option in options if option in _PLAIN]
    if len(kinds) + sum(get_origin(option) is Literal for option in options) < len(options):
        return None
    if OmegaConf.is_config(value):
        return _in_words(kinds, choices)
    fits = type(value) in kinds or value in choices or (type(value) is int and float in kinds)
    return None if fits else _in_words(kinds, choices)


def _in_words(kinds: list[Any], choices: list[Any]) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
    if choices:
        return f"choose one of {', '.join([*map(str, choices), *(names[kind] for kind in kinds)])}"
    return f"must be {' or '.join(names[kind] for kind in kinds)}"
