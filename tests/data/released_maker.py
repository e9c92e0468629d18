"""Writes small released folders, the way the authors' preparation does."""

from pathlib import Path

import numpy as np

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token"


def random_sequences(seed: int = 0, users: int = 12, items: int = 30, longest: int = 9) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(items, size=rng.integers(3, longest + 1)).tolist() for _ in range(users)]


def rows_of(sequences: list[list[int]], *, cut: int = 50, descending: bool = False) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user, items in enumerate(sequences):
        rows = [f"{user}\t{' '.join(map(str, items[:end][-cut:]))}\t{items[end]}" for end in range(1, len(items))]
        splits["test"].append(rows.pop())
        if rows:
            splits["valid"].append(rows.pop())
        splits["train"] += reversed(rows) if descending else rows
    return splits


def write_released(
    folder: Path,
    sequences: list[list[int]],
    *,
    stem: str | None = None,
    items: int = 30,
    cut: int = 50,
    descending: bool = False,
    end: str = "\n",
    start: str = "",
    image: bool = True,
    worddrop: bool = True,
) -> Path:
    """A folder with text (4-d), image (3-d, item 2 missing) and word-dropped text features."""
    folder.mkdir(parents=True)
    stem = stem or folder.name
    rng = np.random.default_rng(5)

    def write(suffix: str, lines: list[str]) -> None:
        text = start + "".join(line + end for line in lines)
        (folder / f"{stem}.{suffix}").write_bytes(text.encode())

    for name, rows in rows_of(sequences, cut=cut, descending=descending).items():
        write(f"{name}.inter", [HEADER, *rows])
    write("item2index", [f"raw{item}\t{item}" for item in range(items)])
    write("user2index", [f"person{user}\t{user}" for user in range(len(sequences))])
    texts = [f'raw{item}\t"a ""nice"" thing {item}"' for item in reversed(range(items))]
    write("text", ["item_id:token\ttext:token_seq", *texts])
    rng.normal(size=(items, 4)).astype("<f4").tofile(folder / f"{stem}.feat1CLS")
    if worddrop:
        rng.normal(size=(items, 4)).astype("<f4").tofile(folder / f"{stem}.feat2CLS")
    if image:
        rows = rng.normal(size=(items, 3)).astype("<f4")
        rows[2] = 0
        rows.tofile(folder / f"{stem}.feat3CLS")
    return folder
