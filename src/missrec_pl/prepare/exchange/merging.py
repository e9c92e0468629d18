"""Several domain folders as one."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.files import FeatureMatrix, UserBlock
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import known_image_urls
from missrec_pl.data.domain.writer import stream_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError


def merge_domains(paths: Sequence[Path], out: Path, *, overwrite: bool = False) -> Path:
    """Joins domains: items and users of each in turn, their raw ids prefixed by the domain's name.

    Nobody is the same person in two domains: users stay apart, as in the authors' mix.

    Raises:
        DataError: Two domains have one name, features of a modality differ in width, or ``out`` exists.
    """
    from missrec_pl.data.items.feature_rows import feature_dims_of  # with torch: --help does not wait for it

    domains = [Domain.open(path) for path in paths]
    names = [domain.name for domain in domains]
    if len(set(names)) < len(names):
        raise DataError(f"two of the domains have one name: {', '.join(names)}; prepare one under another name")
    modalities = sorted({name for domain in domains for name in domain.modalities}, reverse=True)
    views = [name for name in domains[0].views if all(name in domain.views for domain in domains)]
    if modalities:
        feature_dims_of(domains, modalities)
    return stream_domain(
        out,
        name=out.name,
        raw_item_ids=[f"{domain.name}:{raw}" for domain in domains for raw in domain.raw_item_ids()[1:]],
        texts=[text for domain in domains for text in domain.texts()[1:]],
        users=_users(domains),
        features={name: _stacked(domains, name) for name in modalities},
        views={name: _stacked(domains, name) for name in views},
        image_paths=[_absolute(domain, image) for domain in domains for image in domain.image_paths()[1:]],
        image_urls=_image_urls(domains),
        attributes=_attributes(domains),
        created_by={
            "program": "missrec_pl.prepare.merge",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "domains": [{"name": domain.name, "path": str(domain.path.resolve())} for domain in domains],
        },
        overwrite=overwrite,
    )


class StackedRows:
    """One modality or view of several domains, [N, width], read when asked for; zeros where a domain has none."""

    def __init__(self, domains: Sequence[Domain], name: str, width: int) -> None:
        self._domains, self._name = domains, name
        self._offsets = np.cumsum([0, *(domain.num_items for domain in domains)])
        self.shape = (int(self._offsets[-1]), width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.floating[Any]]:
        start, stop, _ = rows.indices(len(self))
        block = np.zeros((stop - start, self.shape[1]), np.float32)
        for domain, first, last in zip(self._domains, self._offsets[:-1], self._offsets[1:], strict=True):
            low, high = max(start, int(first)), min(stop, int(last))
            if low < high and _has(domain, self._name):
                here = domain.features(self._name)[1 + low - first : 1 + high - first]
                block[low - start : high - start] = here
        return block


def _has(domain: Domain, name: str) -> bool:
    return name in domain.modalities or name in domain.views


def _stacked(domains: Sequence[Domain], name: str) -> FeatureMatrix:
    infos = [domain.info(name) for domain in domains if _has(domain, name)]
    present = np.concatenate(
        [
            domain.present(name)[1:] if _has(domain, name) else np.zeros(domain.num_items, bool)
            for domain in domains
        ]
    )
    encoders = sorted({info.encoder for info in infos})
    rows = StackedRows(domains, name, infos[0].dim)
    return FeatureMatrix(rows, present, " + ".join(encoders), infos[0].made_by)


def _users(domains: Sequence[Domain]) -> Iterator[UserBlock]:
    timed = all(domain.sequences.timestamps is not None for domain in domains)
    first = 0
    for domain in domains:
        own = domain.sequences
        joint = Sequences(own.items + np.int32(first), own.offsets, own.timestamps if timed else None)
        yield UserBlock(joint, [f"{domain.name}:{raw}" for raw in domain.raw_user_ids()])
        first += domain.num_items
        domain.forget_sequences()


def _image_urls(domains: Sequence[Domain]) -> list[str | None] | None:
    known = [known_image_urls(domain.path) for domain in domains]
    if not any(known):
        return None
    none: list[str | None] = [None]
    return [url for domain, urls in zip(domains, known, strict=True) for url in urls or none * domain.num_items]


def _attributes(domains: Sequence[Domain]) -> list[list[str]] | None:
    known = [domain.attributes() for domain in domains]
    if all(one is None for one in known):
        return None
    return [
        values or []
        for domain, lists in zip(domains, known, strict=True)
        for values in ([[]] * domain.num_items if lists is None else lists.to_pylist())
    ]


def _absolute(domain: Domain, image: str) -> str | None:
    return str((domain.path / image).resolve()) if image else None
