"""Reads released folders: the authors' format, which is UniSRec's and RecBole's atomic files.

A folder holds ``<name>.{train,valid,test}.inter``, features ``<name>.feat1CLS`` (text), ``.feat2CLS``
(word-dropped text) and ``.feat3CLS`` (image) as raw little-endian float32 rows, ``<name>.item2index``, and
perhaps ``.user2index`` and ``.text``. Further modalities lie in ``<name>.feat_<modality>CLS``: an addition here,
which the authors' code does not read. An item token is a feature row counted from 0; native item = row + 1.
An all-zero row means that the item lacks the modality. ``<name>`` is taken from the one ``*.train.inter``,
whatever the folder is called. A merged pre-training folder also has ``<name>.pt_datasets``, which lists its
domains. Its tokens are ``<domain number>-<row>``, it holds the features of each domain, and it has training
rows only.
"""

from pathlib import Path

from missrec_pl.data.domain.replacing import check_target
from missrec_pl.data.released.domain import FURTHER_FEATURES, ReleasedDomain, read_domain
from missrec_pl.data.released.rows import read_rows
from missrec_pl.errors import DataError
from missrec_pl.system.lookup import require_folder
from missrec_pl.system.names import check_name, inside

_SPLITS = ("train", "valid", "test")
_SUFFIXES = ("inter", "item2index", "user2index", "text", "pt_datasets", "feat1CLS", "feat2CLS", "feat3CLS")


def released_files(path: Path | str) -> list[Path]:
    """The files that are read of a released folder.

    Raises:
        DataError: It is missing or no released folder, or a file is a link that leads out of it.
    """
    folder = Path(path)
    _stem(folder)
    suffixes = [(file, file.name.rpartition(".")[2]) for file in folder.iterdir()]
    known = sorted(file for file, suffix in suffixes if suffix in _SUFFIXES or FURTHER_FEATURES.fullmatch(suffix))
    return [inside(folder, file.name, str(folder)) for file in known]


def read_released(path: Path | str, feature_type: str | None = None) -> list[ReleasedDomain]:
    """Reads and checks a released folder: one domain, or all domains of a merged one.

    ``feature_type`` says what numbers the feature files hold where it is not float32: ``float16``, ``bfloat16``,
    ``float64`` or ``int8``.

    Raises:
        DataError: Something is missing, damaged or contradictory; names file, line or item row.
    """
    folder = Path(path)
    stem = _stem(folder)
    released_files(folder)
    if (folder / f"{stem}.pt_datasets").is_file():
        return _read_merged(folder, stem, feature_type)
    files = {name: folder / f"{stem}.{name}.inter" for name in _SPLITS}
    absent = [file.name for file in files.values() if not file.is_file()]
    if absent:
        raise DataError(f"{folder} lacks {', '.join(absent)}; a released folder needs train, valid and test rows")
    splits = {name: read_rows(file)[0] for name, file in files.items()}
    return [read_domain(folder, stem, splits, feature_type)]


def convert_released(
    path: Path | str, out: Path | str, *, overwrite: bool = False, feature_type: str | None = None
) -> list[Path]:
    """Converts a released folder to the domain folder ``out``, a merged one to several inside ``out``.

    Raises:
        DataError: As ``read_released``; or ``out`` exists and ``overwrite`` is false.
    """
    folder, target = Path(path), Path(out)
    domains = read_released(folder, feature_type)
    is_merged = (folder / f"{_stem(folder)}.pt_datasets").is_file()
    places = [target / domain.name for domain in domains] if is_merged else [target]
    for place in places:
        check_target(place, overwrite=overwrite)
    written = zip(domains, places, strict=True)
    return [domain.write(place, source=folder, overwrite=overwrite) for domain, place in written]


def convert_into(path: Path | str, folder: Path) -> list[Path]:
    """Converts a released folder to ``folder/<name>``, or to one folder for each domain of a merged one."""
    return [domain.write(folder / domain.name, source=Path(path)) for domain in read_released(path)]


def _stem(folder: Path) -> str:
    require_folder(folder, "released folder")
    stems = [file.name.removesuffix(".train.inter") for file in sorted(folder.glob("*.train.inter"))]
    if len(stems) > 1 and folder.name in stems:
        return folder.name
    if len(stems) == 1:
        return check_name(stems[0], str(folder), "data set")
    if not stems:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:6]) or "nothing"
        raise DataError(f"{folder} is no released folder: looked for <name>.train.inter, found {found}")
    raise DataError(f"{folder} holds several sets ({', '.join(stems)}); give each its own folder")


def _read_merged(folder: Path, stem: str, feature_type: str | None) -> list[ReleasedDomain]:
    listing, rows_file = folder / f"{stem}.pt_datasets", folder / f"{stem}.train.inter"
    names = listing.read_text(encoding="utf-8-sig").replace(",", " ").split()
    parts = read_rows(rows_file, merged=True)
    if not names:
        raise DataError(f"{listing} names no domain; expected names separated by commas")
    for name in names:
        check_name(name, str(listing), "domain")
    if unknown := [number for number in parts if number >= len(names)]:
        raise DataError(
            f"{parts[unknown[0]].where(0)}: domain number {unknown[0]}, but {listing.name} lists {len(names)} "
            "domains (numbered from 0)"
        )
    if unused := [name for number, name in enumerate(names) if number not in parts]:
        raise DataError(f"{rows_file} has no rows of {unused[0]}, which {listing.name} lists")
    return [read_domain(folder, name, {"train": parts[number]}, feature_type) for number, name in enumerate(names)]
