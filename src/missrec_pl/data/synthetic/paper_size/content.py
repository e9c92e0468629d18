"""The content of large generated domains: drawn in vectors, written in blocks, the same for any block size.

A domain's items form rings of about 256. Neighbours on a ring have similar features; a user follows three rings
and goes along the present one in small steps, so the next item can be guessed from the last ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.writer import FeatureMatrix, stream_domain
from missrec_pl.data.synthetic.paper_size.items import LazyFeatures, Rings, numbered
from missrec_pl.data.synthetic.paper_size.streams import PRESENCE, STREAM_ROWS, random_stream
from missrec_pl.data.synthetic.paper_size.users import Walks

VERSION = 1  # part of the cache key: raise it when the generated content changes
WIDTH = 512


@dataclass(frozen=True)
class DomainShape:
    """Counts of a domain.

    Attributes:
        images: Items that have an image; without any, the domain has no modality ``image``.
    """

    name: str
    users: int
    items: int
    interactions: int
    images: int

    def scaled(self, factor: float) -> DomainShape:
        """The shape with its counts multiplied; averages stay as they are."""
        users = max(16, round(self.users * factor))
        items = max(64, round(self.items * factor))
        interactions = round(self.interactions * users / self.users)
        return DomainShape(self.name, users, items, interactions, round(self.images * items / self.items))


def write_paper_sized(
    folder: Path, number: int, shape: DomainShape, seed: int, *, block_rows: int = 2 * STREAM_ROWS
) -> Path:
    """Writes a domain to ``folder/<shape.name>``.

    Memory beside the libraries: 200 bytes per item and 10 per user of the domain, 65,536 users with their
    sequences, and a block; less than 200 MB for the paper's largest domain.

    Args:
        folder: Where the domain folder goes.
        number: Which domain; together with the seed and the shape it decides about the content.
        shape: The domain's counts.
        seed: Same seed, same content.
        block_rows: Feature rows, or users, made at a time; no matter for the content.

    Returns:
        The domain folder.
    """
    rings = Rings(seed, number, shape.items)
    present = {"text": np.ones(shape.items, bool), "image": _some(seed, number, shape.images, shape.items)}
    features = {
        name: FeatureMatrix(LazyFeatures(seed, number, name, rings, here, WIDTH), here, "synthetic-projection")
        for name, here in present.items()
        if here.any()
    }
    walks = Walks(seed, number, f"{shape.name}-user", rings, shape.users, shape.interactions)
    return stream_domain(
        folder / shape.name,
        name=shape.name,
        raw_item_ids=numbered(f"{shape.name}-item-", np.arange(1, shape.items + 1)),
        texts=rings.texts(),
        users=walks.blocks(block_rows),
        features=features,
        created_by={
            "program": "missrec_pl.data.synthetic.paper_size",
            "version": VERSION,
            "domain": number,
            "seed": seed,
            **asdict(shape),
        },
        dtype="float16",
        block_rows=block_rows,
    )


def _some(seed: int, number: int, count: int, total: int) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(total, bool)
    chosen[random_stream(seed, number, PRESENCE).permutation(total)[:count]] = True
    return chosen
