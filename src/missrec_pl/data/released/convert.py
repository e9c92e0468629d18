"""Reads released folders: the authors' format, which is UniSRec's and RecBole's atomic files.

A folder holds ``<name>.{train,valid,test}.inter``, features ``<name>.feat1CLS`` (text), ``.feat2CLS``
(word-dropped text) and ``.feat3CLS`` (image) as raw little-endian float32 rows, ``<name>.item2index``, and
perhaps ``.user2index`` and ``.text``. An item token is a feature row counted from 0; native item = row + 1.
An all-zero row means that the item lacks the modality. ``<name>`` is taken from the one ``*.train.inter``,
whatever the folder is called. A merged pre-training folder has ``<name>.pt_datasets`` too, which lists its
domains; its tokens are ``<domain number>-<row>``, each domain's features lie beside, and there are training
rows only.
"""

from pathlib import Path

from missrec_pl.data.domain.replacing import check_target
from missrec_pl.data.released.domain import ReleasedDomain, read_domain
from missrec_pl.data.released.rows import read_merged_rows, read_rows
from missrec_pl.errors import DataError
from missrec_pl.system.lookup import require_folder

_SPLITS = ("train", "valid", "test")
_SUFFIXES = ("inter", "item2index", "user2index", "text", "pt_datasets", "feat1CLS", "feat2CLS", "feat3CLS")


def released_files(path: Path | str) -> list[Path]:
    """The files of a released folder that take part in reading it.

    Raises:
        DataError: The folder is missing or is no released folder.
    """
    folder = Path(path)
    _stem(folder)
    return sorted(file for file in folder.iterdir() if file.name.rpartition(".")[2] in _SUFFIXES)


def read_released(path: Path | str) -> list[ReleasedDomain]:
    """Reads and checks a released folder: one domain, or all domains of a merged one.

    Raises:
        DataError: Something is missing, damaged or contradictory; names file, line or item row.
    """
    folder = Path(path)
    stem = _stem(folder)
    listing = folder / f"{stem}.pt_datasets"
    if listing.is_file():
        return _read_merged(folder, stem, listing.read_text(encoding="utf-8-sig").replace(",", " ").split())
    absent = [f"{stem}.{name}.inter" for name in _SPLITS if not (folder / f"{stem}.{name}.inter").is_file()]
    if absent:
        raise DataError(f"{folder} lacks {', '.join(absent)}; a released folder needs train, valid and test rows")
    return [read_domain(folder, stem, {name: read_rows(folder / f"{stem}.{name}.inter") for name in _SPLITS})]


def convert_released(path: Path | str, out: Path | str, *, overwrite: bool = False) -> list[Path]:
    """Converts a released folder to the domain folder ``out``, a merged one to several inside ``out``.

    Returns:
        The domain folders.

    Raises:
        DataError: As ``read_released``; or ``out`` exists and ``overwrite`` is false.
    """
    folder, target = Path(path), Path(out)
    domains = read_released(folder)
    if not _is_merged(folder):
        return [domains[0].write(target, source=folder, overwrite=overwrite)]
    for domain in domains:
        check_target(target / domain.name, overwrite=overwrite)
    return [domain.write(target / domain.name, source=folder, overwrite=overwrite) for domain in domains]


def convert_into(path: Path | str, folder: Path) -> list[Path]:
    """Converts a released folder to ``folder/<name>``, or to one folder for each domain of a merged one."""
    return [domain.write(folder / domain.name, source=Path(path)) for domain in read_released(path)]


def _is_merged(folder: Path) -> bool:
    return (folder / f"{_stem(folder)}.pt_datasets").is_file()


def _stem(folder: Path) -> str:
    require_folder(folder, "released folder")
    stems = [file.name.removesuffix(".train.inter") for file in sorted(folder.glob("*.train.inter"))]
    if len(stems) > 1 and folder.name in stems:
        return folder.name
    if len(stems) == 1:
        return stems[0]
    if not stems:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
        raise DataError(f"{folder} is no released folder: looked for <name>.train.inter, found {found}")
    raise DataError(f"{folder} holds several sets ({', '.join(stems)}); give each its own folder")


def _read_merged(folder: Path, stem: str, names: list[str]) -> list[ReleasedDomain]:
    parts = read_merged_rows(folder / f"{stem}.train.inter")
    if not names:
        raise DataError(f"{folder / stem}.pt_datasets names no domain; expected names separated by commas")
    if leaving := [name for name in names if Path(name).name != name]:
        raise DataError(
            f"{folder / stem}.pt_datasets: {leaving[0]!r} is no name of a domain; its files lie in this folder"
        )
    unknown = [number for number in parts if number >= len(names)]
    if unknown:
        rows = parts[unknown[0]]
        raise DataError(
            f"{rows.where(0)}: domain number {unknown[0]}, but {stem}.pt_datasets lists {len(names)} domains "
            "(numbered from 0)"
        )
    unused = [name for number, name in enumerate(names) if number not in parts]
    if unused:
        raise DataError(f"{folder / stem}.train.inter has no rows of {unused[0]}, which {stem}.pt_datasets lists")
    return [read_domain(folder, name, {"train": parts[number]}) for number, name in enumerate(names)]
