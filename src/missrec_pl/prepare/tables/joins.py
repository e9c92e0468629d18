"""The one check of every join by ids: how many match, which do not, why perhaps, and what would match more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.id_forms import FORMS, form_sql
from missrec_pl.prepare.tables.sql import numbers

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WARN_FROM, REFUSE_FROM = 0.01, 0.5
"""Shares of unmatched ids from which a join is warned of, and refused."""
_EXAMPLES = 10
_SHOWN = 40  # letters of an example


@dataclass(frozen=True)
class Sides:
    """What is joined.

    Attributes:
        ids: What the ids are of, in the plural: ``items``.
        left: Where they come from, such as ``orders.csv``; all of them should be in ``right``.
        right: What lacks them, or has more: ``products.csv``.
        advice: What to do besides, such as the flag that chooses another column.
    """

    ids: str
    left: str
    right: str
    advice: str = ""


@dataclass(frozen=True)
class JoinReport:
    """How two columns of ids fit; ``domain.json`` keeps it."""

    ids: str
    left: str
    right: str
    left_ids: int
    right_ids: int
    matched: int
    unmatched: list[str] = field(default_factory=list)  # ten of the left
    unused: list[str] = field(default_factory=list)  # ten of the right
    guesses: list[str] = field(default_factory=list)
    id_form: str = ""  # forms that would match more
    gain: int = 0  # how many more

    @property
    def missing(self) -> float:
        """Share of the left ids that the right side lacks."""
        return 1 - self.matched / self.left_ids if self.left_ids else 0.0

    def __str__(self) -> str:
        told = (
            f"{self.left_ids - self.matched:,} of {self.left_ids:,} {self.ids} of {self.left} "
            f"({self.missing:.1%}) are not "
            f"in {self.right}, such as {_listed(self.unmatched)}; {self.right} has {self.right_ids:,}"
        )
        if self.unused:
            told += f", of which {self.right_ids - self.matched:,} match none, such as {_listed(self.unused)}"
        return "; ".join([told, *self.guesses])

    def content(self) -> dict[str, Any]:
        """For ``domain.json``."""
        return asdict(self)


def check_join(
    connection: DuckDBPyConnection,
    left: str,
    right: str,
    sides: Sides,
    *,
    allowed: bool = False,
    warn: Callable[[str], None] = print,
    guess: Callable[[], str | None] = lambda: None,
    new_are_normal: bool = False,
) -> JoinReport:
    """Compares the ids of two queries, each with the column ``id``.

    Args:
        connection: The database.
        left: Query of the ids that should all be found.
        right: Query of the ids among which they are looked for.
        sides: What they are, for messages.
        allowed: Whether half of them may be missing (``--allow-unmatched``).
        warn: Called with one line where 1 % are missing.
        guess: A further look for the reason, asked where 1 % are missing.
        new_are_normal: Missing ids are odd only where another spelling would match most of them.

    Raises:
        DataError: Half of them or more are missing.
    """
    for name, query in (("join_left", left), ("join_right", right)):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT DISTINCT id FROM ({query}) WHERE id IS NOT NULL"
        )
    # New ids have numbers of their own: that the numbers are known says nothing.
    forms = [form for form in FORMS if not (new_are_normal and form == "digits")]
    report = _compared(connection, sides, forms)
    if report.missing >= WARN_FROM and (further := guess()):
        report.guesses.append(further)
    connection.execute("DROP TABLE join_left; DROP TABLE join_right")
    if report.missing < WARN_FROM or (new_are_normal and 2 * report.gain <= report.left_ids - report.matched):
        return report
    told = "; ".join(filter(None, (str(report), sides.advice)))
    if report.missing >= REFUSE_FROM and not allowed:
        raise DataError(f"{told}; --allow-unmatched goes on without them")
    warn(told)
    return report


def check_lists(
    left: Sequence[str],
    right: Sequence[str],
    sides: Sides,
    *,
    allowed: bool = False,
    warn: Callable[[str], None] = print,
) -> JoinReport:
    """:func:`check_join` of ids in memory."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("left_ids", pa.table({"id": pa.array(left, pa.string())}))
        connection.register("right_ids", pa.table({"id": pa.array(right, pa.string())}))
        queries = ("SELECT id FROM left_ids", "SELECT id FROM right_ids")
        return check_join(connection, *queries, sides, allowed=allowed, warn=warn)


def in_forms(ids: Sequence[str], forms: Sequence[str]) -> list[str]:
    """Ids in other forms, one after the other; see ``id_forms``.

    Raises:
        ConfigError: There is no such form.
    """
    if not forms:
        return list(ids)
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("ids", pa.table({"id": pa.array(ids, pa.string()), "place": range(len(ids))}))
        rows = connection.execute(f"SELECT {form_sql(forms, 'id')} FROM ids ORDER BY place").fetchall()
    return [one for (one,) in rows]


