"""What a recipe says, read from YAML and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.amazon import EDITIONS
from missrec_pl.prepare.interactions.filters import Filters
from missrec_pl.prepare.tables.times import UNITS
from missrec_pl.system.documents import read_yaml
from missrec_pl.system.lookup import near_names

SHIPPED = Path(__file__).parent / "shipped"
FORMATS = (*EDITIONS, "atomic", "movielens", "table")
Part = TypeVar("Part")
Names = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TableFiles:
    """A table's files and how they are written.

    Attributes:
        files: Patterns of names below the source; the first one that some files match counts, several of them are
            parts of one table.
        names: Columns of files without a line of names.
        separator: Between cells, as ``--separator`` takes it; None: told by the file. So are quote, encoding.
        where: Values that rows have in a column; other rows are left out.
    """

    files: Names
    names: Names = ()
    separator: str | None = None
    quote: str | None = None
    encoding: str | None = None
    where: Mapping[str, Names] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LogFiles(TableFiles):
    """The interactions. Of several names for a column the first that is there counts.

    Attributes:
        user: Columns of users; ``item``, ``time`` and ``rating`` likewise, ratings may be absent.
        time_unit: Of plain numbers, if they do not tell it.
        time_format: Of times as texts, if they do not tell it.
        split: A column whose cells hold several items, and what stands between them.
        pattern: What an entry of such a cell has to match; its first group is the item.
    """

    user: Names = ("user",)
    item: Names = ("item",)
    time: Names = ("time",)
    rating: Names = ()
    time_unit: str | None = None
    time_format: str | None = None
    split: Mapping[str, str] = field(default_factory=dict)
    pattern: str | None = None


@dataclass(frozen=True, kw_only=True)
class ItemFiles(TableFiles):
    """The items.

    Attributes:
        item: Columns of ids.
        text: Columns of the text, in this order; ``a|b`` takes the first that is there.
        attributes: One of them that lists attributes.
        image_url: Column of the picture's address.
        lists: Columns whose cells are lists, and what stands between their entries.
        flags: A new column from columns that hold 1 where a value applies, such as one a genre.
        pairs: Where a row holds one property: columns ``key`` and ``value``; properties become columns.
    """

    item: Names = ("item",)
    text: Names = ("title",)
    attributes: str | None = None
    image_url: str | None = None
    lists: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Names] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PictureFiles:
    """Pictures on disk: a folder below the source, and how files are called if not by the item's id.

    Attributes:
        folder: Patterns of the folder.
        name: As ``--image-name``.
    """

    folder: Names
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way in which the data set is written.

    Attributes:
        format: ``table``, or what else ``--format`` takes, whose columns are known then.
        interactions: Their files and columns.
        metadata: The items'; None: nothing is known of them.
        pictures: On disk; None: there are none.
        filters: Flags of ``prepare interactions`` that hold unless the command line says otherwise.
    """

    format: str = "table"
    interactions: LogFiles
    metadata: ItemFiles | None = None
    pictures: PictureFiles | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A data set: what it is, and the layouts in which it is found, tried in order."""

    name: str
    about: str
    layouts: tuple[Layout, ...]
    path: Path


def read_recipe(wanted: str) -> Recipe:
    """A shipped recipe by its name, or a file of one's own.

    A recipe with ``variants`` is one for each: ``{variant}`` stands for its value in names of files.

    Raises:
        ConfigError: There is none of this name, or what it says is wrong; names the entry.
    """
    path = Path(wanted)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"--recipe {wanted}: no such file")
        return _parsed(path, path.stem, None)
    known = shipped()
    if wanted not in known:
        raise ConfigError(f"--recipe {wanted}: {near_names(wanted, list(known), 60)}; or name a .yaml file")
    path, variant = known[wanted]
    return _parsed(path, wanted, variant)


def shipped() -> dict[str, tuple[Path, str | None]]:
    """File and variant of every recipe that is shipped, by name."""
    found: dict[str, tuple[Path, str | None]] = {}
    for path in sorted(SHIPPED.glob("*.yaml")):
        variants = _content(path).get("variants")
        if variants is None:
            found[path.stem] = (path, None)
        else:
            found |= {f"{path.stem}-{name}": (path, str(value)) for name, value in variants.items()}
    return found


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path, "see 'prepare recipes NAME' for an example")
    except DataError as error:
        raise ConfigError(f"--recipe {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--recipe {path}: expected entries such as 'interactions:', found {content!r:.60}")
    return content


def _parsed(path: Path, name: str, variant: str | None) -> Recipe:
    content = {key: value for key, value in _content(path).items() if key != "variants"}
    about, either = str(content.pop("about", "")), content.pop("layouts", None)
    if either is not None and (content or not isinstance(either, list)):
        raise ConfigError(f"--recipe {path}: 'layouts' is a list of layouts, and nothing stands beside it")
    layouts = tuple(_layout(one, f"--recipe {path}", variant) for one in (either or [content]))
    return Recipe(name, about, layouts, path)


def _layout(content: Any, where: str, variant: str | None) -> Layout:
    given = dict(_checked(content, Layout, where))
    kinds: dict[str, type] = {"interactions": LogFiles, "metadata": ItemFiles, "pictures": PictureFiles}
    for name, kind in kinds.items():
        if given.get(name) is not None:
            given[name] = _part(given[name], kind, f"{where}: {name}", variant)
    if given.get("format", "table") not in FORMATS:
        raise ConfigError(f"{where}: format {given['format']!r}; choose one of {', '.join(FORMATS)}")
    if unknown := [name for name in given.get("filters", {}) if name not in {one.name for one in fields(Filters)}]:
        known = near_names(unknown[0], [one.name for one in fields(Filters)])
        raise ConfigError(f"{where}: filters: no filter {unknown[0]!r}; {known}")
    Filters(**given.get("filters", {}))
    layout = Layout(**given)
    if layout.interactions.time_unit not in (None, *UNITS):
        raise ConfigError(
            f"{where}: time_unit {layout.interactions.time_unit!r}; choose one of {', '.join(UNITS)}"
        )
    return layout


def _part(content: Any, kind: type[Part], where: str, variant: str | None) -> Part:
    given = {}
    for name, value in _checked(content, kind, where).items():
        annotation = kind.__annotations__.get(name) or TableFiles.__annotations__[name]
        if "Mapping" in annotation:
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {name} has entries of its own, found {value!r:.60}")
            is_list = annotation.endswith("Names]")
            value = {str(key): _names(one) if is_list else str(one) for key, one in value.items()}
        elif annotation == "Names":
            value = _names(value)
            if variant is not None:
                value = tuple(one.replace("{variant}", variant) for one in value)
        elif value is not None and not isinstance(value, str):
            raise ConfigError(f"{where}: {name} is a word, found {value!r:.60}")
        given[name] = value
    return kind(**given)


def _checked(content: Any, kind: type, where: str) -> dict[str, Any]:
    """The entries of a mapping, all of which ``kind`` knows, none of which it lacks."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected entries, found {content!r:.60}")
    known = {one.name: one for one in fields(kind)}
    if unknown := [str(name) for name in content if name not in known]:
        raise ConfigError(f"{where}: no entry {unknown[0]!r}; {near_names(unknown[0], list(known))}")
    for name in ("files", "folder", "interactions"):
        if name in known and name not in content:
            raise ConfigError(f"{where}: the entry {name!r} is missing")
    return content


def _names(value: Any) -> Names:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
