"""``bundle.json``: what a bundle says about itself. Plain values; no paths, no environment."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.nn.contract import DataShape
from missrec_pl.system.documents import read_json

SCHEMA_VERSION = 1
MANIFEST, WEIGHTS, ITEMS = "bundle.json", "weights.safetensors", "items.parquet"
_ADVICE = "export the bundle again"
_MOST = 2**31 - 1  # of anything that is counted


@dataclass(frozen=True)
class BundleManifest:
    """The parsed ``bundle.json``.

    Attributes:
        network: name in the registry, and resolved arguments.
        scorers: the same of each auxiliary scorer.
        shape: sizes of the data that the network was built for (:class:`DataShape`).
        temperature: what the network's scores are divided by before the scorers' are added.
        encoders: per modality the encoders of the features.
        domains: name and content fingerprint of each domain.
        whitening: modalities whose features are whitened before the network reads them.
        metrics: of the run's test, by name.
        made_by: versions of the programs.
        sha256: of the bundle's other files.
    """

    network: dict[str, Any]
    scorers: dict[str, dict[str, Any]]
    shape: dict[str, Any]
    temperature: float
    encoders: dict[str, list[str]]
    domains: dict[str, str]
    whitening: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``bundle.json``, last of all files: it has the others' checksums."""
        hashes = {name: sha256_of(folder / name) for name in (WEIGHTS, ITEMS)}
        content = {"schema_version": SCHEMA_VERSION, **asdict(self), "sha256": hashes}
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / MANIFEST).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> BundleManifest:
        """Read and check ``bundle.json``, and that the other files are those that it was written for.

        Raises:
            DataError: no bundle, of another version, or damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise DataError(f"{folder} is no bundle: it has no {MANIFEST}; make one with `export CKPT OUT`.")
        content = read_json(path, _ADVICE)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION or type(version) is not int:  # true == 1
            shown = str(version)[:40]
            raise DataError(f"{path}: schema version {shown}, this program reads {SCHEMA_VERSION}; {_ADVICE}.")
        try:
            manifest = cls(**{name: value for name, value in content.items() if name != "schema_version"})
            manifest._check()
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: a missing or wrong entry ({reason}); {_ADVICE}.") from error
        for name in (WEIGHTS, ITEMS):
            if not (folder / name).is_file():
                raise DataError(f"{folder / name} is missing; {_ADVICE}.")
            if sha256_of(folder / name) != manifest.sha256.get(name):
                raise DataError(f"{folder / name}: its checksum is not the one in {MANIFEST}; {_ADVICE}.")
        return manifest

    @property
    def data(self) -> DataShape:
        """Sizes of the data, for networks."""
        return DataShape(**self.shape)

    @property
    def fingerprint(self) -> str:
        """A short name of what the bundle holds: of all its tensors and items."""
        return hashlib.sha256("".join(sorted(self.sha256.values())).encode()).hexdigest()[:16]

    def _check(self) -> None:
        for name in ("network", "scorers", "shape", "encoders", "domains", "metrics", "made_by", "sha256"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"{name} is no object")
        for name in ("domains", "made_by", "sha256"):
            if not all(isinstance(value, str) for value in getattr(self, name).values()):
                raise TypeError(f"{name} holds what is no text")
        if not all(
            isinstance(kinds, list) and all(isinstance(k, str) for k in kinds) for kinds in self.encoders.values()
        ):
            raise TypeError("encoders holds what is no list of texts")
        if not all(isinstance(value, int | float) for value in self.metrics.values()):
            raise TypeError("metrics holds what is no number")
        if isinstance(self.temperature, bool) or not isinstance(self.temperature, int | float):
            raise TypeError("temperature is no number")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature={self.temperature}")
        if not isinstance(self.whitening, list):
            raise TypeError("whitening is no list")
        shape = self.shape
        counts = [shape["num_items"], shape["max_history"], shape["num_folds"]]
        for sizes in (shape["feature_dims"], shape["num_present"], shape["attributes"]):
            counts += sizes.values()
        for count in counts:
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
                raise ValueError(f"a count of {str(count)[:40]}")
        if not counts[0] or not counts[1]:
            raise ValueError("a catalogue without items, or histories without places")
        DataShape(**shape)


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
