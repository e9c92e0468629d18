"""Interactions and items in the tables of a working database, and what is left of them.

Tables: ``raw`` (user, item, time_ms, rating, time_text, as read), ``metadata`` (item, fields, pictures, one row
an item), ``user_ids`` and ``item_ids`` (raw id and a dense number, ascending in raw id), and ``kept`` (user and
item numbers, time_ms, perhaps rating), which holds what the filters have left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.filters import COMPLETE, Filters, Step, apply
from missrec_pl.prepare.interactions.texts import has_text, item_text
from missrec_pl.prepare.tables.cells import number_sql
from missrec_pl.prepare.tables.id_forms import form_sql
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers, one_line
from missrec_pl.prepare.tables.times import TimeChoice, TimeColumn

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from missrec_pl.prepare.interactions.source import Source

_TIMES = (
    "times are seconds, ms, us or ns since 1970 (--time-unit), or dates and moments (--time-format), and 0, -1 or "
    "1970-01-01 among others stand for no time; "
)
# Ids that are numbers in numeric order, then all others in alphabetical order.
BY_RAW_ID = "ORDER BY TRY_CAST({0} AS HUGEINT) NULLS LAST, {0}"


def load(files: RawFiles, source: Source, times: TimeChoice, report: Callable[[str], None]) -> None:
    """Reads the source into ``raw`` and ``metadata``, and makes ``has_text`` known.

    Of several metadata rows of one item the one with the longest text counts, whatever their order.

    Raises:
        DataError: Rows were lost or joined on the way, or times cannot be told.
    """
    connection = files.connection
    report("reading interactions")
    _create(connection, "read", source.interactions, source.log)
    _check_count(connection, "read", source.log, source.rows)
    where = f"{source.log}: column {source.time!r}"
    time_ms, kept = TimeColumn("read", "time", where, source.usual_unit, times).milliseconds(
        connection, files.say, files.warn
    )
    user, item = (form_sql(files.choices.id_form, name) for name in ("user", "item"))
    connection.execute(
        f"CREATE TABLE raw AS SELECT {user} AS user, {item} AS item, {kept} AS time_ms, {number_sql('rating')} "
        f"AS rating, "
        f"CASE WHEN {kept} IS NULL THEN CAST(time AS VARCHAR) END AS time_text, "
        f"nullif(trim(rating), '') AS rating_text FROM (SELECT *, {time_ms} AS ms FROM read)"
    )
    connection.execute("DROP TABLE read")
    report("reading metadata")
    items = source.items or "SELECT NULL::VARCHAR AS item, NULL::VARCHAR AS fields, NULL::VARCHAR AS pictures"
    _create(connection, "described", f"SELECT * REPLACE ({item} AS item) FROM ({items})", source.metadata)
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


def _create(connection: DuckDBPyConnection, table: str, query: str, path: Path) -> None:
    """Makes a table of a file; raises DataError, which names it, where it cannot be read to its end."""
    import duckdb

    try:
        connection.execute(f"CREATE TABLE {table} AS {query}")
    except duckdb.IOException as error:
        if "write" in str(error):  # the disk is full
            raise
        raise DataError(f"{path}: cannot be read to its end ({one_line(error)}); get the file again") from error


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
    check_rows(connection, filters, where)
    report("numbering users and items")
    for name in ("user", "item"):
        connection.execute(
            f"CREATE TABLE {name}_ids AS SELECT {name} AS raw_id, "
            f"CAST(row_number() OVER ({BY_RAW_ID.format(name)}) AS INTEGER) AS id "
            f"FROM (SELECT DISTINCT {name} FROM raw WHERE {COMPLETE})"
        )
    steps = list(apply(connection, filters, report))
    if not steps[-1].interactions:
        told = "; ".join(f"{step.name}: {step.interactions:,}" for step in steps)
        raise DataError(
            f"{where}: no interaction survives the filters ({told}); relax them, or check the metadata"
        )
    return steps


def check_rows(connection: DuckDBPyConnection, filters: Filters, where: str) -> None:
    """Raises DataError where there is nothing, or rows are bad or lack the ratings that are asked for."""
    columns = {"user": "no user", "item": "no item", "time_ms": "no time that can be read"}
    counts = ", ".join(f"count(*) - count({name})" for name in columns)
    wanted = f"count(*), {counts}, count(rating) FROM raw"
    total, *absent, ratings = numbers(connection, wanted)
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


def preview(connection: DuckDBPyConnection, nothing: Collection[str]) -> list[str]:
    """The first ten rows of ``raw``, and items among them, as they were understood."""
    moment = "strftime(make_timestamp(time_ms * 1000), '%Y-%m-%d %H:%M:%S')"
    rows = connection.execute(
        f"SELECT user, item, coalesce({moment}, 'no time: ' || time_text), rating FROM raw LIMIT 10"
    ).fetchall()
    lines = ["first rows: user, item, time (UTC), rating"]
    lines += ["  " + ", ".join("none" if cell is None else str(cell)[:40] for cell in row) for row in rows]
    items = list(dict.fromkeys(item for _, item, *_ in rows))
    for item in items[:5]:
        found = connection.execute("SELECT fields, pictures FROM metadata WHERE item = ?", [item]).fetchone()
        text = item_text(found[0], nothing)[:120] if found else "not in the metadata"
        picture = f" [{found[1][:80]}]" if found and found[1] else ""
        lines.append(f"item {item}: {text or 'no text'}{picture}")
    return lines
