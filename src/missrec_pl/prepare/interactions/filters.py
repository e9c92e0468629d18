"""What is left out of complete interactions, one filter after the other, each with what it left.

Works on the tables that :mod:`missrec_pl.prepare.interactions.cleaning` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.tables.sql import numbers, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REPEATS = ("first", "last", "consecutive", "all")
"""Which of a user's interactions with an item stay; ``consecutive``: the first of those in a row."""
COMPLETE = "user IS NOT NULL AND item IS NOT NULL AND time_ms IS NOT NULL"
# Orders interactions of one moment by a hash of user and item. So no item is preferred, and the order does not
# depend on the source's order, threads or filters. Ties are common: Amazon's times are days.
TIE = "md5_number_lower(u.raw_id || chr(0) || i.raw_id)"


@dataclass(frozen=True)
class Filters:
    """What is left out of the interactions, in this order."""

    skip_bad_rows: bool = False  # leave out rows without user, item or readable time instead of refusing them
    since: str | None = None  # first day or moment, such as 2018-01-01; None: from the beginning
    until: str | None = None  # last day or moment; a day counts whole
    require_text: bool = True  # leave out items without metadata, that is, without any text
    min_rating: float | None = None  # lowest rating that counts as an interaction; None: all
    repeats: str = "first"  # which of a user's interactions with one item stay; one of ``REPEATS``
    sample_users: float | None = None  # how many users (1 or more), or which share of them; None: all
    seed: int = 0  # decides which users
    k_core: int = 5  # interactions that every user and item has at least, reached by repeated removal
    k_core_users: int | None = None  # the same of users alone; None: as ``k_core``
    k_core_items: int | None = None  # of items alone

    def __post_init__(self) -> None:
        for name in ("k_core", "k_core_users", "k_core_items"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"--{name.replace('_', '-')} {value}: give 1 (no filter) or more")
        if self.sample_users is not None and (
            self.sample_users <= 0 or (self.sample_users > 1 and self.sample_users % 1)
        ):
            raise ConfigError(
                f"--sample-users {self.sample_users}: give a number of users, or a share such as 0.1"
            )
        first, last = self.span_ms()
        if first is not None and last is not None and first > last:
            raise ConfigError(f"--since {self.since} lies behind --until {self.until}")

    def span_ms(self) -> tuple[int | None, int | None]:
        """First and last moment that stay, in milliseconds since 1970.

        Raises:
            ConfigError: One of them is no moment.
        """
        last = None if self.until is None else _moment("--until", self.until, end=True)
        return None if self.since is None else _moment("--since", self.since, end=False), last

    def cores(self) -> tuple[int, int]:
        """Least interactions of users and of items."""
        return self.k_core_users or self.k_core, self.k_core_items or self.k_core


@dataclass(frozen=True)
class Step:
    """What a filter left."""

    name: str
    interactions: int
    users: int
    items: int


def table_of(steps: list[Step]) -> list[str]:
    """A line for each step: what it left out, and what is left."""
    lines = []
    for before, step in zip([None, *steps], steps, strict=False):
        out = 0 if before is None else before.interactions - step.interactions
        share = f"-{out:,} ({out / before.interactions:.1%})" if before is not None and out else ""
        counts = f"{step.interactions:>13,} interactions {step.users:>10,} users {step.items:>9,} items"
        lines.append(f"{step.name:<34}{share:>22}{counts}")
    return lines


