"""Tables of interactions and items: columns, times, counts, joins."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.inspection.report import Report
from missrec_pl.prepare.inspection.roles import Roles, guess
from missrec_pl.prepare.interactions.database import working_database
from missrec_pl.prepare.interactions.source import id_sql
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import column, numbers
from missrec_pl.prepare.tables.table import Table
from missrec_pl.prepare.tables.times import TimeColumn

_PRODUCT = r"(B0[0-9A-Z]{8}|[0-9]{9}[0-9X])"  # an ASIN


def inspect_tables(paths: Sequence[Path], source: Path, report: Report) -> None:
    """Reads tables and adds what they are; two that fit are interactions and their items."""
    with _files(report) as files:
        found: list[tuple[Table, Roles]] = []
        for path in paths:
            try:
                table = _table(files, path, report)
            except (DataError, ConfigError) as error:
                report.odd.append(f"{path.name}: {error}")
                continue
            found.append((table, guess(table.names)))
        logs = [pair for pair in found if pair[1].is_log()]
        metadata = [pair for pair in found if pair[1].is_metadata()]
        for table, roles in found:
            kind = "interactions" if roles.is_log() else "items" if roles.is_metadata() else "a table"
            rows = "" if table.rows is None else f"{table.rows:,} rows, "
            report.what.append(f"{table.path.name}: {kind}, {rows}columns {', '.join(table.names)[:160]}")
        for table, roles in logs[:1]:
            _log(files, table, roles, report)
        _use(files, logs, metadata, report)


@contextmanager
def _files(report: Report) -> Iterator[RawFiles]:
    with (
        tempfile.TemporaryDirectory() as name,
        working_database(Path(name) / "doctor", memory="2GB", threads=2) as (connection, folder),
    ):
        yield RawFiles(connection, folder, say=report.how.append, warn=report.odd.append)


def _table(files: RawFiles, path: Path, report: Report) -> Table:
    """The table; one whose first line is data, as Amazon's ratings, gets names by its cells."""
    table = files.table(path)
    if path.is_dir() or not all(re.fullmatch(r"[-+.\d]+|[A-Z0-9]{10,}", name) for name in table.names):
        return table
    if len(table.names) == 4:
        item_first = re.fullmatch(_PRODUCT, table.names[0]) is not None
        names = ["item", "user", "rating", "time"] if item_first else ["user", "item", "rating", "time"]
        year = "2018" if item_first else "2014"
        report.how.append(f"{path.name}: no line of names; four columns as Amazon's ratings of {year}")
        return files.table(path, names=names)
    report.odd.append(f"{path.name}: no line of names; add one, or name the columns in a recipe (names: [...])")
    return table


def _log(files: RawFiles, table: Table, roles: Roles, report: Report) -> None:
    """Counts, times and repeats of the interactions."""
    connection = files.connection
    user, item = (id_sql(table.text(name), files.choices.nothing) for name in (roles.user, roles.item) if name)
    connection.execute(f"CREATE TABLE seen AS SELECT {user} AS user, {item} AS item FROM {table.relation}")
    rows, users, items, no_user, no_item = numbers(
        connection,
        "count(*), count(DISTINCT user), count(DISTINCT item), count(*) - count(user), count(*) - count(item) "
        "FROM seen",
    )
    report.what.append(f"{rows:,} interactions of {users:,} users with {items:,} items")
    for name, bad in ((roles.user, no_user), (roles.item, no_item)):
        if bad:
            report.odd.append(f"{table.path.name}: {bad:,} rows have no {name}; --skip-bad-rows leaves them out")
    (pairs, many) = numbers(
        connection,
        "(SELECT count(*) FROM (SELECT DISTINCT user, item FROM seen)), "
        "(SELECT count(*) FROM (SELECT user FROM seen GROUP BY user HAVING count(*) >= 5))",
    )
    if pairs < 0.9 * rows:
        report.odd.append(f"{1 - pairs / rows:.0%} of the rows repeat a user's item: --repeats says which stay")
    if many < 0.2 * users:
        report.odd.append(f"{many:,} of {users:,} users have five interactions: --k-core 5 would leave few")
    if users and items and (users < 3 or items < 3):
        report.odd.append(f"{users} users and {items} items: are {roles.user} and {roles.item} the right columns?")
    if roles.time is None:
        report.odd.append(f"{table.path.name}: no column looks like a time; name it with --time")
        return
    where = f"{table.path.name}: column {roles.time!r}"
    try:
        text = table.types[roles.time] in ("JSON", "VARCHAR")
        cell = table.text(roles.time) if text else column(roles.time)
        connection.execute(f"CREATE TABLE times AS SELECT {cell} AS time FROM {table.relation}")
        sql, kept = TimeColumn("times", "time", where).milliseconds(connection, files.say, files.warn)
        unread = numbers(connection, f"count(*) FROM (SELECT {sql} AS ms FROM times) WHERE {kept} IS NULL")[0]
        if unread:
            report.odd.append(
                f"{where}: {unread:,} rows have no time that can be read; --skip-bad-rows leaves them out"
            )
    except DataError as error:
        report.odd.append(str(error))


def _use(
    files: RawFiles, logs: list[tuple[Table, Roles]], metadata: list[tuple[Table, Roles]], report: Report
) -> None:
    if not logs:
        if metadata:
            path = metadata[0][0].path
            report.use.append(
                f"python -m missrec_pl.prepare interactions LOG OUT --format table --metadata {path} ..."
            )
            report.odd.append("no table of interactions: it needs a user and an item in each row")
        return
    table, roles = logs[0]
    flags = [f"--user {roles.user}", f"--item {roles.item}", f"--time {roles.time or 'COLUMN'}"]
    flags += [f"--rating {roles.rating}"] if roles.rating else []
    best = None
    for other, known in metadata:
        share, key = _matched(files, table, roles, other)
        report.how.append(f"{share:.1%} of the items of {table.path.name} are in {other.path.name} ({key})")
        if best is None or share > best[0]:
            best = (share, other, known, key)
    if best is None:
        flags.append("--keep-items-without-text")
        if roles.text:
            report.odd.append(f"its column {roles.text[0]} describes items: pass the file as --metadata, too")
    else:
        share, other, known, key = best
        flags += [f"--metadata {other.path}", f"--item-id {key}", f"--text {','.join(known.text[:4])}"]
        flags += [f"--image-url {known.image}"] if known.image else []
        if share < 0.99:
            report.odd.append(f"{1 - share:.1%} of the items are not in {other.path.name}: they are left out")
    report.use.append(
        f"python -m missrec_pl.prepare interactions {table.path} OUT --format table {' '.join(flags)} --dry-run"
    )


def _matched(files: RawFiles, table: Table, roles: Roles, other: Table) -> tuple[float, str]:
    """Share of the log's items that a table has, and by which column."""
    best = (0.0, other.names[0])
    for name in other.names:
        ids = id_sql(other.text(name), files.choices.nothing)
        total, there = numbers(
            files.connection,
            f"count(*), count(*) FILTER (item IN (SELECT {ids} FROM {other.relation})) "
            "FROM (SELECT DISTINCT item FROM seen WHERE item IS NOT NULL)",
        )
        share = there / max(total, 1)
        best = max(best, (share, name), key=lambda pair: pair[0])
    return best
