"""What a run recommends to some of its test users: history, target, the ten best items, the target's rank."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from missrec_pl.data.splits import EvaluationRows
from missrec_pl.experiment.rebuilding import StoredRun
from missrec_pl.nn.contract import Histories
from missrec_pl.nn.encoding import encode_users, with_masked_place
from missrec_pl.report.page.facts import Facts
from missrec_pl.report.page.pictures import Pictures
from missrec_pl.serving.items import shortened
from missrec_pl.serving.scoring import best

_DRAWN = 400  # test users whose ranks are looked at
_SHOWN_HISTORY = 10
_TOP = 10
_BANDS = ((1, 10), (11, 100), (101, np.inf))  # ranks; examples come in turn from each
_EACH = 4


@dataclass(frozen=True)
class _Ranked:
    """``R`` drawn test users: histories ``[R, H]`` and lengths, targets, their ranks, the best items' columns."""

    rows: EvaluationRows
    histories: Histories
    target: Tensor
    ranks: np.ndarray
    top: Tensor


def examples_of(stored: StoredRun, seed: int, pictures: Pictures, *, excludes_history: bool) -> list[Facts]:
    """Test users drawn at random, as many with the target on the ranks of each band as there are.

    Args:
        stored: the run.
        seed: of the draw.
        pictures: of its items.
        excludes_history: whether the run's protocol takes the history's items out of the candidates.
    """
    data = stored.datamodule
    ranked = _ranked(stored, np.random.default_rng(seed), excludes_history)
    titles = [""] + [shortened(text) for domain in data.catalogue.domains for text in domain.texts()[1:]]
    raw_ids = [""] + [one for domain in data.catalogue.domains for one in domain.raw_item_ids()[1:]]

    def tile(item: int) -> Facts:
        return {"title": titles[item] or f"item {raw_ids[item]}", "picture": pictures.of(item)}

    facts = []
    for row in _chosen(ranked.ranks):
        user, target = int(ranked.rows.user[row]), int(ranked.target[row])
        domain = int(data.sequences.domain[user])
        shown = ranked.histories.rows[row, : ranked.histories.length[row]].tolist()
        best_items = [item + 1 for item in ranked.top[row].tolist()]
        facts.append(
            {
                "user": data.catalogue.domains[domain].raw_user_ids()[
                    user - int(data.sequences.first_user[domain])
                ],
                "rank": float(ranked.ranks[row]),
                "length": len(shown),
                "history": [tile(item) for item in shown[-_SHOWN_HISTORY:]],
                "target": tile(target),
                "top": [{**tile(item), "isTarget": item == target} for item in best_items],
            }
        )
    return facts


def _ranked(stored: StoredRun, random: np.random.Generator, excludes_history: bool) -> _Ranked:
    """Score all items for some of the test users, as the test has done."""
    module, sequences, width = stored.module, stored.datamodule.sequences, stored.datamodule.max_history
    rows = sequences.test.take(np.sort(random.permutation(len(sequences.test))[:_DRAWN]))
    length = np.minimum(rows.target, width).astype(np.int64)
    spans = torch.from_numpy(sequences.spans(rows.user, rows.target - length, length))
    times = sequences.clock(rows.user, rows.target - length, length, rows.target)
    histories = Histories(
        spans, torch.from_numpy(length), times=None if times is None else torch.from_numpy(times)
    )
    target = torch.from_numpy(sequences.items[sequences.starts[rows.user] + rows.target].astype(np.int64))
    items = module.encode_catalogue(stored.datamodule.catalogue)
    asked = with_masked_place(histories) if module.model.example == "cloze" else histories
    with torch.no_grad():
        state = encode_users(module.model, asked, items).state
        scores = module.logits(state, histories, items, items.span(1)).float()
    column = (target - 1)[:, None]
    own = scores.gather(1, column)
    if excludes_history:
        scores[torch.arange(len(spans))[:, None], (spans - 1).clamp_min(0)] = float("-inf")
        scores.scatter_(1, column, own)
    ranks = (1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2).numpy()
    _, top = best(scores, min(_TOP, scores.shape[1]))
    return _Ranked(rows, histories, target, ranks, top)


def _chosen(ranks: np.ndarray) -> list[int]:
    bands = [np.flatnonzero((ranks >= low) & (ranks < high + 1))[:_EACH].tolist() for low, high in _BANDS]
    return [row for band in bands for row in band]