def apply(connection: DuckDBPyConnection, filters: Filters, report: Callable[[str], None]) -> Iterator[Step]:
    """Fills ``kept`` from ``raw`` and takes from it what each filter leaves out; yields after each."""
    columns = "u.id AS user, i.id AS item, time_ms" + (", rating" if filters.min_rating is not None else "")
    connection.execute(
        f"CREATE TABLE kept AS SELECT {columns} FROM raw "
        f"JOIN user_ids u ON u.raw_id = raw.user JOIN item_ids i ON i.raw_id = raw.item WHERE {COMPLETE}"
    )
    connection.execute("DROP TABLE raw")
    yield _step(connection, "complete rows")
    first, last = filters.span_ms()
    if first is not None or last is not None:
        wanted = [f"time_ms >= {first}"] * (first is not None) + [f"time_ms <= {last}"] * (last is not None)
        _keep(connection, " AND ".join(wanted))
        parts = [f"since {filters.since}"] * (first is not None) + [f"until {filters.until}"] * (last is not None)
        yield _step(connection, " ".join(parts))
    if filters.require_text:
        # In a table of its own, so that has_text runs only for items that have interactions.
        connection.execute(
            "CREATE TABLE with_text AS SELECT id, has_text(fields) AS has_text "
            "FROM item_ids JOIN metadata ON metadata.item = raw_id"
        )
        _keep(connection, "item IN (SELECT id FROM with_text WHERE has_text)")
        yield _step(connection, "items with text")
    if filters.min_rating is not None:
        _keep(connection, f"rating >= {float(filters.min_rating)!r}")
        yield _step(connection, f"rating {filters.min_rating:g} and above")
    if filters.repeats != "all":
        report("leaving out repeated interactions")
        connection.execute(f"CREATE OR REPLACE TABLE kept AS {_without_repeats(filters.repeats)}")
        what = "in a row" if filters.repeats == "consecutive" else "interaction with an item"
        yield _step(connection, f"{filters.repeats.replace('consecutive', 'first of the same')} {what}")
    if filters.sample_users is not None:
        yield _sample(connection, filters)
    users, items = filters.cores()
    if max(users, items) > 1:
        rounds = _reduce_to_core(connection, users, items, report)
        name = f"{users}-core" if users == items else f"{users} a user, {items} an item"
        yield _step(connection, f"{name} ({rounds} rounds)")


def _keep(connection: DuckDBPyConnection, wanted: str) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE kept AS SELECT * FROM kept WHERE {wanted}")


def _without_repeats(repeats: str) -> str:
    if repeats != "consecutive":
        chosen = "min" if repeats == "first" else "max"
        return f"SELECT user, item, {chosen}(time_ms) AS time_ms FROM kept GROUP BY user, item"
    order = f"PARTITION BY kept.user ORDER BY time_ms, {TIE}, kept.item"
    before = f"lag(kept.item) OVER ({order}) AS before"
    joins = "JOIN user_ids u ON u.id = kept.user JOIN item_ids i ON i.id = kept.item"
    rows = f"SELECT kept.user, kept.item, time_ms, {before} FROM kept {joins}"
    return f"SELECT user, item, time_ms FROM ({rows}) WHERE before IS DISTINCT FROM item"


def _sample(connection: DuckDBPyConnection, filters: Filters) -> Step:
    """Users by a hash of their raw id and the seed: the same ones whatever else is in the source."""
    wanted = float(filters.sample_users or 0)
    place = f"md5_number_lower(raw_id || chr(0) || {quoted(str(filters.seed))})"
    there = f"SELECT id, {place} AS place FROM user_ids WHERE id IN (SELECT user FROM kept)"
    if wanted <= 1:
        chosen, name = (
            f"SELECT id FROM ({there}) WHERE place < {int(wanted * 2**64) - 1}::UBIGINT",
            f"{wanted:.3g}",
        )
    else:
        chosen, name = f"SELECT id FROM ({there}) ORDER BY place, id LIMIT {int(wanted)}", f"{int(wanted):,}"
    _keep(connection, f"user IN ({chosen})")
    return _step(connection, f"{name} of the users, seed {filters.seed}")


def _reduce_to_core(connection: DuckDBPyConnection, users: int, items: int, report: Callable[[str], None]) -> int:
    rounds, before, left = 0, [-1], numbers(connection, "count(*) FROM kept")
    while left != before:
        rounds, before = rounds + 1, left
        report(f"{users}-core, round {rounds}: {left[0]:,} interactions")
        for name, least in (("item", items), ("user", users)):
            _keep(connection, f"{name} IN (SELECT {name} FROM kept GROUP BY {name} HAVING count(*) >= {least})")
        left = numbers(connection, "count(*) FROM kept")
    return rounds


def _step(connection: DuckDBPyConnection, name: str) -> Step:
    return Step(name, *numbers(connection, "count(*), count(DISTINCT user), count(DISTINCT item) FROM kept"))


def _moment(flag: str, text: str, *, end: bool) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"{flag} {text}: give a day or moment, such as 2018-12-31 or 2018-12-31T23:59:59"
        ) from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if end and len(text.strip()) <= len("2018-12-31"):
        moment += timedelta(days=1, milliseconds=-1)
    return round(moment.timestamp() * 1000)
