"""``domain.json``: what a domain folder says about itself, and which encoders made the features of several."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from missrec_pl.errors import DataError
from missrec_pl.system.documents import read_json
from missrec_pl.system.lookup import require_folder
from missrec_pl.system.names import check_name, inside

SCHEMA_VERSION = 1
MANIFEST = "domain.json"
ITEMS = "items.parquet"
SEQUENCES = "sequences.parquet"

FeatureDtype = Literal["float32", "float16"]
"""How features are stored."""
DTYPES: tuple[str, ...] = get_args(FeatureDtype)

UNKNOWN_ENCODER = "released:"
"""Prefix of the encoder's name where the files do not say which encoder it was (released folders)."""


@dataclass(frozen=True)
class ModalityInfo:
    """One feature matrix of a domain folder.

    Attributes:
        name: ``text``, ``image``, ``audio`` or any other name.
        file: Path inside the domain folder, ``features/<name>.npy``.
        dim: Width F of a feature row.
        dtype: One of ``DTYPES``.
        encoder: Name of the model that made the features.
        coverage: Share of the items that have the modality, 0..1.
        made_by: Whatever else is known of how it was made: model, preprocessing, options, date, counts.
    """

    name: str
    file: str
    dim: int
    dtype: str
    encoder: str
    coverage: float
    made_by: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The parsed ``domain.json``.

    Attributes:
        views: Other features of the same items (word-dropped text): augmentation material, not modalities.
        sha256: Checksum of every other file of the folder, by its path inside it.
        created_by: Free information about the program and the source that made the folder.
    """

    name: str
    users: int
    items: int
    interactions: int
    modalities: dict[str, ModalityInfo]
    views: dict[str, ModalityInfo]
    sha256: dict[str, str]
    created_by: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes ``domain.json``; it has to be the last file of a new folder."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "counts": {"users": self.users, "items": self.items, "interactions": self.interactions},
            "modalities": {name: _without_name(info) for name, info in self.modalities.items()},
            "views": {name: _without_name(info) for name, info in self.views.items()},
            "sha256": self.sha256,
            "created_by": self.created_by,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads and checks ``folder/domain.json``.

        Raises:
            DataError: The folder or file is missing, is no JSON, has another schema version, lacks a key, or
                names a file that is not in the folder.
        """
        path = inside(require_folder(folder, "domain folder"), MANIFEST, str(folder))
        if not path.is_file():
            raise DataError(f"{folder} holds no {MANIFEST}; {_advice(folder)}")
        content = read_json(path, "prepare the domain again")
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}; prepare it again"
            )
        try:
            counts = content["counts"]
            return cls(
                name=check_name(str(content["name"]), str(path), "domain"),
                users=_count(counts["users"], np.iinfo(np.int32).max),
                items=_count(counts["items"], np.iinfo(np.int32).max),
                interactions=_count(counts["interactions"], np.iinfo(np.int64).max),
                modalities=_infos(content["modalities"], path),
                views=_infos(content.get("views", {}), path),
                sha256={_file(str(file), path): str(digest) for file, digest in content["sha256"].items()},
                created_by=dict(content.get("created_by", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}: missing or wrong entry ({error!r}); prepare the domain again") from error


def _without_name(info: ModalityInfo) -> dict[str, Any]:
    return {key: value for key, value in asdict(info).items() if key != "name" and (key != "made_by" or value)}


def _infos(content: dict[str, dict[str, Any]], path: Path) -> dict[str, ModalityInfo]:
    infos = {
        name: ModalityInfo(name=check_name(name, str(path), "modality"), **entry)
        for name, entry in content.items()
    }
    for info in infos.values():
        _file(info.file, path)
        if info.dtype not in DTYPES:
            raise ValueError(f"dtype {info.dtype!r} of {info.name!r} is not {' or '.join(DTYPES)}")
    return infos


def _count(value: Any, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError(f"a count of {str(number)[:40]}")
    return number


def _file(name: str, path: Path) -> str:
    inside(path.parent, name, f"{path}: missing or wrong entry", "domain folder")
    return name


def _advice(folder: Path) -> str:
    if any(folder.glob("*.train.inter")) or any(folder.glob("*.pt_datasets")):
        return "it is a released folder: use data=released, or python -m missrec_pl.prepare released"
    inner = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
    if inner:
        return f"its sub-folders do ({', '.join(inner)}): name one of them"
    return "make one with python -m missrec_pl.prepare"


def encoders_of(manifests: Iterable[Manifest]) -> dict[str, list[str]]:
    """The distinct encoders of each modality, both in alphabetical order."""
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, info in manifest.modalities.items():
            found.setdefault(name, set()).add(info.encoder)
    return {name: sorted(encoders) for name, encoders in sorted(found.items())}


def other_encoders(theirs: Mapping[str, Sequence[str]], ours: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Compares the encoders (:func:`encoders_of`) of a checkpoint's data with those of this run's data.

    Returns:
        A message for each modality whose encoders differ. A modality with an unknown encoder has none.
    """
    told = {}
    for name in sorted(theirs.keys() & ours.keys()):
        there, here = theirs[name], ours[name]
        is_known = not any(encoder.startswith(UNKNOWN_ENCODER) for encoder in (*there, *here))
        if is_known and not set(here) <= set(there):
            told[name] = f"features by {', '.join(there)} in the checkpoint, by {', '.join(here)} here"
    return told


def check_encoders(manifests: Sequence[Manifest], flag: str) -> None:
    """Refuses domains whose features of one modality come from different encoders: their spaces differ.

    Raises:
        DataError: Names the modality, its encoder in each domain, and ``flag``, which allows it.
    """
    for name in sorted({name for manifest in manifests for name in manifest.modalities}):
        made: dict[str, list[str]] = {}
        for manifest in manifests:
            if name in manifest.modalities:
                made.setdefault(manifest.modalities[name].encoder, []).append(manifest.name)
        if len(made) > 1:
            told = "; ".join(f"{encoder} in {', '.join(domains)}" for encoder, domains in sorted(made.items()))
            raise DataError(
                f"{name} features were made by different encoders ({told}): extract them with one for all domains "
                f"(python -m missrec_pl.prepare features), or pass {flag}"
            )
