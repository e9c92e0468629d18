"""Scores that the training code ranks by, beside those of a bundle."""

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from runs import composed

from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.modules import TrainingModule


@dataclass
class Ranking:
    """What an evaluation scored: ``scores [U, N]`` of all items, histories as raw ids, and times of both."""

    scores: np.ndarray
    histories: list
    times: list | None


def ranking_of(checkpoint, *places):
    """All test users' scores, caught while ``evaluate`` ranks."""
    scores, rows = [], []
    original, catalogues = TrainingModule.score_blocks, []

    def watched(self, batch):
        catalogues.append(self.catalogue)
        for some, found in original(self, batch):
            scores.append(found.clone())
            rows.append(some)
            yield some, found

    with patch.object(TrainingModule, "score_blocks", watched):
        evaluate(composed(f"ckpt={checkpoint}", *places, "trainer=cpu", "+baselines.names=[]", config="eval"))
    raw = np.array([one for domain in catalogues[0].domains for one in domain.raw_item_ids()[1:]])
    histories = [
        raw[row[:length].numpy() - 1].tolist()
        for some in rows
        for row, length in zip(some.history, some.length, strict=True)
    ]
    times = None
    if rows[0].times is not None:
        times = [
            row[: length + 1].tolist()
            for some in rows
            for row, length in zip(some.times, some.length, strict=True)
        ]
    return Ranking(torch.cat(scores).numpy(), histories, times)


def served_scores(served, ranking):
    """The same from a bundle: every item asked for, brought into the catalogue's order."""
    count = ranking.scores.shape[1]
    times = {}
    if ranking.times is not None:
        times = {"times": [row[:-1] for row in ranking.times], "at": [row[-1] for row in ranking.times]}
    table = served.recommend(ranking.histories, k=count, exclude_seen=False, **times)
    assert table.column_names == ["user", "item", "rank", "score"]
    index = {item: number for number, item in enumerate(served.item_ids)}
    found = np.full(ranking.scores.shape, np.nan, dtype=np.float32)
    columns = [index[item] for item in table["item"].to_pylist()]
    found[table["user"].to_numpy(), columns] = table["score"].to_numpy()
    return found, table


def top_differs_by_more_than_ties(ranking, table, k, tolerance=1e-5):
    """Users whose top ``k`` are not the training code's, where no two scores of those in question are alike."""
    count, wrong = ranking.scores.shape[1], []
    items = np.array(table["item"].to_pylist()).reshape(-1, count)[:, :k]
    scores = table["score"].to_numpy().reshape(-1, count)[:, :k]
    for user, row in enumerate(ranking.scores):
        wanted = np.sort(row)[::-1][:k]
        if not np.allclose(scores[user], wanted, atol=tolerance, rtol=0) or len(set(items[user])) < len(
            items[user]
        ):
            wrong.append(user)
    return wrong
