"""What a request gets: ranked items of each history, and which ids nobody knew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA = pa.schema({"user": pa.string(), "item": pa.string(), "rank": pa.int32(), "score": pa.float32()})
"""Recommendations to users who have names."""


def table_of(users: pa.Array, items: pa.Array, chosen: NDArray[Any], scores: NDArray[np.float32]) -> pa.Table:
    """The columns of :data:`SCHEMA`, ordered by user and rank.

    Args:
        users: ``[B]`` what to call them.
        items: ``[N]`` what to call the items ``1..N``.
        chosen: ``[B, k]`` items, best first, 0 where there are fewer.
        scores: ``[B, k]``.
    """
    row, place = chosen.nonzero()
    columns = [users.take(pa.array(row)), items.take(pa.array(chosen[row, place] - 1))]
    return pa.table([*columns, pa.array((place + 1).astype(np.int32)), pa.array(scores[row, place])], SCHEMA.names)


@dataclass(frozen=True)
class Ranked:
    """Items, best first, and their scores; None where no network scored them.

    Attributes:
        items: their ids.
        scores: of each.
        parts: of each what its score is the sum of, if that was asked for: ``network`` and the auxiliary scorers.
    """

    items: Sequence[str]
    scores: Sequence[float | None]
    parts: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Answer:
    """The recommendations of several histories.

    Attributes:
        ranked: of each history.
        unknown: the ids of each history that were skipped.
    """

    ranked: Sequence[Ranked]
    unknown: Sequence[Sequence[str]]

    def table(self, *, users: pa.Array | None = None, with_scores: bool = True) -> pa.Table:
        """Columns ``user``, ``item``, ``rank``, ``score``, ordered by user and rank.

        Args:
            users: what to call the histories; by default their numbers.
            with_scores: False leaves the scores out.
        """
        sizes = np.array([len(one.items) for one in self.ranked], dtype=np.int64)
        owner = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        columns = {
            "user": pa.array(owner) if users is None else users.take(pa.array(owner)),
            "item": pa.array([item for one in self.ranked for item in one.items], pa.string()),
            "rank": pa.array((np.arange(len(owner)) - first + 1).astype(np.int32)),
        }
        if with_scores:
            columns["score"] = pa.array([score for one in self.ranked for score in one.scores], pa.float32())
        skipped = {str(number): ids for number, ids in enumerate(self.unknown) if ids}
        return pa.table(columns).replace_schema_metadata({"unknown": json.dumps(skipped)})
