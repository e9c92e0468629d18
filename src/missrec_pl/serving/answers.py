"""What a request gets: ranked items of each history, and which ids nobody knew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from missrec_pl.serving.items import ItemNames

SCHEMA = pa.schema({"user": pa.string(), "item": pa.string(), "rank": pa.int32(), "score": pa.float32()})
"""Recommendations to users who have names."""
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class RankedRows:
    """Ranked items of histories as arrays.

    Attributes:
        items: ``[B, k]`` items ``1..N``, best first, 0 where there are fewer.
        scores: ``[B, k]``; not a number where no network scored them.
        parts: ``[B, k]`` by name what scores are the sums of, if that was asked for.
    """

    items: NDArray[Any]
    scores: Scores
    parts: dict[str, Scores] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, k: int) -> RankedRows:
        """Of ``count`` histories that get nothing yet."""
        return cls(np.zeros((count, k), np.int64), np.full((count, k), np.nan, np.float32))

    def put(self, rows: NDArray[np.int64], scores: Tensor, items: Tensor, parts: Mapping[str, Scores]) -> None:
        """Put in what some histories get, ``[b, k]`` or narrower each."""
        self.items[rows], self.scores[rows] = 0, np.nan
        width = slice(items.shape[1])
        self.items[rows, width], self.scores[rows, width] = items.numpy(force=True), scores.numpy(force=True)
        for name, part in parts.items():
            self.parts.setdefault(name, np.zeros_like(self.scores))[rows, width] = part

    def table(self, users: pa.Array, keys: pa.Array) -> pa.Table:
        """The columns of :data:`SCHEMA`, ordered by user and rank; users may be numbers.

        Args:
            users: ``[B]`` what to call them.
            keys: ``[N]`` what to call the items ``1..N``.
        """
        row, place = self.items.nonzero()
        columns = [users.take(pa.array(row)), keys.take(pa.array(self.items[row, place] - 1))]
        scores = pa.array(self.scores[row, place], from_pandas=True)  # not a number: null
        return pa.table([*columns, pa.array((place + 1).astype(np.int32)), scores], SCHEMA.names)


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
        rows: of each history.
        names: what callers call the items.
        unknown: the ids of each history that were skipped.
    """

    rows: RankedRows
    names: ItemNames
    unknown: Sequence[Sequence[str]]

    @cached_property
    def ranked(self) -> list[Ranked]:
        """The ranked items of each history, as lists."""
        return [self._of(number) for number in range(len(self.unknown))]

    def _of(self, number: int) -> Ranked:
        rows = self.rows
        items = rows.items[number][rows.items[number] > 0]
        scores = rows.scores[number, : len(items)]
        is_scored = not np.isnan(scores).any()
        told = {name: part[number, : len(items)].tolist() for name, part in rows.parts.items() if is_scored}
        return Ranked(
            [self.names.keys[item - 1] for item in items.tolist()],
            scores.tolist() if is_scored else [None] * len(items),
            tuple(dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)),
        )

    def table(self, *, users: pa.Array | None = None, with_scores: bool = True) -> pa.Table:
        """Columns ``user``, ``item``, ``rank``, ``score``, ordered by user and rank.

        Args:
            users: what to call the histories; by default their numbers.
            with_scores: False leaves the scores out.
        """
        table = self.rows.table(
            pa.array(np.arange(len(self.unknown))) if users is None else users, self.names.key_array
        )
        skipped = {str(number): ids for number, ids in enumerate(self.unknown) if ids}
        table = table if with_scores else table.drop_columns(["score"])
        return table.replace_schema_metadata({"unknown": json.dumps(skipped)})
