"""The recommender that callers hold: histories of their own item ids in, ranked items out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.nn.contract import Histories, Items
from missrec_pl.serving.answers import Answer, Ranked
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.growing import Encoder, given_features, grow
from missrec_pl.serving.histories import Asked, asked_histories
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.manifest import BundleManifest
from missrec_pl.serving.scoring import Scoring, best, histories_of

Unknown = Literal["skip", "refuse"]


def load(
    path: str | Path,
    *,
    classes: Sequence[type] = (),
    encoders: Mapping[str, Encoder] | None = None,
    device: str = "cpu",
) -> ServedRecommender:
    """Read a bundle.

    Args:
        path: its folder.
        classes: networks and scorers of your own, and what they are made of; a bundle names them and brings none.
        encoders: per modality what makes features ``[K, F]`` of texts or pictures, for :meth:`add_items`.
        device: where the network runs.

    Raises:
        DataError: no bundle, of another version, or damaged; nothing in it was executed.
    """
    served = ServedRecommender(Bundle.read(Path(path), classes, device), encoders)
    served.try_out(str(path))
    return served


@dataclass(frozen=True)
class _Shelf:
    """The catalogue as requests see it; a change of the catalogue makes a new one.

    Attributes:
        items: encoded, row 0 padding.
        candidates: without it.
        names: what callers know them by.
        is_offered: ``[N]``, False for what was removed.
    """

    items: Items
    candidates: Items
    names: ItemNames
    is_offered: Tensor

    @cached_property
    def directions(self) -> Tensor:
        """``[N, D]`` unit vectors; of a network with several tokens an item, each of which counts alike."""
        tokens = F.normalize(self.candidates.vectors.float(), dim=-1)
        return F.normalize(tokens.flatten(1), dim=1)


class ServedRecommender:
    """Recommends items of a bundle. Requests may come from several threads, changes too.

    Args:
        bundle: what was read.
        encoders: see :func:`load`.
    """

    def __init__(self, bundle: Bundle, encoders: Mapping[str, Encoder] | None = None) -> None:
        self._bundle, self._encoders = bundle, dict(encoders or {})
        self._changing = threading.Lock()
        manifest = bundle.manifest
        self.scoring = Scoring(bundle.network, bundle.scorers, manifest.temperature, manifest.data.max_history)
        offered = torch.ones(len(bundle.names), dtype=torch.bool, device=bundle.items.vectors.device)
        self._shelf = _Shelf(bundle.items, bundle.items.span(1), bundle.names, offered)

    @property
    def about(self) -> BundleManifest:
        """What the bundle says about itself."""
        return self._bundle.manifest

    @property
    def num_items(self) -> int:
        """Number of items that may be recommended."""
        return int(self._shelf.is_offered.sum())

    @property
    def item_ids(self) -> list[str]:
        """What the items are called, removed ones included."""
        return list(self._shelf.names.keys)

    def title(self, item: str) -> str:
        """An item's title; empty where nobody knows one, or knows the item."""
        names = self._shelf.names
        return names.titles[names.index[item] - 1] if item in names.index else ""

    def knows(self, item: str | int) -> bool:
        """Whether histories may hold an item."""
        return str(item) in self._shelf.names.index

    def recommend(
        self,
        histories: Sequence[Sequence[str | int]],
        k: int = 10,
        exclude_seen: bool = True,
        allowed: Iterable[str | int] | None = None,
        blocked: Iterable[str | int] | None = None,
        with_scores: bool = True,
        times: Sequence[Sequence[int]] | None = None,
        at: int | Sequence[int] | None = None,
        unknown: Unknown = "skip",
    ) -> pa.Table:
        """The best items for each history.

        Args:
            histories: your item ids, newest last, of any length; where the bundle has several domains,
                ``domain:id``.
            k: how many items each gets, or fewer where fewer are left.
            exclude_seen: whether items of a history are none of its recommendations.
            allowed: recommend these alone.
            blocked: never recommend these.
            with_scores: False leaves the column ``score`` out.
            times: seconds since 1970 of each item, for networks that read them.
            at: seconds of the request, one for all or one each; by default that of the newest item.
            unknown: ``"skip"`` leaves out ids that the bundle does not know; ``"refuse"`` raises.

        Returns:
            Columns ``user`` (number of the history), ``item``, ``rank`` from 1 and ``score``, ordered by user and
            rank. A history without a known item gets the most frequent items, with a score of null. The table's
            metadata hold under ``unknown`` the skipped ids of each history, as JSON.

        Raises:
            ConfigError: an argument that cannot be, or times that the network needs and lacks.
            DataError: an unknown id, if these are refused.
        """
        answer = self.answer(histories, k, exclude_seen, allowed, blocked, times, at, unknown)
        return answer.table(with_scores=with_scores)

    def answer(
        self,
        histories: Sequence[Sequence[str | int]],
        k: int = 10,
        exclude_seen: bool = True,
        allowed: Iterable[str | int] | None = None,
        blocked: Iterable[str | int] | None = None,
        times: Sequence[Sequence[int]] | None = None,
        at: int | Sequence[int] | None = None,
        unknown: Unknown = "skip",
    ) -> Answer:
        """As :meth:`recommend`, a list for each history."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigError(f"k={k}: a whole number from 1 is needed.")
        if unknown not in ("skip", "refuse"):
            raise ConfigError(f"unknown={unknown!r}: choose skip or refuse.")
        shelf = self._shelf
        needs_times = self.scoring.needs_times
        asked = asked_histories(histories, shelf.names, unknown, times if needs_times else None, at, needs_times)
        offered = shelf.is_offered & _chosen(shelf, allowed, blocked, unknown)
        ranked: list[Ranked] = [Ranked([], [])] * len(histories)
        if filled := [number for number, row in enumerate(asked.rows) if row]:
            for number, found in self._ranked(asked, filled, offered, k, exclude_seen, shelf):
                ranked[number] = found
        for number, row in enumerate(asked.rows):
            if not row:
                ranked[number] = _most_frequent(shelf, offered, k)
        return Answer(ranked, asked.unknown)

    def _ranked(
        self, asked: Asked, filled: Sequence[int], offered: Tensor, k: int, exclude_seen: bool, shelf: _Shelf
    ) -> Iterable[tuple[int, Ranked]]:
        device = offered.device
        rows = [asked.rows[number] for number in filled]
        clock = None if asked.times is None else [asked.times[number] for number in filled]
        histories = histories_of(rows, self.scoring.max_history, device, clock)
        owner = torch.from_numpy(shelf.names.domain_numbers).to(device)
        for block, scores in self.scoring.blocks(histories, shelf.items, shelf.candidates):
            scores.masked_fill_(~offered, float("-inf"))
            some = rows[block]
            if shelf.names.is_of_several_domains:
                last = torch.tensor([row[-1] - 1 for row in some], device=device)
                scores.masked_fill_(owner != owner[last][:, None], float("-inf"))
            if exclude_seen:
                seen = [(place, item - 1) for place, row in enumerate(some) for item in row]
                scores[tuple(torch.tensor(seen, device=device).T)] = float("-inf")
            values, columns = best(scores, k)
            for number, value, column in zip(filled[block], values.tolist(), columns.tolist(), strict=True):
                kept = sum(one > float("-inf") for one in value)
                yield number, Ranked([shelf.names.keys[c] for c in column[:kept]], list(value[:kept]))

    def scores(self, histories: Histories) -> Tensor:
        """``[B, N]`` scores of all items, nothing left out, for histories of item numbers."""
        shelf = self._shelf
        return torch.cat([part for _, part in self.scoring.blocks(histories, shelf.items, shelf.candidates)])

    def similar(self, item: str | int, k: int = 10) -> pa.Table:
        """The items whose vectors point in the most similar direction.

        Args:
            item: an id that the bundle knows.
            k: how many.

        Returns:
            Columns ``item``, ``rank`` and ``score``, a cosine; of networks with a token for each modality the mean
            over the modalities that both have.

        Raises:
            DataError: an unknown id.
        """
        ranked = self.nearest(item, k)
        ranks = pa.array(np.arange(1, len(ranked.items) + 1, dtype=np.int32))
        return pa.table({"item": ranked.items, "rank": ranks, "score": pa.array(ranked.scores, pa.float32())})

    def nearest(self, item: str | int, k: int = 10) -> Ranked:
        """As :meth:`similar`, as lists."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigError(f"k={k}: a whole number from 1 is needed.")
        shelf = self._shelf
        number = _number(item, shelf.names)
        scores = shelf.directions @ shelf.directions[number - 1]
        scores.masked_fill_(~shelf.is_offered, float("-inf"))[number - 1] = float("-inf")
        values, columns = best(scores[None], k)
        kept = int((values[0] > float("-inf")).sum())
        return Ranked([shelf.names.keys[c] for c in columns[0, :kept].tolist()], values[0, :kept].tolist())

    def add_items(
        self,
        ids: Sequence[str | int],
        texts: Sequence[str | None] | None = None,
        images: Sequence[Any] | None = None,
        features: Mapping[str, Any] | None = None,
        titles: Sequence[str] | None = None,
    ) -> None:
        """Take items that were not there in training; they are recommended at once, by their content alone.

        Args:
            ids: new ids; of the last domain where the bundle has several.
            texts: for ``encoders["text"]`` of :func:`load`, and as titles.
            images: for ``encoders["image"]``.
            features: per modality ``[K, F]`` by the encoder that made the catalogue's; a row may be None.
            titles: what to call them; by default their texts.

        Raises:
            ConfigError: the network reads no content, or cannot take new items.
            DataError: an id that is there already or comes twice, or features that do not fit.
        """
        given = [str(one) for one in ids]
        with self._changing:
            shelf = self._shelf
            names = titles if titles is not None else [text or "" for text in texts or [""] * len(given)]
            if not given or len(names) != len(given):
                raise DataError(f"{len(names)} titles or texts for {len(given)} new items.")
            grown = shelf.names.with_more(given, names)
            if "" in given or len(set(given)) < len(given) or len(grown.index) < len(grown):
                taken = next((one for one in given if not one or one in shelf.names.index), "one of them")
                raise DataError(f"new items: the id {taken[:80]!a} is empty, known already or comes twice.")
            raw = {"text": texts, "image": images}
            made = given_features(self._bundle, len(given), features or {}, raw, self._encoders)
            new = grow(self._bundle, made).span(1)
            items = type(shelf.items)(
                torch.cat([shelf.items.vectors, new.vectors]),
                torch.cat([shelf.items.ids, new.ids]),
                {name: torch.cat([one, new.extra[name]]) for name, one in shelf.items.extra.items()},
            )
            offered = torch.cat([shelf.is_offered, shelf.is_offered.new_ones(len(given))])
            self._bundle.names, self._bundle.items = grown, items
            self._shelf = _Shelf(items, items.span(1), grown, offered)

    def remove_items(self, ids: Iterable[str | int]) -> None:
        """Recommend items no more; histories may go on holding them.

        Raises:
            DataError: an unknown id; nothing was removed.
        """
        with self._changing:
            shelf = self._shelf
            offered = shelf.is_offered.clone()
            numbers = [_number(one, shelf.names) - 1 for one in ids]
            offered[torch.tensor(numbers, dtype=torch.long)] = False
            self._shelf = _Shelf(shelf.items, shelf.candidates, shelf.names, offered)

    def try_out(self, where: str) -> None:
        """Rank once for short histories, which also makes the first request as fast as the others.

        Raises:
            DataError: the bundle's tensors do not go together.
        """
        shelf, count = self._shelf, len(self._shelf.names)
        tried = [[1], [count], list(range(1, min(count, self.scoring.max_history) + 1))]
        device = shelf.items.vectors.device
        times = [[0] * (len(row) + 1) for row in tried] if self.scoring.needs_times else None
        try:
            for part in [*self.scoring.network.fitted_parts(), *self.scoring.scorers.fitted_parts()]:
                part.check()
            scores = self.scores(histories_of(tried, self.scoring.max_history, device, times))
        except Exception as error:  # what indices out of range or other sizes raise is anybody's guess
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(f"{where}: its tensors do not go together ({reason}); export it again.") from error
        if scores.shape != (len(tried), count) or not bool(scores.isfinite().all()):
            raise DataError(f"{where}: its network does not score every item by a number; export it again.")


