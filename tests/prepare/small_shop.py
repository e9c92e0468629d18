"""Domain folders with texts and picture files, and no features yet."""

from pathlib import Path

import numpy as np

from missrec_pl.data.domain.writer import UserBlock, stream_domain
from missrec_pl.data.sequences import Sequences


def write_pictures(folder: Path, names: list[str], side: int = 40) -> None:
    """JPEGs of random colours, none like another."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for name in names:
        pixels = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((side, side + 9)).save(folder / name, quality=90)


def write_shop(
    path: Path, texts: list[str], images: list[str | None] | None = None, urls: list[str | None] | None = None
) -> Path:
    """A domain of as many items as there are texts; every user buys five of them."""
    count = len(texts)
    lists = [[(start + step) % count + 1 for step in range(5)] for start in range(0, count, 3)]
    return stream_domain(
        path,
        name=path.name,
        raw_item_ids=[f"item {number}" for number in range(1, count + 1)],
        texts=texts,
        users=[UserBlock(Sequences.from_lists(lists), [f"user {number}" for number in range(len(lists))])],
        features={},
        image_paths=images,
        image_urls=urls,
    )


def titles(count: int) -> list[str]:
    """Texts of different lengths."""
    random = np.random.default_rng(3)
    words = np.array(["glue", "shoe", "polish", "film", "home", "craft", "the", "and", "toy", "story"])
    return [" ".join(random.choice(words, random.integers(1, 6))) + f" {number}" for number in range(count)]
