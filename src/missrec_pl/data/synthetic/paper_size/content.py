"""Generated domains as large as the paper's pre-training data: written in blocks, the same for any block size.

A domain's items form rings of about 256. Neighbours on a ring have similar features; a user follows three rings
and goes along the present one in small steps, so the next item can be guessed from the last ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from missrec_pl.data.domain.cache import DomainCache
from missrec_pl.data.domain.writer import FeatureMatrix, stream_domain
from missrec_pl.data.synthetic.paper_size.rings import (
    PRESENCE,
    STREAM_ROWS,
    LazyFeatures,
    Rings,
    numbered,
    random_stream,
    user_blocks,
)
from missrec_pl.errors import ConfigError

VERSION = 1  # part of the cache key: raise it when the generated content changes
WIDTH = 512


@dataclass(frozen=True)
class DomainShape:
    """Counts of a domain; without images it has no modality ``image``."""

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


PAPER_SHAPES = (
    DomainShape("food_sized", users=115_349, items=39_670, interactions=1_027_413, images=29_990),
    DomainShape("cds_sized", users=94_010, items=64_439, interactions=1_118_563, images=21_166),
    DomainShape("kindle_sized", users=138_436, items=98_111, interactions=2_204_596, images=0),
    DomainShape("movies_sized", users=281_700, items=59_203, interactions=3_226_731, images=8_675),
    DomainShape("home_sized", users=731_913, items=185_552, interactions=6_451_926, images=34_320),
)
"""The paper's table 1: 1,361,408 users, 446,975 items, 14,029,229 interactions, 94,151 images."""


class PaperSizeDomains:
    """Five generated domains with the counts of the paper's pre-training data, for rehearsals of its size.

    Every item has a text of 512 features, 21 % have an image, one domain has none at all; users have 5 to 50
    items, 10.3 on average. At ``scale=1`` the domains take 0.85 GB on disk. ``scale`` multiplies all counts; a
    domain keeps at least 16 users and 64 items.

    Raises:
        ConfigError: ``scale`` is not above 0, or the seed below 0.
    """

    def __init__(self, cache_dir: Path | str, *, scale: float = 1.0, seed: int = 0) -> None:
        if not 0 < scale < float("inf"):
            raise ConfigError(f"data.source.scale={scale}: must be a number above 0; 1 is the paper's size.")
        if seed < 0:
            raise ConfigError(f"data.source.seed={seed}: must be a whole number from 0.")
        self.name = "paper_size"
        self.shapes = [shape.scaled(scale) for shape in PAPER_SHAPES]
        self.seed = seed
        self._cache = DomainCache(cache_dir, self.name)
        self._inputs = {"version": VERSION, "seed": seed, "shapes": [asdict(shape) for shape in self.shapes]}

    def prepare(self) -> None:
        """Generates the domains unless the cache holds them."""
        self._cache.prepare(self._inputs, self._write)

    def paths(self) -> list[Path]:
        """The generated domain folders; DataError if they were not generated yet."""
        return self._cache.paths(self._inputs)

    def _write(self, folder: Path) -> list[Path]:
        return [write_paper_sized(folder, number, shape, self.seed) for number, shape in enumerate(self.shapes)]


def write_paper_sized(
    folder: Path, number: int, shape: DomainShape, seed: int, *, block_rows: int = 2 * STREAM_ROWS
) -> Path:
    """Writes a domain to ``folder/<shape.name>``, which is returned.

    Number, shape and seed determine the content. ``block_rows`` feature rows, or users, are made at a time.
    Memory: 200 bytes per item, 10 per user, 65,536 users with their sequences, and a block; less than 200 MB
    for the paper's largest domain.
    """
    rings = Rings(seed, number, shape.items)
    has_image = np.zeros(shape.items, bool)
    has_image[random_stream(seed, number, PRESENCE).permutation(shape.items)[: shape.images]] = True
    features = {
        name: FeatureMatrix(LazyFeatures(seed, number, name, rings, here, WIDTH), here, "synthetic-projection")
        for name, here in (("text", np.ones(shape.items, bool)), ("image", has_image))
        if here.any()
    }
    program = "missrec_pl.data.synthetic.paper_size"
    made_by = {"program": program, "version": VERSION, "domain": number, "seed": seed}
    return stream_domain(
        folder / shape.name,
        name=shape.name,
        raw_item_ids=numbered(f"{shape.name}-item-", np.arange(1, shape.items + 1)),
        texts=rings.texts(),
        users=user_blocks(seed, number, f"{shape.name}-user", rings, shape.users, shape.interactions, block_rows),
        features=features,
        created_by={**made_by, **asdict(shape)},
        dtype="float16",
        block_rows=block_rows,
    )