def _number(item: str | int, names: ItemNames) -> int:
    key = str(item)
    if key not in names.index:
        raise DataError(f"item {key[:80]!a} is unknown.")
    return names.index[key]


def _chosen(
    shelf: _Shelf, allowed: Iterable[str | int] | None, blocked: Iterable[str | int] | None, unknown: Unknown
) -> Tensor:
    """``[N]`` True for what filters let through."""
    mask = torch.full_like(shelf.is_offered, allowed is None)
    for name, ids, value in (("allowed", allowed, True), ("blocked", blocked, False)):
        keys = [str(one) for one in ids or ()]
        numbers = [shelf.names.index[key] - 1 for key in keys if key in shelf.names.index]
        if unknown == "refuse" and len(numbers) < len(keys):
            odd = next(key for key in keys if key not in shelf.names.index)
            raise DataError(f"{name}: item {odd[:80]!a} is unknown.")
        mask[torch.tensor(numbers, dtype=torch.long, device=mask.device)] = value
    return mask


def _most_frequent(shelf: _Shelf, offered: Tensor, k: int) -> Ranked:
    counts = torch.from_numpy(shelf.names.counts).to(offered.device).double().masked_fill(~offered, -1)
    values, columns = best(counts[None], k)
    kept = int((values[0] >= 0).sum())
    return Ranked([shelf.names.keys[c] for c in columns[0, :kept].tolist()], [None] * kept)
