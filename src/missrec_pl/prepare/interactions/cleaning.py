"""Filters of interactions, as SQL on the tables of a working database.

Tables: ``raw`` (user, item, time_ms, rating, time_text, as read), ``metadata`` (item, fields, pictures, one row
an item), ``user_ids`` and ``item_ids`` (raw id and a dense number, ascending in raw id), and ``kept`` (user and
item numbers, time_ms), which holds what the filters have left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.texts import has_text
from missrec_pl.prepare.tables.cells import number_sql
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers
from missrec_pl.prepare.tables.times import TimeChoice, TimeColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from missrec_pl.prepare.interactions.source import Source

REPEATS = ("first", "last", "all")
_TIMES = (
    "times are seconds, ms, us or ns since 1970 (--time-unit), or dates and moments (--time-format), and 0, -1 or "
    "1970-01-01 among others stand for no time; "
)
_COMPLETE = "user IS NOT NULL AND item IS NOT NULL AND time_ms IS NOT NULL"
# Ids that are numbers in numeric order, then all others in alphabetical order.
_BY_RAW_ID = "ORDER BY TRY_CAST({0} AS HUGEINT) NULLS LAST, {0}"


@dataclass(frozen=True)
class Filters:
    """What is left out of the interactions, in this order."""

    skip_bad_rows: bool = False  # leave out rows without user, item or readable time instead of refusing them
    min_rating: float | None = None  # lowest rating that counts as an interaction; None: all
    require_text: bool = True  # leave out items without metadata, that is, without any text
    repeats: str = "first"  # which of a user's interactions with one item stays: ``first``, ``last`` or ``all``
    k_core: int = 5  # interactions that every user and item has at least, reached by repeated removal

    def __post_init__(self) -> None:
        if self.k_core < 1:
            raise ConfigError(f"--k-core {self.k_core}: give 1 (no filter) or more")


@dataclass(frozen=True)
class Step:
    """What a filter left."""

    name: str
    interactions: int
    users: int
    items: int


def load(files: RawFiles, source: Source, times: TimeChoice, report: Callable[[str], None]) -> None:
    """Reads the source into ``raw`` and ``metadata``, and makes ``has_text`` known.

    Of several metadata rows of one item the one with the longest text counts, whatever their order.

    Raises:
        DataError: Rows were lost or joined on the way, or times cannot be told.
    """
    connection = files.connection
    report("reading interactions")
    connection.execute(f"CREATE TABLE read AS {source.interactions}")
    _check_count(connection, "read", source.log, source.rows)
    where = f"{source.log}: column {source.time!r}"
    time_ms, kept = TimeColumn("read", "time", where, source.usual_unit, times).milliseconds(
        connection, files.say, files.warn
    )
    connection.execute(
        f"CREATE TABLE raw AS SELECT user, item, {kept} AS time_ms, {number_sql('rating')} AS rating, "
        f"CASE WHEN {kept} IS NULL THEN CAST(time AS VARCHAR) END AS time_text, "
        f"nullif(trim(rating), '') AS rating_text FROM (SELECT *, {time_ms} AS ms FROM read)"
    )
    connection.execute("DROP TABLE read")
    report("reading metadata")
    items = source.items or "SELECT NULL::VARCHAR AS item, NULL::VARCHAR AS fields, NULL::VARCHAR AS pictures"
    connection.execute(f"CREATE TABLE described AS {items}")
    if source.items is not None:
        _check_count(connection, "described", source.metadata, source.item_rows)
        _tell_several(files, source.metadata)
    connection.execute(
        "CREATE TABLE metadata AS SELECT item, first(fields ORDER BY length(fields) DESC, fields) AS fields, "
        "first(pictures ORDER BY length(fields) DESC, fields, pictures) FILTER (pictures NOT IN ('null', "
        "'\"\"', '[]')) "
        "AS pictures FROM described WHERE item IS NOT NULL GROUP BY item"
    )
    connection.execute("DROP TABLE described")
    nothing = tuple(files.choices.nothing)

    def is_described(fields: str | None) -> bool:
        return has_text(fields, nothing)

    connection.create_function("has_text", is_described, ["VARCHAR"], "BOOLEAN")


def _check_count(connection: DuckDBPyConnection, table: str, path: Path, rows: int | None) -> None:
    """Raises DataError where a table has not the rows of its file."""
    (found,) = numbers(connection, f"count(*) FROM {table}")
    if rows is not None and rows != found:
        raise DataError(
            f"{path}: {rows:,} rows, of which {found:,} arrived; --quote and --separator say how cells end"
        )


def _tell_several(files: RawFiles, path: Path) -> None:
    """Warns of items that several rows describe with other texts."""
    several = (
        "(SELECT item, count(*) AS rows FROM described WHERE item IS NOT NULL GROUP BY item "
        "HAVING count(DISTINCT fields) > 1)"
    )
    found = files.connection.execute(f"SELECT item, rows FROM {several} ORDER BY item LIMIT 3").fetchall()
    if found:
        (count,) = numbers(files.connection, f"count(*) FROM {several}")
        examples = ", ".join(f"{item} ({rows} rows)" for item, rows in found)
        files.warn(
            f"{path}: {count:,} items have several rows with other texts, such as {examples}; the longest text "
            f"counts: "
            "leave the others out if they are of another language or edition"
        )


def clean(
    connection: DuckDBPyConnection, filters: Filters, where: str, report: Callable[[str], None]
) -> list[Step]:
    """Applies the filters to ``raw``, so that ``kept`` holds what is left.

    ``where`` names the source in messages; ``report`` is called with a line before every longer step.

    Returns:
        What each filter left.

    Raises:
        DataError: Bad rows, or nothing is left.
    """
    complete = _check_rows(connection, filters, where)
    report("numbering users and items")
    for name in ("user", "item"):
        connection.execute(
            f"CREATE TABLE {name}_ids AS SELECT {name} AS raw_id, "
            f"CAST(row_number() OVER ({_BY_RAW_ID.format(name)}) AS INTEGER) AS id "
            f"FROM (SELECT DISTINCT {name} FROM raw WHERE {_COMPLETE})"
        )
    known = [*numbers(connection, "count(*) FROM user_ids"), *numbers(connection, "count(*) FROM item_ids")]
    steps = [Step("complete rows", complete, *known)]
    if first := _choose(connection, filters):
        steps.append(_step(connection, ", ".join(first)))
    if filters.repeats != "all":
        report("leaving out repeated interactions")
        chosen = "min" if filters.repeats == "first" else "max"
        one = f"SELECT user, item, {chosen}(time_ms) AS time_ms FROM kept GROUP BY user, item"
        connection.execute(f"CREATE OR REPLACE TABLE kept AS {one}")
        steps.append(_step(connection, f"{filters.repeats} interaction with an item"))
    if filters.k_core > 1:
        rounds = _reduce_to_core(connection, filters.k_core, report)
        steps.append(_step(connection, f"{filters.k_core}-core ({rounds} rounds)"))
    if not steps[-1].interactions:
        told = "; ".join(f"{step.name}: {step.interactions:,}" for step in steps)
        raise DataError(
            f"{where}: no interaction survives the filters ({told}); relax them, or check the metadata"
        )
    return steps


def _check_rows(connection: DuckDBPyConnection, filters: Filters, where: str) -> int:
    """Number of complete rows."""
    columns = {"user": "no user", "item": "no item", "time_ms": "no time that can be read"}
    counts = ", ".join(f"count(*) - count({name})" for name in columns)
    wanted = f"count(*), {counts}, count(rating), count(*) FILTER ({_COMPLETE}) FROM raw"
    total, *absent, ratings, complete = numbers(connection, wanted)
    if not total:
        raise DataError(f"{where} holds no interactions")
    for (name, what), bad in zip(columns.items(), absent, strict=True):
        if bad and not filters.skip_bad_rows:
            keys, advice = ("user, item, time_text", _TIMES) if name == "time_ms" else ("user, item", "")
            row = connection.execute(
                f"SELECT {keys} FROM raw WHERE {name} IS NULL ORDER BY ALL LIMIT 1"
            ).fetchone()
            raise DataError(
                f"{where}: {bad:,} rows have {what}, such as ({keys.removesuffix('_text')}) = {row}; {advice}mend "
                "them, or leave them out with --skip-bad-rows"
            )
    if filters.min_rating is not None:
        _check_ratings(connection, where, ratings)
    return complete


def _check_ratings(connection: DuckDBPyConnection, where: str, ratings: int) -> None:
    """Raises DataError where ratings are wanted and there are none, or some are no numbers."""
    if not ratings:
        raise DataError(f"{where} has no ratings that are numbers, which --min-rating needs")
    unread = "rating IS NULL AND rating_text IS NOT NULL"
    row = connection.execute(f"SELECT count(*), min(rating_text) FROM raw WHERE {unread}").fetchone()
    if row is not None and row[0]:
        raise DataError(
            f"{where}: {row[0]:,} ratings are no numbers, such as {row[1]!r}; --min-rating needs numbers"
        )


def _choose(connection: DuckDBPyConnection, filters: Filters) -> list[str]:
    """Fills ``kept`` by the filters that look at one interaction at a time; returns the filters' names."""
    wanted, items, told = _COMPLETE, "item_ids", []
    if filters.require_text:
        told.append("items with text")
        # In a table of its own, so that has_text runs only for items that have interactions.
        connection.execute(
            "CREATE TABLE with_text AS SELECT raw_id, id, has_text(fields) AS has_text "
            "FROM item_ids JOIN metadata ON metadata.item = raw_id"
        )
        items = "(SELECT raw_id, id FROM with_text WHERE has_text)"
    if filters.min_rating is not None:
        told.append(f"rating {filters.min_rating:g} and above")
        wanted += f" AND rating >= {float(filters.min_rating)!r}"
    connection.execute(
        "CREATE TABLE kept AS SELECT u.id AS user, i.id AS item, time_ms "
        f"FROM (SELECT * FROM raw WHERE {wanted}) chosen "
        f"JOIN user_ids u ON u.raw_id = chosen.user JOIN {items} i ON i.raw_id = chosen.item"
    )
    connection.execute("DROP TABLE raw")
    return told


def _reduce_to_core(connection: DuckDBPyConnection, k: int, report: Callable[[str], None]) -> int:
    rounds, before, left = 0, [-1], numbers(connection, "count(*) FROM kept")
    while left != before:
        rounds, before = rounds + 1, left
        report(f"{k}-core, round {rounds}: {left[0]:,} interactions")
        for name in ("item", "user"):
            enough = f"SELECT {name} FROM kept GROUP BY {name} HAVING count(*) >= {k}"
            connection.execute(f"CREATE OR REPLACE TABLE kept AS SELECT * FROM kept WHERE {name} IN ({enough})")
        left = numbers(connection, "count(*) FROM kept")
    return rounds


def _step(connection: DuckDBPyConnection, name: str) -> Step:
    return Step(name, *numbers(connection, "count(*), count(DISTINCT user), count(DISTINCT item) FROM kept"))
