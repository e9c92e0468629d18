"""Picture files that are on disk already: which of them belong to which item."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import whole_file
from missrec_pl.system.keops_trial import default_folder
from missrec_pl.system.lookup import require_folder

ENDINGS = frozenset(
    f".{kind}"
    for kind in "jpg jpeg jpe jfif mpo png gif webp bmp tif tiff avif heic heif jp2 svg ico".split()  # noqa: SIM905
)
"""Endings of picture files, in small letters; which of them can be decoded is found out when they are read."""
_REMEMBERED = "picture_folders.json"
_NUMBERED = re.compile(r"(.+?)[ _.\-]+[(\[]?\d{1,4}[)\]]?|(.+?)[(\[]\d{1,4}[)\]]")
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Pictures:
    """What a folder of pictures holds for a list of items.

    Attributes:
        files: for each item, its files as ``items.parquet`` keeps them, the first one first; none or several.
        left: files that belong to no item.
        told: what was found, missed and left over, in lines.
        counts: the same for ``domain.json``.
    """

    files: list[list[str]]
    left: list[str]
    told: list[str]
    counts: dict[str, object]


@dataclass(frozen=True)
class ItemImages:
    """Picture files of one folder and the folders in it.

    An item's pictures are called by its id, whatever their endings (``p1.jpg``, ``p1.PNG``), by its id and a
    number (``p1_2.jpg``, ``p1 (2).jpg``), or lie in a folder called so (``p1/back.jpg``). ``name`` asks for files
    that are called like it, the item's id for ``{id}``; then the ending's case is all that may differ.
    """

    folder: Path
    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and "{id}" not in self.name:
            raise ConfigError(f"--image-name {self.name}: it has to contain {{id}}, the item's id")
        require_folder(self.folder, "folder of images")

    def find(self, raw_ids: Sequence[str], domain: Path) -> Pictures:
        """The files of every item, for the domain folder ``domain``."""
        there = sorted(pictures_in(self.folder), key=_natural)
        if self.name is None:
            owners = _by_id(there, set(raw_ids))
        else:
            wanted = {_small_ending(self.name.replace("{id}", raw)): raw for raw in raw_ids}
            owners = {file: wanted[key] for file in there if (key := _small_ending(file)) in wanted}
        found: dict[str, list[str]] = {}
        for file, raw in owners.items():
            found.setdefault(raw, []).append(file)
        for raw, files in found.items():  # the one that is called exactly so, then by number
            files.sort(key=lambda file: (PurePosixPath(file).stem != raw, file.count("/"), _natural(file)))
        stored = stored_folder(self.folder, domain)
        if stored.is_absolute():
            _remember(self.folder)
        kept = [[(stored / file).as_posix() for file in found.get(raw, [])] for raw in raw_ids]
        left = [file for file in there if file not in owners]
        return Pictures(kept, left, *self._told(raw_ids, found, there, left))

    def _told(
        self, raw_ids: Sequence[str], found: Mapping[str, list[str]], there: Sequence[str], left: Sequence[str]
    ) -> tuple[list[str], dict[str, object]]:
        without = [raw for raw in raw_ids if raw not in found]
        several = [raw for raw in raw_ids if len(found.get(raw, [])) > 1]
        endings = Counter(PurePosixPath(file).suffix or "no ending" for file in there)
        listed = ", ".join(f"{number:,} {ending}" for ending, number in endings.most_common(6))
        have = len(raw_ids) - len(without)
        told = [
            f"pictures: {have:,} of {len(raw_ids):,} items have one in {self.folder} ({listed or 'no pictures'})"
        ]
        if without:
            told.append(f"  {len(without):,} items have none, such as {', '.join(without[:3])}")
        if left:
            told.append(f"  {len(left):,} files belong to no item, such as {', '.join(left[:3])}")
        if self.name is not None and without and left:
            told.append(f"  only files like {self.name} were looked for: leave out --image-name to find others")
        if several:
            first = several[0]
            told.append(f"  {len(several):,} items have several, such as {first}: {', '.join(found[first][:3])}")
        counts = {"folder": str(self.folder), "found": have, "without": len(without), "left over": len(left)}
        return told, {**counts, "several": len(several), "endings": dict(endings)}


def pictures_in(folder: Path) -> Iterator[str]:
    """All picture files below a folder, relative to it; hidden ones and what macOS adds to archives left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        inner = Path(place).relative_to(folder)
        for name in names:
            suffix = PurePosixPath(name).suffix.lower()
            if not name.startswith(".") and (suffix in ENDINGS or not suffix):
                yield (inner / name).as_posix()


def _by_id(files: Sequence[str], ids: set[str]) -> dict[str, str]:
    owners = {}
    for file in files:
        path = PurePosixPath(file)
        stem = path.stem if path.suffix.lower() in ENDINGS else path.name
        numbered = _NUMBERED.fullmatch(stem)
        names = [path.with_name(stem).as_posix(), stem]
        names += [numbered[1] or numbered[2]] if numbered else []
        names += reversed(path.parent.parts)
        owner = next((name for name in names if name in ids), None)
        if owner is not None:
            owners[file] = owner
    return owners


def _small_ending(file: str) -> str:
    path = PurePosixPath(file)
    return file.removesuffix(path.suffix) + path.suffix.lower()


def _natural(file: str) -> list[tuple[int, int, str]]:
    """A key that orders 2 before 10."""
    parts = _DIGITS.split(file)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def stored_folder(images: Path, domain: Path) -> Path:
    """How ``items.parquet`` names a folder of images.

    Relative to the domain folder if it lies beside or below it, so that both can be moved together; else absolute.
    """
    images, parent = images.resolve(), domain.resolve().parent
    return Path(os.path.relpath(images, domain.resolve())) if images.is_relative_to(parent) else images


def remembered_folders() -> tuple[Path, ...]:
    """Folders that this user named with ``--images``, so that ``prepare features`` may read them, too."""
    try:
        listed = read_json(default_folder() / _REMEMBERED, "remove it")
    except (OSError, DataError):
        return ()
    return tuple(Path(str(name)) for name in listed) if isinstance(listed, list) else ()


def _remember(folder: Path) -> None:
    known = list(map(str, remembered_folders()))
    name = str(folder.resolve())
    if name in known:
        return
    try:
        with whole_file(default_folder() / _REMEMBERED, several_writers=True) as part:
            part.write_text(json.dumps([*known, name][-100:]), encoding="utf-8")
    except OSError:  # a machine without a place for it: --image-folder names the folder then
        return
