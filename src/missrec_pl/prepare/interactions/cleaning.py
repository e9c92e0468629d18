"""Filters of interactions, as SQL on the tables of a working database.

Tables: ``raw`` (user, item, time_ms, rating, time_text, as read), ``metadata`` (item, fields, image_url, one row
an item), ``user_ids`` and ``item_ids`` (raw id and a dense number, ascending in raw id), and ``kept`` (user and
item numbers, time_ms), which holds what the filters have left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.database import numbers
from missrec_pl.prepare.interactions.texts import has_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from missrec_pl.prepare.interactions.tables import Source

REPEATS = ("first", "last", "all")
_TIMES = (
    "times are seconds or milliseconds (--time-unit), or moments like 2020-12-31, 2020-12-31 23:59:59 and "
    "2020-12-31T23:59:59+01:00; "
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


def load(connection: DuckDBPyConnection, source: Source, report: Callable[[str], None]) -> None:
    """Reads the source into ``raw`` and ``metadata``, and makes ``has_text`` known.

    Of several metadata rows of one item the one with the longest text counts, whatever their order.
    """
    report("reading interactions")
    connection.execute(f"CREATE TABLE raw AS {source.interactions}")
    report("reading metadata")
    items = source.items or "SELECT NULL::VARCHAR AS item, NULL::VARCHAR AS fields, NULL::VARCHAR AS image_url"
    connection.execute(
        "CREATE TABLE metadata AS SELECT item, first(fields ORDER BY length(fields) DESC, fields) AS fields, "
        "first(image_url ORDER BY length(fields) DESC, fields, image_url) AS image_url "
        f"FROM ({items}) WHERE item IS NOT NULL GROUP BY item"
    )
    connection.create_function("has_text", has_text, ["VARCHAR"], "BOOLEAN")


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
    if filters.min_rating is not None and not ratings:
        raise DataError(f"{where} has no ratings, which --min-rating needs")
    return complete


def _choose(connection: DuckDBPyConnection, filters: Filters) -> list[str]:
    """Fills ``kept`` by the filters that look at one interaction at a time; returns the filters' names."""
    wanted, items, told = _COMPLETE, "item_ids", []
    if filters.require_text:
        told.append("items with text")
        # In a table of its own, so that has_text runs only for items that have interactions.
        connection.execute(
            "CREATE TABLE described AS SELECT raw_id, id, has_text(fields) AS has_text "
            "FROM item_ids JOIN metadata ON metadata.item = raw_id"
        )
        items = "(SELECT raw_id, id FROM described WHERE has_text)"
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
