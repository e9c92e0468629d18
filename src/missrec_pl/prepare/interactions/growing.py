"""New interactions and items for a domain folder that is there: ids stay, new ones follow behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from missrec_pl.data.domain.files import FeatureMatrix, UserBlock
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, FeatureDtype
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import known_image_urls
from missrec_pl.data.domain.writer import stream_domain
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.cleaning import BY_RAW_ID, check_rows, load
from missrec_pl.prepare.interactions.conversion import Options, blocks_of
from missrec_pl.prepare.interactions.database import working_database
from missrec_pl.prepare.interactions.filters import COMPLETE, TIE
from missrec_pl.prepare.interactions.items import image_columns, items_of
from missrec_pl.prepare.interactions.matching import check_growth, check_ids
from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Grown:
    """What joined: numbers of interactions, users and items, and lines for the user."""

    interactions: int
    users: int
    items: int
    told: list[str]


class GrownRows:
    """Features of the items that were there, and zeros for new ones, [N, F]."""

    def __init__(self, rows: npt.NDArray[Any], num_items: int) -> None:
        self._rows = rows
        self.shape = (num_items, rows.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        block = np.zeros((stop - start, self.shape[1]), self._rows.dtype)
        there = self._rows[1 + start : min(1 + stop, len(self._rows))]
        block[: len(there)] = there
        return block


def grow(
    path: Path, read: Callable[[RawFiles], Source], where: str, options: Options, report: Callable[[str], None]
) -> Grown:
    """Adds a source's interactions and items to the domain folder ``path``, which is replaced whole or stays.

    Items and users keep their numbers; new ones follow in the order of their raw ids. Items that are there keep
    text, pictures and features; new ones have no features yet. Of filters those hold that look at one
    interaction, one item or one pair; cores and samples would take away what is there.

    Raises:
        ConfigError: A filter does not go with growing.
        DataError: The folder or the source is damaged, the folder has no times, or nothing is new.
    """
    path = real_path(path)
    domain = Domain.open(path)
    if domain.sequences.timestamps is None:
        raise DataError(f"{path}: has no times, so where new interactions belong is not known; prepare it again")
    repeats = options.filters.repeats
    if repeats not in ("first", "all"):
        raise ConfigError(f"--repeats {repeats}: append keeps what is there; choose first or all")
    with working_database(path, memory=options.memory, threads=options.threads) as (connection, folder):
        say = print
        files = RawFiles(connection, folder, options.choices, say=say, warn=lambda line: say(f"warning: {line}"))
        source = read(files)
        load(files, source, options.times, report)
        check_rows(connection, options.filters, where)
        report(f"reading {path}")
        _read_known(connection, path)
        joins = [*check_growth(files, source, path), *check_ids(files, source, path)]
        told = _choose(connection, options)
        added = numbers(connection, "count(*) FROM added")[0]
        new_users, new_items = (numbers(connection, f"count(*) FROM new_{name}s")[0] for name in ("user", "item"))
        if not added:
            raise DataError(f"{where}: nothing is new for {path} ({'; '.join(told) or 'all is there already'})")
        report(f"writing {path}")
        told_by = {"source": where, **options.told, "joins": [join.content() for join in joins]}
        _write(domain, connection, files, source, options, told_by, told)
    return Grown(added, new_users, new_items, told)


def _read_known(connection: DuckDBPyConnection, path: Path) -> None:
    """Tables of what is there: ``known_items``, ``known_users``, and ``known`` interactions with their places."""
    connection.execute(
        f"CREATE TABLE known_items AS SELECT item AS id, raw_id, text FROM read_parquet({quoted(path / ITEMS)})"
    )
    sequences = f"read_parquet({quoted(path / SEQUENCES)})"
    connection.execute(
        f"CREATE TABLE known_users AS SELECT user + 1 AS id, raw_user_id AS raw_id FROM {sequences}"
    )
    connection.execute(
        "CREATE TABLE known AS SELECT user + 1 AS user, unnest(items) AS item, "
        f"unnest(timestamps) * 1000 AS time_ms, unnest(range(len(items))) AS place FROM {sequences}"
    )


def _choose(connection: DuckDBPyConnection, options: Options) -> list[str]:
    """Tables ``new_items``, ``new_users`` and ``added``; returns what was left out, in words."""
    filters, told = options.filters, []
    rows, wanted = f"(SELECT * FROM raw WHERE {COMPLETE})", ["true"]
    first, last = filters.span_ms()
    wanted += [f"time_ms >= {first}"] * (first is not None) + [f"time_ms <= {last}"] * (last is not None)
    wanted += [f"rating >= {float(filters.min_rating or 0)!r}"] * (filters.min_rating is not None)
    connection.execute(
        f"CREATE TABLE chosen AS SELECT user, item, time_ms FROM {rows} WHERE {' AND '.join(wanted)}"
    )
    described = "true"
    if filters.require_text:
        connection.execute(
            "CREATE TABLE with_text AS SELECT item FROM metadata WHERE item IN (SELECT item FROM chosen) "
            "AND item NOT IN (SELECT raw_id FROM known_items) AND has_text(fields)"
        )
        described = "raw_id IN (SELECT item FROM with_text)"
    _number(connection, "item", described)
    without = numbers(connection, "count(*) FROM chosen WHERE item NOT IN (SELECT raw_id FROM all_items)")[0]
    connection.execute(
        "CREATE OR REPLACE TABLE chosen AS SELECT * FROM chosen WHERE item IN (SELECT raw_id FROM all_items)"
    )
    same = "known.user = u.id AND known.item = i.id"
    if filters.repeats == "all":  # the same file given twice adds nothing
        same += " AND known.time_ms = chosen.time_ms // 1000 * 1000"
    _number(connection, "user", "true")
    before = numbers(connection, "count(*) FROM chosen")[0]
    columns = "u.id AS user, i.id AS item, {0} AS time_ms"
    time, group = ("time_ms", "") if filters.repeats == "all" else ("min(time_ms)", " GROUP BY ALL")
    connection.execute(
        f"CREATE TABLE added AS SELECT {columns.format(time)} FROM chosen "
        "JOIN all_users u ON u.raw_id = chosen.user JOIN all_items i ON i.raw_id = chosen.item "
        f"ANTI JOIN known ON {same}{group}"
    )
    there = before - numbers(connection, "count(*) FROM added")[0]
    if without:
        told.append(f"{without:,} interactions with items without text are left out")
    if there:
        told.append(f"{there:,} interactions are there already or repeat one")
    return told


def _number(connection: DuckDBPyConnection, name: str, wanted: str) -> None:
    """``new_<name>s``, numbered behind the known ones, and ``all_<name>s``."""
    connection.execute(
        f"CREATE TABLE new_{name}s AS SELECT (SELECT count(*) FROM known_{name}s) + "
        f"row_number() OVER ({BY_RAW_ID.format('raw_id')}) AS id, raw_id FROM (SELECT DISTINCT {name} AS raw_id "
        f"FROM chosen WHERE {name} NOT IN (SELECT raw_id FROM known_{name}s)) WHERE {wanted}"
    )
    connection.execute(
        f"CREATE TABLE all_{name}s AS SELECT id, raw_id FROM known_{name}s "
        f"UNION ALL SELECT id, raw_id FROM new_{name}s"
    )


def _write(
    domain: Domain,
    connection: DuckDBPyConnection,
    files: RawFiles,
    source: Source,
    options: Options,
    told_by: dict[str, Any],
    told: list[str],
) -> None:
    table = connection.sql(
        "SELECT raw_id, fields, pictures FROM new_items LEFT JOIN metadata ON metadata.item = raw_id ORDER BY id"
    ).to_arrow_table()
    new = items_of(table, files, source.attributes, options.images, domain.path)
    told += new.told
    raw_ids = [*domain.raw_item_ids()[1:], *new.raw_ids.to_pylist()]
    count, none = len(raw_ids), [None] * domain.num_items
    urls = known_image_urls(domain.path)
    attributes = domain.attributes()
    dtypes = {info.dtype for info in (*domain.modalities.values(), *domain.views.values())}
    dtype: FeatureDtype = "float16" if dtypes == {"float16"} else "float32"
    stream_domain(
        domain.path,
        name=domain.name,
        raw_item_ids=raw_ids,
        texts=[*domain.texts()[1:], *new.texts],
        users=_users(connection),
        features={name: _grown(domain, name, count) for name in domain.modalities},
        views={name: _grown(domain, name, count) for name in domain.views},
        image_urls=[*(urls or none), *(new.urls or [None] * len(new.texts))] if urls or new.urls else None,
        **image_columns([*domain.all_image_paths()[1:], *(new.files or [[] for _ in new.texts])]),
        attributes=_both(
            None if attributes is None else attributes.to_pylist(), new.attributes, domain, new.texts
        ),
        created_by=_record(domain, told_by),
        dtype=dtype,
        overwrite=True,
    )


def _both(
    before: list[list[str] | None] | None, new: list[list[str]] | None, domain: Domain, texts: list[str]
) -> list[list[str]] | None:
    if before is None and new is None:
        return None
    known = [values or [] for values in before] if before is not None else [[] for _ in range(domain.num_items)]
    return [*known, *(new or [[] for _ in texts])]


def _grown(domain: Domain, name: str, count: int) -> FeatureMatrix:
    info = domain.info(name)
    present = np.zeros(count, bool)
    present[: domain.num_items] = domain.present(name)[1:]
    return FeatureMatrix(GrownRows(domain.features(name), count), present, info.encoder, info.made_by)


def _record(domain: Domain, told_by: dict[str, Any]) -> dict[str, Any]:
    """``created_by``: this step, what the folder was before, and the steps before that."""
    made = dict(domain.manifest.created_by)
    earlier = made.pop("grown_from", [])
    counts = {"users": domain.num_users, "items": domain.num_items, "interactions": len(domain.sequences.items)}
    return {
        "program": "missrec_pl.prepare.append",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **told_by,
        "grown_from": [*earlier, {"fingerprint": domain.fingerprint, **counts, "created_by": made}],
    }


def _users(connection: DuckDBPyConnection) -> Iterator[UserBlock]:
    """Whole users in order; of one moment what was there first, then new interactions by a hash."""
    names = connection.sql("SELECT raw_id FROM all_users ORDER BY id").to_arrow_table()["raw_id"]
    rows = connection.sql(
        "SELECT joint.user - 1 AS user, joint.item AS item, time_ms "
        "FROM (SELECT user, item, time_ms, place FROM known "
        "UNION ALL SELECT user, item, time_ms, NULL AS place FROM added) joint "
        "JOIN all_users u ON u.id = joint.user JOIN all_items i ON i.id = joint.item "
        f"ORDER BY joint.user, time_ms // 1000, place NULLS LAST, time_ms, {TIE}, joint.item"
    )
    return blocks_of(rows, names.cast(pa.string()).combine_chunks())
