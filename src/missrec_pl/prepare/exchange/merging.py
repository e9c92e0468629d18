"""Several domain folders as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.encoders import check_encoders
from missrec_pl.data.domain.files import FeatureMatrix, UserBlock
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import known_image_urls
from missrec_pl.data.domain.writer import stream_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError


def merge_domains(
    paths: Sequence[Path], out: Path, *, allow_mixed_encoders: bool = False, overwrite: bool = False
) -> Path:
    """Joins domains: items and users of each in turn, their raw ids prefixed by the domain's name.

    Nobody is the same person in two domains: users stay apart, as in the authors' mix.

    Args:
        paths: The domain folders.
        out: The domain folder to make.
        allow_mixed_encoders: Join features of one width even if different encoders made them.
        overwrite: Replace an existing domain folder.

    Returns:
        ``out``.

    Raises:
        DataError: Names, widths or encoders collide, or ``out`` exists.
    """
    from missrec_pl.data.items.feature_rows import feature_dims_of  # with torch: --help does not wait for it

    domains = [Domain.open(path) for path in paths]
    names = [domain.name for domain in domains]
    if len(set(names)) < len(names):
        raise DataError(f"two of the domains have one name: {', '.join(names)}; prepare one under another name")
    if not allow_mixed_encoders:
        check_encoders([domain.manifest for domain in domains], "--allow-mixed-encoders")
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
        created_by={
            "program": "missrec_pl.prepare.merge",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "domains": [{"name": domain.name, "path": str(domain.path.resolve())} for domain in domains],
        },
        overwrite=overwrite,
    )


class StackedRows:
    """Features of several domains one below the other, read when asked for; zeros where a domain has none.

    Args:
        domains: In order.
        name: The modality or view.
        width: F.
    """

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
            if low < high and self._name in {**domain.modalities, **domain.views}:
                here = domain.features(self._name)[1 + low - first : 1 + high - first]
                block[low - start : high - start] = here
        return block


def _stacked(domains: Sequence[Domain], name: str) -> FeatureMatrix:
    having = [domain for domain in domains if name in {**domain.modalities, **domain.views}]
    present = [
        domain.present(name)[1:] if domain in having else np.zeros(domain.num_items, bool) for domain in domains
    ]
    encoders = sorted({domain.info(name).encoder for domain in having})
    first = having[0].info(name)
    rows = StackedRows(domains, name, first.dim)
    return FeatureMatrix(rows, np.concatenate(present), " + ".join(encoders), first.made_by)


def _users(domains: Sequence[Domain]) -> Iterator[UserBlock]:
    timed = all(domain.sequences.timestamps is not None for domain in domains)
    first = 0
    for domain in domains:
        sequences = domain.sequences
        yield UserBlock(
            Sequences(
                sequences.items + np.int32(first), sequences.offsets, sequences.timestamps if timed else None
            ),
            [f"{domain.name}:{raw}" for raw in domain.raw_user_ids()],
        )
        first += domain.num_items
        domain.forget_sequences()


def _image_urls(domains: Sequence[Domain]) -> list[str | None] | None:
    known = [known_image_urls(domain.path) for domain in domains]
    if not any(known):
        return None
    none: list[str | None] = [None]
    return [url for domain, urls in zip(domains, known, strict=True) for url in urls or none * domain.num_items]


def _absolute(domain: Domain, image: str) -> str | None:
    return str((domain.path / image).resolve()) if image else None
