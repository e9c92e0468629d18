"""An index for large catalogues: neighbours nominate items, which are then scored exactly.

Fusion makes a candidate's vector depend on the user, and auxiliary scorers are no inner products: no one index
holds the score. One comes near: the vectors of a static fusion and those of the content scorers, side by side. An
index of each modality finds what a learned fusion prefers, pairs and popularity the rest. What any of them names
is scored as all items would be.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.nn.contract import Histories, Items
from missrec_pl.nn.scorers import ScoredRows, Scorer
from missrec_pl.serving.lines import Lines
from missrec_pl.serving.scoring import Scoring
from missrec_pl.serving.shelf import Shelf

log = logging.getLogger(__name__)

NOMINEES = 800
"""Items that each index nominates for a history, by default."""
_FLAT = 20_000  # vectors below which every one is compared
_SAMPLE = 40  # vectors a cell that cells are fitted to
_PROBED = 1 / 16  # share of the cells that are looked into


class _Neighbours:
    """The vectors of one table, found by inner product.

    Args:
        ids: ``[P]`` items of the vectors.
        vectors: ``[P, D]``.
    """

    def __init__(self, ids: Tensor, vectors: Tensor) -> None:
        import faiss

        held = vectors.any(1)
        self._ids = np.concatenate([[0], ids[held].cpu().numpy()])  # faiss says -1 where it finds fewer
        table = vectors.detach()[held].float().cpu().numpy()
        width, count = table.shape[1], len(table)
        flat = faiss.IndexFlatIP(width)
        self._index: Any = flat
        if count > _FLAT:
            cells = int(2 * count**0.5)
            kind = faiss.ScalarQuantizer.QT_fp16
            self._index = faiss.IndexIVFScalarQuantizer(
                flat, width, cells, kind, faiss.METRIC_INNER_PRODUCT, False
            )
            self._index.cp.min_points_per_centroid = 1
            self._index.cp.niter = 8
            chosen = np.random.default_rng(0).choice(count, min(count, _SAMPLE * cells), replace=False)
            self._index.train(table[np.sort(chosen)])
            self._index.nprobe = max(1, int(cells * _PROBED))
            self._flat = flat
        self._index.add(table)

    def find(self, queries: Tensor, count: int) -> np.ndarray:
        """``[B, count]`` items of the largest inner products, 0 where there are fewer."""
        _, places = self._index.search(np.ascontiguousarray(queries.detach().cpu().numpy()), count)
        found: np.ndarray = self._ids[places + 1]
        return found


class Nominator:
    """Nominates items for histories.

    Attributes:
        count: nominees of each index.

    Args:
        scoring: the network and its scorers.
        shelf: the catalogue; items that come later are always nominated.
        count: see above.

    Raises:
        ConfigError: faiss is missing, or the network's scores are made of no vectors.
    """

    def __init__(self, scoring: Scoring, shelf: Shelf, count: int = NOMINEES) -> None:
        try:
            import faiss  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "--index needs faiss: pip install --constraint constraints.txt --editable '.[index]'"
            ) from error
        start = time.perf_counter()
        self._scoring, self.count, self._built = scoring, count, len(shelf.names)
        candidates = shelf.candidates
        tables = scoring.network.index_tables(candidates)
        if not tables:
            raise ConfigError(
                f"--index: {type(scoring.network).__name__} does not say which vectors its scores compare with "
                "(Recommender.index_tables); leave --index out."
            )
        first, *others = (table.detach().float() for table in tables.values())
        parts = [first / scoring.temperature]
        for scorer in self._reading():
            parts += [_laid_out(*table, len(first)) for table in scorer.index_tables().values()]
        # The scorers add to the network's score: side by side, their inner products do, too.
        self._whole = _Neighbours(candidates.ids, torch.cat(parts, 1))
        self._others = [_Neighbours(candidates.ids, table) for table in others]
        self._width = first.shape[1]
        most = np.argsort(-shelf.names.counts, kind="stable")[:count] + 1
        self._frequent = most.astype(np.int64)
        self.seconds = time.perf_counter() - start
        log.info("index: %s items, built in %.1f s", f"{self._built:,}", self.seconds)

    def nominees(self, histories: Histories, items: Items, state: Tensor, rows: Lines) -> Tensor:
        """``[B, P]`` distinct items of each history, 0 behind them.

        Args:
            histories: as the network reads them.
            items: the catalogue.
            state: ``[B, D]`` what the network makes of them.
            rows: the whole histories; seen items are nominated, for they may be asked for.
        """
        query = self._scoring.network.index_query(state).float()
        asked = ScoredRows.of(histories, items, items.span(1))
        whole = [F.pad(query, (0, self._width - query.shape[1]), value=1.0)]  # for what is added
        for scorer in self._reading():
            whole += scorer.index_queries(asked).values()
        found = [self._whole.find(torch.cat(whole, 1), self.count)]
        found += [table.find(query, self.count) for table in self._others]
        for scorer in self._reading():
            if (own := scorer.nominees(asked, self.count)) is not None:
                found.append(own.cpu().numpy())
        late = np.arange(self._built + 1, len(items.ids))
        always = np.concatenate([self._frequent, late])
        each = [np.unique(np.concatenate([*one, always, row])) for *one, row in zip(*found, rows, strict=True)]
        each = [one[one > 0] for one in each]
        padded = np.zeros((len(each), max(map(len, each))), dtype=np.int64)
        for place, one in enumerate(each):
            padded[place, : len(one)] = one
        return torch.from_numpy(padded).to(state.device)

    def _reading(self) -> list[Scorer]:
        return [one for one in self._scoring.scorers.values() if isinstance(one, Scorer)]


def _laid_out(ids: Tensor, vectors: Tensor, count: int) -> Tensor:
    """``[N, F]`` the vectors of some of ``N`` items, and zeros of the others."""
    return vectors.new_zeros(count, vectors.shape[1]).index_copy(0, ids - 1, vectors)
