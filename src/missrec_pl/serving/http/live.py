"""The recommender in use, and its exchange for another while requests go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from missrec_pl.serving.recommender import ServedRecommender
from missrec_pl.serving.request import Request


@dataclass(frozen=True)
class Comparison:
    """Both recommenders on the same histories.

    Attributes:
        old, new: fingerprints of the bundles.
        is_swapped: whether the new one is in use now.
        overlap: share of recommendations that both give, the mean over the histories; None without histories.
        answers: per history the items of both.
    """

    old: str
    new: str
    is_swapped: bool
    overlap: float | None
    answers: list[tuple[list[str], list[str]]]


class Live:
    """Holds the recommender. A request keeps the one that it began with.

    Args:
        read: reads the bundle as it is now.
    """

    def __init__(self, read: Callable[[], ServedRecommender]) -> None:
        self._read, self._swapping = read, threading.Lock()
        self.served = read()

    def swap(
        self,
        histories: Sequence[Sequence[str | int]] = (),
        k: int = 10,
        min_overlap: float = 0.0,
        dry_run: bool = False,
    ) -> Comparison:
        """Read the bundle again and use it from now on.

        Args:
            histories: what both are compared on.
            k: recommendations of each.
            min_overlap: the new one is not taken where fewer are shared.
            dry_run: compare alone.

        Raises:
            MissrecError: the bundle cannot be read; the one in use stays.
        """
        with self._swapping:
            old, new = self.served, self._read()
            answers = [
                (list(before.items), list(after.items))
                for before, after in zip(
                    old.answer(Request(histories, k)).ranked, new.answer(Request(histories, k)).ranked, strict=True
                )
            ]
            overlap = None
            if answers:
                shares = [len(set(one) & set(other)) / max(len(one), len(other), 1) for one, other in answers]
                overlap = sum(shares) / len(shares)
            is_taken = not dry_run and (overlap is None or overlap >= min_overlap)
            if is_taken:
                self.served = new
            return Comparison(old.about.fingerprint, new.about.fingerprint, is_taken, overlap, answers)
