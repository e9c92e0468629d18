"""Any source: a file, a folder, an archive."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import MANIFEST
from missrec_pl.data.released.number_types import looks_like
from missrec_pl.errors import DataError
from missrec_pl.prepare.features.picture_folders import ENDINGS
from missrec_pl.prepare.inspection.arrays import inspect_features, inspect_pictures
from missrec_pl.prepare.inspection.report import Report
from missrec_pl.prepare.inspection.tables import inspect_tables
from missrec_pl.prepare.recipes.archives import as_folder, is_archive
from missrec_pl.prepare.recipes.reading import Located, locate
from missrec_pl.prepare.recipes.recipe import read_recipe, shipped

_ARRAYS = (".npy", ".npz", ".safetensors", ".pt", ".pth", ".h5", ".hdf5")
_NO_TABLES = (".md", ".pdf", ".html", ".py", ".yaml", ".yml", ".png", ".jpg", ".lock", ".log")
_GENERAL = ("huggingface",)  # recipes whose patterns fit many folders
_MOST_FILES = 8


def inspect(source: Path) -> Report:
    """What a source is, and how it would be read.

    Raises:
        DataError: There is nothing at this path.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    report = Report()
    if is_archive(source):
        with tempfile.TemporaryDirectory() as name, as_folder(source, Path(name) / "doctor") as folder:
            inner = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
            report.what.append(
                f"{source}: an archive of {sum(path.is_file() for path in folder.rglob('*')):,} files"
            )
            _folder(inner[0] if len(inner) == 1 and inner[0].is_dir() else folder, source, report)
    elif source.is_dir():
        _folder(source, source, report)
    else:
        _file(source, report)
    return report


def _file(path: Path, report: Report) -> None:
    if path.suffix.lower() in _ARRAYS or _is_features(path):
        inspect_features(path, report)
    elif path.suffix.lower() in ENDINGS:
        inspect_pictures(path.parent, report)
    elif path.name.endswith("CLS") and path.suffix.startswith(".feat"):
        with path.open("rb") as stream:
            kind = looks_like(stream.read(1 << 22))
        report.what.append(f"{path.name}: released features, {path.stat().st_size:,} bytes of {kind or 'float32'}")
        report.use.append(f"python -m missrec_pl.prepare doctor {path.parent}")
    else:
        inspect_tables([path], path, report)


def _is_features(path: Path) -> bool:
    """Whether a Parquet file has a column of lists of numbers and no column of texts but ids."""
    if path.suffix not in (".parquet", ".pq"):
        return False
    try:
        schema = pq.read_schema(path)
    except (ValueError, OSError):
        return False
    lists = [field for field in schema if str(field.type).startswith(("list<", "fixed_size_list<", "large_list<"))]
    numeric = [field for field in lists if any(kind in str(field.type) for kind in ("float", "double", "half"))]
    return bool(numeric) and len(schema) - len(lists) <= 2


def _folder(folder: Path, source: Path, report: Report) -> None:
    if (folder / MANIFEST).is_file():
        domain = Domain.open(folder)
        report.what.append(f"{source}: a domain folder, made already: {domain!r}")
        report.use += [f"python -m missrec_pl.prepare {command} {source}" for command in ("info", "check")]
        return
    inner = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if inner:
        report.what.append(f"{source}: {len(inner)} domain folders, made already: {', '.join(inner[:6])}")
        report.use.append(f"python -m missrec_pl.prepare info {source}/*")
        return
    if stems := sorted(path.name.removesuffix(".train.inter") for path in folder.glob("*.train.inter")):
        _released(folder, source, stems, report)
        return
    for located in _recipes(folder):
        _recipe(located, source, report)
        return
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".", "_"))]
    kinds = Counter("picture" if path.suffix.lower() in ENDINGS else path.suffix.lower() for path in files)
    if files and kinds["picture"] > len(files) / 2:
        inspect_pictures(folder, report)
        return
    if (folder / "ratings.csv").is_file() and (folder / "movies.csv").is_file():
        report.what.append(f"{source}: MovieLens, ratings.csv and movies.csv")
        report.use.append(f"python -m missrec_pl.prepare interactions {source} OUT --format movielens --dry-run")
    for path in [path for path in files if path.suffix.lower() in _ARRAYS][:4]:
        inspect_features(path, report)
    tables = [path for path in files if path.suffix.lower() not in (*_ARRAYS, *_NO_TABLES, *ENDINGS)]
    if len(tables) > _MOST_FILES:
        if len({path.suffix for path in tables}) == 1:  # parts of one table
            tables = [folder]
        else:
            report.odd.append(f"{len(tables)} files that may be tables; the first {_MOST_FILES} were read")
    inspect_tables(tables[:_MOST_FILES], source, report)
    if kinds["picture"]:
        report.what.append(f"{kinds['picture']:,} pictures; --images names their folder")


def _released(folder: Path, source: Path, stems: list[str], report: Report) -> None:
    report.what.append(f"{source}: released files (the authors', UniSRec's, RecBole's) of {', '.join(stems)}")
    for path in sorted(folder.glob("*.feat*CLS")):
        with path.open("rb") as stream:
            kind = looks_like(stream.read(1 << 22))
        report.how.append(f"{path.name}: {path.stat().st_size:,} bytes of {kind or 'float32'}")
        if kind is not None:
            report.odd.append(f"{path.name}: looks like {kind}, not float32: --feature-type {kind}")
    report.use.append(f"python -m missrec_pl.prepare released {source} OUT")


def _recipes(folder: Path) -> list[Located]:
    """Recipes whose interactions and items are there, the special ones first."""
    found = []
    for name in sorted(shipped(), key=lambda name: name in _GENERAL):
        try:
            located = locate(read_recipe(name), folder)
        except DataError:
            continue
        if located.items or located.layout.metadata is None:
            found.append(located)
    return found


def _recipe(located: Located, source: Path, report: Report) -> None:
    name = located.recipe.name
    report.what.append(f"{source}: {located.recipe.about} (recipe {name})")
    report.what.append(f"interactions: {', '.join(path.name for path in located.logs[:4])}")
    if located.items:
        report.what.append(f"items: {', '.join(path.name for path in located.items[:4])}")
    if located.pictures is not None:
        inspect_pictures(located.pictures, report)
        report.use.clear()
    report.use.append(f"python -m missrec_pl.prepare interactions {source} OUT --recipe {name} --dry-run")
    report.how.append("the dry run shows rows, times and what filters keep")
