"""Tables of a run: beside the baselines, by groups of users, examples of lists, what the interests hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from missrec_pl.clustering.methods import NoInterests
from missrec_pl.data.datasets import EvaluationHistories
from missrec_pl.data.domain.update import image_files
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.user_groups import RANGES, metric_of_users
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import DataError
from missrec_pl.experiment.interests.numbers import choose, describe
from missrec_pl.experiment.interests.stored import interests_of, titles_of
from missrec_pl.loggers.facts import Pictures, Table
from missrec_pl.modules.ranking import RankingModule
from missrec_pl.modules.training import TrainingModule
from missrec_pl.nn.interests import InterestTable

NUM_EXAMPLES = 50
_TOP, _SHOWN, _PROTOTYPES, _NEAREST = 10, 10, 30, 5  # items of a list, of a history; prototypes, items of each
_WIDTH = 100  # characters of a title


@dataclass(frozen=True)
class ShownItems:
    """Titles and pictures of a catalogue's items, by global id."""

    catalogue: Catalogue

    @cached_property
    def titles(self) -> list[str]:
        """``[N + 1]`` texts of one line, or raw ids."""
        return [text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…" for text in titles_of(self.catalogue)]

    @cached_property
    def _files(self) -> list[Path | None]:
        found: list[Path | None] = [None]
        for domain in self.catalogue.domains:
            try:
                found += image_files(domain.path, domain.image_paths()[1:])
            except DataError:  # they lie where a run does not read
                found += [None] * domain.num_items
        return found

    def pictures(self, ids: Sequence[int]) -> Pictures:
        """The pictures that are there."""
        files = [self._files[one] for one in ids]
        return Pictures(tuple(file for file in files if file is not None and file.is_file()))


def comparison(results: Mapping[str, Any]) -> Table:
    """The baselines and the network beside them, by the run's protocol."""
    rows = dict(results["baselines"])
    if tested := {name: value for name, value in results["metrics"].items() if name.startswith("test/")}:
        rows[f"{results['model']} ({results['setting']})"] = tested
    names = list(next(iter(rows.values()), {}))
    short = [name.removeprefix("test/") for name in names]
    bar = next((name for name in short if name.startswith("ndcg@")), "")
    return Table(["name", *short], [[name, *(row[one] for one in names)] for name, row in rows.items()], bar)


def groups(file: Path, results: Mapping[str, Any]) -> dict[str, Table]:
    """Metrics by how often the target was trained on, how long and how redundant the history is."""
    ranks = pq.read_table(file)
    names = [name.removeprefix("test/") for name in results["metrics"] if name.startswith("test/")]
    is_compat = bool(results["protocol"]["compat"])
    rank = ranks["rank"].to_numpy()
    values = {name: metric_of_users(rank, name, is_compat=is_compat) for name in names}
    bar = next((name for name in names if name.startswith("ndcg@")), "")
    found = {}
    for title, ranges in RANGES.items():
        number = ranges.of_users(ranks[ranges.column].to_numpy().astype(np.float64))
        rows: list[list[Any]] = []
        for one in np.unique(number[number >= 0]).tolist():
            chosen = number == one
            means = [float(values[name][chosen].mean()) for name in names]
            rows.append([ranges.name(one), int(chosen.sum()), *means])
        if rows and names:
            found[f"groups_{title}"] = Table(["group", "users", *names], rows, bar)
    return found


@torch.no_grad()
def examples(module: RankingModule, datamodule: DomainDataModule) -> Table:
    """Some test users, evenly over all: history, target, its rank, and the list that they are given.

    The history stands newest first. A user is a number, not the source's id.
    """
    every = datamodule.sequences.test
    rows = every.take(np.unique(np.linspace(0, len(every) - 1, min(NUM_EXAMPLES, len(every))).astype(np.int64)))
    histories = EvaluationHistories(datamodule.sequences, rows, datamodule.max_history)
    was_training = module.training
    module.eval().start_ranking()
    batch = histories[np.arange(len(rows))].to(module.device)
    ranking = module.ranking(batch)
    rank = ranking["ranks"][:, 0].cpu()
    listed = [[item for item in row[:_TOP] if item] for row in ranking["lists"].cpu().tolist()]
    module.finish_ranking()
    module.train(was_training)
    items = ShownItems(datamodule.catalogue)
    found: list[list[Any]] = []
    for number in range(len(rows)):
        length = int(batch.length[number])
        history = batch.history[number, :length].flip(0)[:_SHOWN].tolist()
        target = int(batch.target[number])
        found.append(
            [
                int(rows.user[number]),
                float(rank[number]),
                items.titles[target],
                " | ".join(items.titles[one] for one in history),
                " | ".join(items.titles[one] for one in listed[number]),
                target in listed[number],
                items.pictures([target]),
                items.pictures(history),
                items.pictures(listed[number]),
            ]
        )
    columns = ["user", "rank", "target", "history", "top_10", "hit"]
    table = Table([*columns, "target_picture", "history_pictures", "top_10_pictures"], found)
    return table if any(cell.files for row in found for cell in row[6:]) else table.plain()


def prototypes(module: TrainingModule, datamodule: DomainDataModule, seed: int) -> Table:
    """Prototypes, a third the largest, a third medium, a third at random, with the items nearest to each."""
    table = module.model.fitted["interests"]
    assert isinstance(table, InterestTable)
    columns = ["interest", "chosen", "tokens", "share", "cosine", "nearest_items"]
    if isinstance(table.method, NoInterests):
        return Table(columns, [])
    was_training = module.training
    module.eval()
    stored = interests_of(module.model, datamodule.catalogue, checkpoint=Path(), method=table.method, seed=seed)
    module.train(was_training)
    sizes = stored.assignment.bincount(minlength=len(stored.prototypes))
    rows: list[list[Any]] = []
    for position, why in choose(sizes, _PROTOTYPES, seed):
        one = describe(stored, position, why, _NEAREST)
        near = " | ".join(f"{item.title[:_WIDTH]} ({'+'.join(item.modalities)})" for item in one.nearest)
        cosine = None if one.cosine != one.cosine else one.cosine
        tokens = int(sizes[position])
        rows.append([one.interest, why, tokens, tokens / len(stored.tokens), cosine, near])
    return Table(columns, rows)
