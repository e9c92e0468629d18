"""What the comparison of all networks runs, in which order, and what it has found so far.

A plan is made anew from the records whenever a run has ended, so the seeds of a network are always those of the
settings that its search prefers now. The first rounds tell most: every network once with its test, then the rest
of its grid, then more seeds, then other data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SEARCHED = "scientific_mm_subset"
SIMPLE = "baselines"
EPOCHS, PATIENCE = 60, 6
"""The budget of every run, in passes over all training targets."""
_CHOICES = re.compile(r"choice\((.*)\)")


@dataclass(frozen=True)
class Column:
    """A network of the table.

    Attributes:
        name: of its records.
        overrides: of a run, beside data, rate, dropout, budget and seed.
        grid: its file in ``configs/hparams_search``.
        published: rate and dropout that are tried first.
        passes: epochs in which it sees as many targets as others in one: more where an epoch hides a share.
        pretraining: overrides of the run that it starts from; None from scratch.
        searched: where its settings are looked for; it runs nowhere before that.
    """

    name: str
    overrides: tuple[str, ...]
    grid: str
    published: tuple[float, float]
    passes: int = 1
    pretraining: tuple[str, ...] | None = None
    searched: str = SEARCHED
    is_annealed: bool = False

    def grid_points(self) -> list[tuple[float, float]]:
        """Rates and dropouts, the published first, then other rates at its dropout, then the other dropout."""
        file = ROOT / "configs" / "hparams_search" / f"{self.grid}.yaml"
        params = yaml.safe_load(file.read_text())["hydra"]["sweeper"]["params"]
        rates, dropouts = (
            [float(value) for value in _CHOICES.fullmatch(params[name])[1].split(",")]  # type: ignore[index]
            for name in ("optim.optimizer.lr", "model.dropout")
        )
        rate, dropout = self.published
        points = list(product(rates, dropouts))
        assert self.published in points, f"{self.name}: {self.published} is not in {file.name}"
        return sorted(points, key=lambda point: (point[1] != dropout, abs(math.log(point[0] / rate)), -point[0]))


def _table2(name: str, rate: float, dropout: float, *more: str, grid: str = "", **options: Any) -> Column:
    return Column(name, (f"experiment=table2/{name}", *more), grid or name, (rate, dropout), **options)


_ROWS = ("data.batch_size=128",)  # sequences with a target at every place: about 512 targets, as prefixes have
_SHIFTED = (
    "data.example=shifted",
    *_ROWS,
)  # as published each prefix is a row: the same targets at 5 times the cost
_PRETRAINED = ("phase=pretrain", "model=s3rec", "objective=s3rec", "data.modalities=[text]")
COLUMNS = (
    _table2("sasrec", 0.001, 0.5, *_ROWS),
    _table2("gru4rec", 0.001, 0.3, *_ROWS),
    Column("missrec_tuned", ("experiment=tuned",), "missrec", (0.001, 0.5), is_annealed=True),
    _table2("sasrec_text", 0.001, 0.5, *_ROWS),
    _table2("bert4rec", 0.001, 0.2, *_ROWS, passes=4),
    _table2("fdsa", 0.001, 0.5, *_ROWS),
    _table2("gsasrec", 0.001, 0.5),
    Column("fdsa_noise", ("experiment=table2/fdsa", "model.side=noise", *_ROWS), "fdsa", (0.001, 0.5)),
    _table2("s3rec", 0.001, 0.5, *_ROWS, pretraining=_PRETRAINED),
    _table2("ligr", 0.001, 0.3),
    _table2("unisrec_t", 0.001, 0.5, *_SHIFTED, grid="unisrec"),
    _table2("vqrec", 0.001, 0.5, *_SHIFTED),
    _table2("tv", 0.001, 0.5, grid="missrec"),
    Column(
        "missrec_tuned_id", ("experiment=tuned", "setting=transductive"), "missrec", (0.001, 0.5), is_annealed=True
    ),
    _table2("id_tv", 0.001, 0.5, grid="missrec"),
    _table2("unisrec_id_t", 0.001, 0.5, *_SHIFTED, grid="unisrec"),
    Column(
        "s3rec_noise", ("experiment=table2/s3rec", *_ROWS), "s3rec", (0.001, 0.5),
        pretraining=(*_PRETRAINED, "model.attributes_from=features", "model.reference=true"),
    ),
    _table2("zesrec", 0.001, 0.5, *_ROWS),
    Column("missrec_tv", ("experiment=table2/tv", "model=missrec"), "missrec", (0.001, 0.5)),
    Column("missrec_id_tv", ("experiment=table2/id_tv", "model=missrec"), "missrec", (0.001, 0.5)),
    Column("hstu", ("model=hstu", "setting=transductive"), "hstu", (0.001, 0.3), searched="groceries"),
)  # fmt: skip
HEADLINES = ("missrec_tuned", "missrec_tuned_id", "sasrec", "unisrec_id_t", "ligr")


@dataclass(frozen=True)
class Job:
    """A run: where its record lies, and how it is made.

    Attributes:
        stage: ``search`` (validation alone), ``seeds`` (with the test), ``pretrain`` (without a record), or
            ``baselines``: all simple methods in one run.
        words: of the command line.
        start: the run whose weights it starts from.
    """

    stage: str
    column: str
    data: str
    rate: float
    dropout: float
    seed: int
    words: tuple[str, ...]
    start: Job | None = None

    @property
    def folder(self) -> Path:
        """Of the record and of the run, below either's root."""
        if self.stage == SIMPLE:
            return Path(self.data, SIMPLE)
        point = f"lr{self.rate:g}-dropout{self.dropout:g}"
        return Path(self.data, self.column, point, f"{self.stage}-{self.seed}")


