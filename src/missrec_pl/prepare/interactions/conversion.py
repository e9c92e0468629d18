"""Converts one raw data set to one domain folder without features."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from missrec_pl.data.domain.replacing import check_target
from missrec_pl.data.domain.writer import UserBlock, stream_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.prepare.features.picture_folders import ItemImages
from missrec_pl.prepare.interactions.cleaning import clean, load, preview
from missrec_pl.prepare.interactions.database import working_database
from missrec_pl.prepare.interactions.filters import TIE, Filters, Step
from missrec_pl.prepare.interactions.items import Items, image_columns, items_of
from missrec_pl.prepare.interactions.matching import check_ids
from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.choices import Choices
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.times import TimeChoice

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_BATCH = 1 << 20


@dataclass(frozen=True)
class Converted:
    """What became of a raw data set: what each filter left, and further lines for the user."""

    steps: list[Step]
    told: list[str]


@dataclass(frozen=True)
class Options:
    """How a raw data set is converted."""

    filters: Filters = field(default_factory=Filters)  # what is left out
    choices: Choices = field(default_factory=Choices)  # how files are read where they do not tell it
    times: TimeChoice = field(default_factory=TimeChoice)  # how times are read where they do not tell it
    images: ItemImages | None = None  # finds items' picture files; None: they have none yet
    memory: str = "3GB"  # most that DuckDB keeps in memory
    threads: int = os.cpu_count() or 1  # threads of DuckDB
    overwrite: bool = False  # replace an existing domain folder
    dry_run: bool = False  # read and filter, and write nothing
    told: dict[str, Any] = field(default_factory=dict)  # what ``domain.json`` is to say about the source


def convert(
    read: Callable[[RawFiles], Source],
    out: Path,
    where: str,
    options: Options,
    report: Callable[[str], None],
    say: Callable[[str], None] = print,
) -> Converted:
    """Reads, filters, orders and writes the domain folder ``out``.

    ``read`` gives the source's relations. ``where`` names the source in messages. ``report`` is called with a line
    before every longer step, ``say`` with what was found of the files: how they were read, and what is odd.

    Raises:
        ConfigError: DuckDB is not installed.
        DataError: The source is damaged, nothing is left of it, or ``out`` exists.
    """
    if not options.dry_run:
        check_target(out, overwrite=options.overwrite)
    beside = Path(tempfile.gettempdir()) / out.name if options.dry_run else out
    with working_database(beside, memory=options.memory, threads=options.threads) as (connection, folder):
        notes: list[str] = []

        def note(line: str) -> None:
            notes.append(line)
            say(line)

        files = RawFiles(connection, folder, options.choices, say=note, warn=lambda line: note(f"warning: {line}"))
        source = read(files)
        load(files, source, options.times, report)
        joins = check_ids(files, source)
        shown = preview(connection, options.choices.nothing) if options.dry_run else []
        steps = clean(connection, options.filters, where, report)
        if options.dry_run:
            return Converted(steps, [*shown, *_pictures_found(connection, options.images, out)])
        report(f"writing {out}")
        items = items_of(_numbered_items(connection), files, source.attributes, options.images, out)
        joins += items.joins
        made = {
            "program": "missrec_pl.prepare.interactions",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **options.told,
            **({} if items.counts is None else {"pictures": items.counts}),
            "notes": notes,
            "joins": [join.content() for join in joins],
            "filters": [asdict(step) for step in steps],
        }
        _write(out, items, _users(connection), made, overwrite=options.overwrite)
    return Converted(steps, items.told)


def _pictures_found(connection: DuckDBPyConnection, images: ItemImages | None, out: Path) -> list[str]:
    """Of the items that filters keep."""
    if images is None:
        return []
    left = "SELECT raw_id FROM item_ids WHERE id IN (SELECT item FROM kept) ORDER BY id"
    return images.find([raw for (raw,) in connection.sql(left).fetchall()], out).told


def _write(out: Path, items: Items, users: Iterator[UserBlock], made: dict[str, Any], *, overwrite: bool) -> None:
    stream_domain(
        out,
        name=out.name,
        raw_item_ids=items.raw_ids,
        texts=items.texts,
        users=users,
        features={},
        image_urls=items.urls,
        attributes=items.attributes,
        **image_columns(items.files),
        created_by=made,
        overwrite=overwrite,
    )


def _numbered_items(connection: DuckDBPyConnection) -> pa.Table:
    """Numbers items from 1 and users from 0 without gaps, in the order of their raw ids; returns the items."""
    for name in ("user", "item"):
        connection.execute(
            f"CREATE TABLE final_{name}s AS SELECT id, raw_id, CAST(row_number() OVER (ORDER BY id) AS INTEGER) "
            f"AS number FROM {name}_ids WHERE id IN (SELECT {name} FROM kept)"
        )
    return connection.sql(
        "SELECT raw_id, fields, pictures FROM final_items LEFT JOIN metadata ON metadata.item = raw_id "
        "ORDER BY number"
    ).to_arrow_table()


def _users(connection: DuckDBPyConnection) -> Iterator[UserBlock]:
    """Whole users in order, each user's interactions in time order."""
    names = connection.sql("SELECT raw_id FROM final_users ORDER BY number").to_arrow_table()["raw_id"]
    ids = names.cast(pa.string()).combine_chunks()
    rows = connection.sql(
        "SELECT u.number - 1 AS user, i.number AS item, time_ms FROM kept JOIN final_users u ON u.id = kept.user "
        f"JOIN final_items i ON i.id = kept.item ORDER BY kept.user, time_ms, {TIE}, kept.item"
    )
    return blocks_of(rows, ids)


def blocks_of(rows: DuckDBPyRelation, ids: pa.StringArray) -> Iterator[UserBlock]:
    """Whole users from rows of user (from 0), item and milliseconds, ordered; ``ids`` are those of all users."""
    reader = rows.to_arrow_reader(_BATCH)
    held = np.empty((0, 3), np.int64)
    for batch in reader:
        block = np.stack([column.to_numpy().astype(np.int64) for column in batch.columns], axis=1)
        held = np.concatenate([held, block])
        complete = int(np.searchsorted(held[:, 0], held[-1, 0]))  # the last user may go on in the next batch
        if complete:
            yield _block(held[:complete], ids)
            held = held[complete:]
    if len(held):
        yield _block(held, ids)


def _block(rows: np.ndarray, ids: pa.StringArray) -> UserBlock:
    first, last = int(rows[0, 0]), int(rows[-1, 0])
    offsets = np.searchsorted(rows[:, 0], np.arange(first, last + 2)).astype(np.int64)
    sequences = Sequences(rows[:, 1].astype(np.int32), offsets, rows[:, 2] // 1000)
    return UserBlock(sequences, ids.slice(first, last - first + 1))
