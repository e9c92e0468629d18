"""Generated domains as large as the paper's pre-training data, as a domain source."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

from missrec_pl.data.domain.cache import DomainCache
from missrec_pl.data.synthetic.paper_size.content import VERSION, DomainShape, write_paper_sized
from missrec_pl.errors import ConfigError

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
    items, 10.3 on average. At ``scale=1`` the domains take 0.85 GB on disk.

    Args:
        cache_dir: Where the generated domains are kept.
        scale: Factor of all counts; a domain keeps at least 16 users and 64 items.
        seed: Same seed, same content.

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

    def prepare(self) -> None:
        """Generates the domains unless the cache holds them."""
        self._cache.prepare(self._inputs(), partial(_write_all, shapes=self.shapes, seed=self.seed))

    def paths(self) -> list[Path]:
        """The generated domain folders.

        Raises:
            DataError: They were not generated yet.
        """
        return self._cache.paths(self._inputs())

    def _inputs(self) -> dict[str, object]:
        return {"version": VERSION, "seed": self.seed, "shapes": [asdict(shape) for shape in self.shapes]}


def _write_all(folder: Path, shapes: list[DomainShape], seed: int) -> list[Path]:
    return [write_paper_sized(folder, number, shape, seed) for number, shape in enumerate(shapes)]