def tell_spellings(
    connection: DuckDBPyConnection, ids: str, what: str, warn: Callable[[str], None], forms: Sequence[str] = ()
) -> None:
    """Warns of ids of one column that seem to be one in several spellings; ``ids`` is a query of ``id``."""
    least = {"unicode": 0.0, "point-zero": 0.0, "case": 0.01, "zeros": 0.1}
    for name in (name for name in least if name not in forms):
        one = form_sql([name], "id")
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE spellings AS SELECT {one} AS one, min(id) AS a, max(id) AS b, "
            f"count(*) AS n "
            f"FROM (SELECT DISTINCT id FROM ({ids}) WHERE id IS NOT NULL) GROUP BY one"
        )
        total, fewer = numbers(connection, "coalesce(sum(n), 0), coalesce(sum(n - 1), 0) FROM spellings")
        if fewer and fewer >= least[name] * total:
            row = connection.execute("SELECT a, b FROM spellings WHERE n > 1 ORDER BY a LIMIT 1").fetchone()
            a, b = row or ("", "")
            warn(
                f"{what}: {fewer:,} of {total:,} ids may be others in another spelling ({FORMS[name][1]}), such "
                f"as {a!r} "
                f"and {b!r}; --id-form {name} makes them one"
            )
    connection.execute("DROP TABLE IF EXISTS spellings")


def joins_of(created_by: Mapping[str, Any]) -> list[str]:
    """A line for every join that ``domain.json`` remembers."""
    known = created_by.get("joins")
    reports = known if isinstance(known, list) else []
    return [
        "{left_ids} {ids} of {left}: {matched} in {right}, which has {right_ids}".format(**report)
        + (f"; --id-form {report['id_form']} would match {report['gain']} more" if report.get("id_form") else "")
        for report in reports
        if isinstance(report, dict)
        and {"left_ids", "ids", "left", "matched", "right", "right_ids"} <= report.keys()
    ]


def _compared(connection: DuckDBPyConnection, sides: Sides, known: Sequence[str]) -> JoinReport:
    missing = "FROM join_left WHERE id NOT IN (SELECT id FROM join_right)"
    unused = "FROM join_right WHERE id NOT IN (SELECT id FROM join_left)"
    left, right = numbers(connection, "(SELECT count(*) FROM join_left), (SELECT count(*) FROM join_right)")
    (lost,) = numbers(connection, f"count(*) {missing}")
    matching = JoinReport(sides.ids, sides.left, sides.right, left, right, left - lost)
    if not lost:
        return matching
    few, others = (
        [row[0] for row in connection.execute(f"SELECT id {what} ORDER BY id LIMIT {_EXAMPLES}").fetchall()]
        for what in (missing, unused)
    )
    forms, gain = _best_forms(connection, lost, known)
    guesses = []
    if forms:
        merged = _merged(connection, forms)
        reasons = " and ".join(FORMS[form][1] for form in forms)
        note = f", which makes {merged:,} ids one with others" if merged else ""
        guesses.append(f"{reasons}? --id-form {','.join(forms)} would match {gain:,} more{note}")
    elif (shapes := _shapes(connection)) is not None:
        guesses.append(shapes)
    return replace(matching, unmatched=few, unused=others, guesses=guesses, id_form=",".join(forms), gain=gain)


def _best_forms(connection: DuckDBPyConnection, lost: int, known: Sequence[str]) -> tuple[list[str], int]:
    """The form that matches most of the missing ids, and a second one if it adds to it; how many they match."""
    chosen: list[str] = []
    best = 0
    for _ in range(2):
        gains = {form: _gain(connection, [*chosen, form]) for form in known if form not in chosen}
        form = max(gains, key=lambda name: gains[name])
        if gains[form] <= best or (gains[form] < 0.01 * lost):
            break
        chosen, best = [*chosen, form], gains[form]
        if best == lost:
            break
    return chosen, best


def _gain(connection: DuckDBPyConnection, forms: Sequence[str]) -> int:
    one = form_sql(forms, "id")
    (gain,) = numbers(
        connection,
        f"count(*) FROM join_left WHERE id NOT IN (SELECT id FROM join_right) "
        f"AND {one} IN (SELECT {one} FROM join_right)",
    )
    return gain


def _merged(connection: DuckDBPyConnection, forms: Sequence[str]) -> int:
    """How many ids of either side a form makes equal to others of that side."""
    one = form_sql(forms, "id")
    return sum(
        numbers(connection, f"count(*) - count(DISTINCT {one}) FROM {side}")[0]
        for side in ("join_left", "join_right")
    )


def _shapes(connection: DuckDBPyConnection) -> str | None:
    """A guess where most ids of the two sides are of other kinds."""
    kinds = []
    for side in ("join_left", "join_right"):
        kind = (
            "CASE WHEN id SIMILAR TO '[0-9]+' THEN 'numbers' WHEN id SIMILAR TO '(B0[0-9A-Z]{8}|[0-9]{9}[0-9X])' "
            "THEN 'ASINs' WHEN id SIMILAR TO '[0-9a-fA-F-]{32,36}' THEN 'UUIDs' WHEN id SIMILAR TO '[^ ]+' "
            "THEN 'words of ' || length(id) || ' letters' ELSE 'several words' END"
        )
        row = connection.execute(
            f"SELECT kind, count(*) AS n, sum(n) OVER () FROM (SELECT {kind} AS kind FROM {side}) GROUP BY kind "
            "ORDER BY n DESC LIMIT 1"
        ).fetchone()
        kinds.append(row[0] if row is not None and row[1] * 2 > row[2] else "")
    if all(kinds) and kinds[0] != kinds[1]:
        return f"{kinds[0]} against {kinds[1]}: another column, another edition, or another data set?"
    return None


def _listed(examples: Sequence[str]) -> str:
    return ", ".join(repr(one if len(one) <= _SHOWN else one[:_SHOWN] + "...") for one in examples)
