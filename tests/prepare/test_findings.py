"""``prepare check``: sound files that look like a mistake."""

from pathlib import Path

import numpy as np
import pytest
from small_shop import write_shop

from missrec_pl.data.domain.update import add_features
from missrec_pl.data.domain.writer import FeatureMatrix
from missrec_pl.prepare.__main__ import main

WORDS = np.array(
    ["glue", "shoe", "polish", "film", "home", "craft", "toy", "story", "action", "comedy", "lamp", "nut"]
)


def shop_of_words(path: Path, *, shift: int = 0, texts: bool = True, copies: int = 0, long: bool = False) -> Path:
    """Vectors are bags of the texts' words, shifted by some rows."""
    random = np.random.default_rng(0)
    bags = random.random((200, len(WORDS))) < 0.2
    bags[:, 0] |= ~bags.any(axis=1)
    rows = bags + random.normal(0, 0.1, bags.shape)
    rows[:copies] = 1.0
    if long:
        rows[7] *= 1000
    rows = np.roll(rows, shift, axis=0).astype(np.float32)
    shop = write_shop(path, [" ".join(WORDS[bag]) if texts else "" for bag in bags])
    add_features(shop, {"text": FeatureMatrix(rows, np.ones(200, bool), "words")})
    return shop


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"shift": 1}, "are they in the order of the items?"),
        ({"copies": 30}, "15.0% of the items have the same vector"),
        ({"long": True}, "times the median"),
    ],
)
def test_oddities_of_features(
    changes: dict[str, int], expected: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = shop_of_words(tmp_path / "shop", **changes)
    assert main(["check", str(shop)]) == 0
    printed = capsys.readouterr().out
    assert ": ok, fingerprint " in printed
    assert "text: 100.0% of the items" in printed
    warnings = [line for line in printed.splitlines() if "warning: " in line]
    assert bool(warnings) == (expected is not None)
    if expected is not None:
        assert any(expected in line for line in warnings)
    assert main(["check", "--strict", str(shop)]) == (0 if expected is None else 2)


def test_rows_without_texts_are_held_against_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = shop_of_words(tmp_path / "shop", texts=False)
    assert main(["check", str(shop)]) == 0
    assert "rows agree with neighbours in sequences" in capsys.readouterr().out


def test_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from missrec_pl.data.domain.writer import UserBlock, stream_domain
    from missrec_pl.data.sequences import Sequences

    lists = [[1, 2, 1], [1, 2, 1], [2, 1, 3], [1, 2, 2]]
    times = [[1, 2, 3], [1, 2, 3], [9, 10, 11], [20, 21, 22]]
    users = [UserBlock(Sequences.from_lists(lists, times), list("abcd"))]
    stream_domain(tmp_path / "d", name="d", raw_item_ids=list("xyz"), texts=["a"] * 3, users=users, features={})
    assert main(["check", str(tmp_path / "d")]) == 0
    printed = capsys.readouterr().out
    assert "75.0% of 4 test targets are in their own history" in printed
    assert "warning: leave-one-out: 25.0% of the test users copy another user's whole sequence" in printed
    assert "25.0% of the test targets occur in no training part" in printed
    assert "75.0% of the test targets are older than the newest training interaction" in printed
    assert "no features yet" in printed
