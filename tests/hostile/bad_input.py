"""What a case of bad input is, and how it is shown to the program as a user would."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from runs import ROOT, composed

from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.experiment.cli import user_mistakes
from missrec_pl.prepare.__main__ import main

TABLE = ROOT / "docs" / "bad_input.md"
SEEN: dict[tuple[str, str], str] = {}

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
USERS, ITEMS, WIDTH = 6, 12, 4


@dataclass(frozen=True)
class Case:
    """One kind of bad input.

    Attributes:
        area: what it is shown to: a key of ``COMMANDS``.
        what: what is wrong, in a few words; with the area the case's name.
        damage: makes it so, given the place where the intact thing lies, or the overrides of a config.
        parts: what the one line has to contain; empty for input that is read all the same.
    """

    area: str
    what: str
    damage: Callable[[Path], object] | tuple[str, ...]
    parts: tuple[str, ...]


CASES: list[Case] = []


def case(area: str, what: str, *parts: str):
    """Registers a function that does the damage."""

    def register(damage):
        CASES.append(Case(area, what, damage, parts))
        return damage

    return register


def config_case(what: str, overrides: tuple[str, ...], *parts: str) -> None:
    """Registers overrides that cannot work."""
    CASES.append(Case("config", what, overrides, parts))


def walks() -> list[list[int]]:
    return [[(user + 2 * step) % ITEMS for step in range(6)] for user in range(USERS)]


def features(width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS, width)).astype("<f4")


def released(folder: Path, token: str = "{}") -> Path:
    """A small folder in the authors' format; ``token`` makes an item token of a row number."""
    folder.mkdir(parents=True)
    rows = {"train": [], "valid": [], "test": []}
    for user, walk in enumerate(walks()):
        tokens = [token.format(item) for item in walk]
        for end in range(1, len(walk)):
            split = {len(walk) - 1: "test", len(walk) - 2: "valid"}.get(end, "train")
            rows[split].append(f"{user}\t{' '.join(tokens[:end])}\t{tokens[end]}\n")
    for split, lines in rows.items():
        (folder / f"shop.{split}.inter").write_text(HEADER + "".join(lines))
    (folder / "shop.item2index").write_text("".join(f"raw{item}\t{item}\n" for item in range(ITEMS)))
    features().tofile(folder / "shop.feat1CLS")
    return folder


def merged(folder: Path) -> Path:
    """The pre-training form: one domain, listed in ``.pt_datasets``."""
    released(folder, token="0-{}")
    for split in ("valid", "test"):
        (folder / f"shop.{split}.inter").unlink()
    (folder / "shop.pt_datasets").write_text("shop")
    return folder


def native(folder: Path) -> Path:
    """A small domain folder."""
    times = [[10 * step + user for step in range(6)] for user in range(USERS)]
    return write_domain(
        folder,
        name="shop",
        raw_item_ids=[f"raw{item}" for item in range(ITEMS)],
        texts=["text"] * ITEMS,
        sequences=Sequences.from_lists([[item + 1 for item in walk] for walk in walks()], times),
        raw_user_ids=[str(user) for user in range(USERS)],
        features={"text": FeatureMatrix(features(), np.ones(ITEMS, bool), "test")},
    )


def prepare(*arguments: object) -> None:
    """A preparation command as a user's."""
    code = main([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)


def check_config(overrides: tuple[str, ...]) -> None:
    from missrec_pl.config.validation import validate_config

    with user_mistakes():
        validate_config(composed("data=synthetic", *overrides))


def evaluate_checkpoint(file: Path) -> None:
    from missrec_pl.experiment.evaluate import evaluate

    with user_mistakes():
        place = f"paths.output_dir={file.parent / 'run'}"
        evaluate(composed(f"ckpt={file}", "trainer=cpu", place, config="eval"))


def normalised(line: str, place: Path) -> str:
    """A line of the table: without the temporary folder, and without what Markdown would read."""
    line = line.removeprefix("error: ").replace(str(place), "DIR").replace(str(place.resolve()), "DIR")
    return re.sub(r"\s+", " ", line).replace("|", "\\|").replace("`", "'")
