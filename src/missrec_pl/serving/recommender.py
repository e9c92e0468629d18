"""The recommender that callers hold: histories of their own item ids in, ranked items out."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from missrec_pl.errors import DataError
from missrec_pl.nn.contract import Histories
from missrec_pl.serving.answers import Answer, Ranked
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.growing import Encoder, given_features, grow
from missrec_pl.serving.histories import asked_histories
from missrec_pl.serving.index import NOMINEES, Nominator
from missrec_pl.serving.manifest import BundleManifest
from missrec_pl.serving.ranking import Ranking
from missrec_pl.serving.request import Request, Unknown, checked_k
from missrec_pl.serving.scoring import Scoring, histories_of
from missrec_pl.serving.shelf import Shelf


def load(
    path: str | Path,
    *,
    classes: Sequence[type] = (),
    encoders: Mapping[str, Encoder] | None = None,
    device: str = "cpu",
    index: bool = False,
) -> ServedRecommender:
    """Read a bundle.

    Args:
        path: its folder.
        classes: networks and scorers of your own, and what they are made of; a bundle names them and brings none.
        encoders: per modality what makes features ``[K, F]`` of texts or pictures, for :meth:`add_items`.
        device: where the network runs.
        index: whether neighbours nominate the items that are scored, instead of all; for large catalogues. Made
            now, and not kept: a file of an index would be read by code that trusts it.

    Raises:
        DataError: no bundle, of another version, or damaged; nothing in it was executed.
    """
    served = ServedRecommender(Bundle.read(Path(path), classes, device), encoders)
    served.try_out(str(path))
    if index:
        served.make_index()
    return served


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
        self._shelf = Shelf.of(bundle.items, bundle.names)
        self.nominator: Nominator | None = None

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

    def search(self, text: str, k: int = 10) -> list[str]:
        """Items of an id, or whose titles hold all words of a text, most frequent first; all for no text."""
        words, names, offered = text.lower().split(), self._shelf.names, self._shelf.is_offered.tolist()
        exact = [text] if text in names.index else []
        found = [
            place
            for place, title in enumerate(names.titles)
            if offered[place] and names.keys[place] != text and all(word in title.lower() for word in words)
        ]
        most = heapq.nlargest(k, found, key=names.counts.__getitem__)
        return [*exact, *(names.keys[place] for place in most)][:k]

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
        """The best items for each history; :class:`Request` says what the arguments mean.

        Args:
            with_scores: False leaves the column ``score`` out.

        Returns:
            Columns ``user`` (number of the history), ``item``, ``rank`` from 1 and ``score``, ordered by user and
            rank. A history without a known item gets the most frequent items, with a score of null. The table's
            metadata hold under ``unknown`` the skipped ids of each history, as JSON.

        Raises:
            ConfigError: an argument that cannot be, or times that the network needs and lacks.
            DataError: an unknown id, if these are refused.
        """
        request = Request(histories, k, exclude_seen, allowed, blocked, times, at, unknown)
        return self.answer(request).table(with_scores=with_scores)

    def answer(self, request: Request) -> Answer:
        """As :meth:`recommend`, a list for each history."""
        shelf = self._shelf
        asked = asked_histories(request, shelf.names, needs_times=self.scoring.needs_times)
        ranked = Ranking(self.scoring, shelf, request, asked, self.nominator).ranked()
        return Answer(ranked, shelf.names, asked.unknown)

    def scores(self, histories: Histories) -> Tensor:
        """``[B, N]`` scores of all items, nothing left out, for histories of item numbers."""
        shelf = self._shelf
        return torch.cat([part for _, part in self.scoring.blocks(histories, shelf.items, shelf.candidates)])

    def make_index(self, count: int = NOMINEES) -> None:
        """From now on neighbours nominate ``count`` items each, which are scored, instead of all.

        Raises:
            ConfigError: faiss is missing, or the network's scores are made of no vectors.
        """
        self.nominator = Nominator(self.scoring, self._shelf, count)

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
        shelf = self._shelf
        return shelf.nearest(shelf.number(item), checked_k(k))

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
            shelf.names.with_more(given, names)  # refuses before anything is changed
            raw = {"text": texts, "image": images}
            made = given_features(self._bundle, len(given), features or {}, raw, self._encoders)
            shelf = shelf.with_more(grow(self._bundle, made).span(1), given, names)
            self._bundle.names, self._bundle.items = shelf.names, shelf.items
            self._shelf = shelf

    def remove_items(self, ids: Iterable[str | int]) -> None:
        """Recommend items no more; histories may go on holding them.

        Raises:
            DataError: an unknown id; nothing was removed.
        """
        with self._changing:
            self._shelf = self._shelf.without(ids)

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
