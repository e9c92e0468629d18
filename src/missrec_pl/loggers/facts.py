"""What a logger is told of a run beside its curves: what it is, and what came of it. It may leave the machine.

Folders and files are the exception: a logger reads them, and never logs where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Pictures:
    """A cell of a table that shows pictures side by side."""

    files: tuple[Path, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells: plain values, or :class:`Pictures`."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    bar: str = ""  # the column that a bar chart over the first column shows; none where empty

    def plain(self) -> Table:
        """The same without the columns of pictures."""
        kept = [
            number
            for number in range(len(self.columns))
            if not any(isinstance(row[number], Pictures) for row in self.rows)
        ]
        rows = [[row[number] for number in kept] for row in self.rows]
        return Table([self.columns[number] for number in kept], rows, self.bar)


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it starts.

    Attributes:
        job_type: ``pretrain``, ``finetune``, ``eval`` or ``baselines``.
        name: what a person calls the run.
        group: what runs that belong together are called: seeds of one setting, jobs of one sweep.
        tags: as the user gave them.
        notes: as the user gave them.
        config: flat plain values: options, versions, fingerprints of the data, the command.
        data: fingerprint of each domain.
        optimized: the score of validation by which the best checkpoint is kept.
        folder: of the run.
        start: the checkpoint that it starts from, or tests.
    """

    job_type: str
    name: str
    group: str
    tags: tuple[str, ...]
    notes: str | None
    config: Mapping[str, Any]
    data: Mapping[str, str]
    optimized: str
    folder: Path
    start: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        scalars: metrics, baselines, seconds, memory and sizes by name.
        tables: by name.
        sizes: tokens of each interest prototype; empty for a network without interests.
        results: as ``results.json`` says them, without paths.
        checkpoint: the best one, where one was kept.
        epoch: of that checkpoint, from 0.
    """

    scalars: Mapping[str, float]
    tables: Mapping[str, Table] = field(default_factory=dict)
    sizes: Sequence[int] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    epoch: int | None = None


@runtime_checkable
class Follower(Protocol):
    """A logger that is told these facts. The first process alone tells them."""

    def begin(self, facts: RunFacts) -> None:
        """The run starts, or goes on."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """The run has ended well."""
        ...

    def fail(self, error: BaseException) -> None:
        """The run has ended otherwise."""
        ...