def simple_methods(data: str) -> Job:
    """The run of all simple methods."""
    return Job(SIMPLE, SIMPLE, data, 0.0, 0.0, 0, (f"phase={SIMPLE}", f"data={data}"))


def job(column: Column, stage: str, point: tuple[float, float], seed: int, data: str | None = None) -> Job:
    """A run of a column."""
    rate, dropout = point
    data = data or column.searched
    start = None if column.pretraining is None else _pretraining(column, data, seed)
    words = [
        *column.overrides, f"data={data}", f"optim.optimizer.lr={rate:g}", f"model.dropout={dropout:g}",
        f"seed={seed}", "baselines.names=[]",
    ]  # fmt: skip
    if not column.is_annealed:
        words += [f"trainer.max_epochs={EPOCHS * column.passes}"]
        words += [f"callbacks.early_stopping.patience={PATIENCE * column.passes}"]
    if stage == "search":
        words += ["test=false"]
    return Job(stage, column.name, data, rate, dropout, seed, tuple(words), start)


def _pretraining(column: Column, data: str, seed: int) -> Job:
    words = [*(column.pretraining or ()), f"data={data}", f"seed={seed}", "data.batch_size=128"]
    words += [f"trainer.max_epochs={EPOCHS}", f"callbacks.early_stopping.patience={PATIENCE}"]
    return Job("pretrain", column.name, data, *column.published, seed, tuple(words))


def read(records: Path, one: Job) -> dict[str, Any] | None:
    """The record of a run; None where it has not been made."""
    file = records / one.folder / "results.json"
    return json.loads(file.read_text()) if file.is_file() else None


def best_point(records: Path, column: Column) -> tuple[float, float] | None:
    """Rate and dropout with the best validation NDCG@10 of those that have been tried."""
    tried = [(read(records, job(column, "search", point, 0)), point) for point in column.grid_points()]
    found = [(record["metrics"]["val/ndcg@10"], point) for record, point in tried if record is not None]
    return max(found)[1] if found else None


def rounds(records: Path) -> Iterator[Job]:
    """All runs, those that tell most first; later ones depend on what the records say by then."""
    columns = COLUMNS

    def search(first: int, last: int | None) -> Iterator[Job]:
        for column in columns:
            yield from (job(column, "search", point, 0) for point in column.grid_points()[first:last])

    def seeds(number: int, data: str | None = None, names: tuple[str, ...] | None = None) -> Iterator[Job]:
        for seed in range(number):
            for column in columns:
                if names is not None and column.name not in names:
                    continue
                if (point := best_point(records, column)) is not None:
                    yield job(column, "seeds", point, seed, data)

    for column in columns:
        yield simple_methods(column.searched)
        for stage in ("seeds", "search"):  # the test's run says what the search wants to know
            yield job(column, stage, column.grid_points()[0], 0)
    yield from search(1, 3)
    yield from seeds(3)
    yield from search(3, None)
    yield from seeds(5)
    yield from seeds(8, names=HEADLINES)
    for data in ("scientific_mm_full", "instruments", "office", "movies_action", "movies_comedy", "movies_drama"):
        yield simple_methods(data)
        yield from seeds(3, data)
