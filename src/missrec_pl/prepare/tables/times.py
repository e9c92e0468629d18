"""A column of times as milliseconds since 1970: the unit or form is told by the whole column, or refused.

Numbers of seconds, milliseconds, microseconds and nanoseconds since 1970 lie a factor of thousand apart, so any
one from 1979 to 2103 says its unit by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.cells import number_sql
from missrec_pl.prepare.tables.moments import form_of
from missrec_pl.prepare.tables.sql import numbers, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNITS: Mapping[str, float] = {"s": 1000, "ms": 1, "us": 1e-3, "ns": 1e-6, "d": 86_400_000, "excel": 86_400_000}
"""Milliseconds of a unit, by the word that ``--time-unit`` takes; ``excel``: days as spreadsheets count them."""
_WORDS = {
    **{"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "d": "days"},
    "excel": "days of a spreadsheet",
}
_EXCEL_EPOCH = 25_569  # 1970-01-01 in a spreadsheet's days
_EXCEL_FIRST, _EXCEL_LAST = 32_874, 54_789  # 1990 and 2050: as seconds they would all be of one morning in 1970
_FIRST, _LAST = 3e8, 4.2e9  # 1979 and 2103 in seconds
_WINDOWS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
# What programs write for "no time": the last moment of 32 bits, all nines, the end of the year 9999; beside 0 and
# -1.
_FILLERS = (2147483647, 4294967295, 9999999999, 253402300799, 253402214400)
_FILLER_DAYS = ("0001-01-01", "1900-01-01", "1899-12-30", "1970-01-01", "9999-12-31")
_YEAR_MS = 31_557_600_000


@dataclass(frozen=True)
class TimeChoice:
    """What the user says of times: ``--time-unit`` of plain numbers, ``--time-format`` of texts (strptime's)."""

    unit: str | None = None
    form: str | None = None


@dataclass(frozen=True)
class TimeColumn:
    """A column of times in a table of the working database.

    Attributes:
        table: The table.
        column: SQL of its column.
        where: File and column, for messages.
        usual: The unit of numbers that are too small to tell it.
        choice: What the user says.
    """

    table: str
    column: str
    where: str
    usual: str = "s"
    choice: TimeChoice = TimeChoice()

    def milliseconds(
        self, connection: DuckDBPyConnection, say: Callable[[str], None], warn: Callable[[str], None]
    ) -> tuple[str, str]:
        """SQL for whole milliseconds since 1970, and SQL that makes NULL of such ``ms`` that stand for no time.

        Raises:
            DataError: Units or forms are mixed, or single precision has lost the order.
        """
        described = connection.execute(f"SELECT typeof({self.column}) FROM {self.table} LIMIT 1").fetchone()
        kind = described[0] if described else "VARCHAR"
        if kind == "DATE" or kind.startswith("TIMESTAMP"):
            zoned = "CAST({0} AS TIMESTAMPTZ)" if kind.endswith(("TZ", "TZ_NS", "ZONE")) else "{0}"
            told, sql = kind.lower(), f"epoch_ms(CAST({zoned.format(self.column)} AS TIMESTAMP))"
        elif self.choice.form is not None:
            text = f"trim(CAST({self.column} AS VARCHAR))"
            moment = f"TRY_CAST(try_strptime({text}, {quoted(self.choice.form)}) AS TIMESTAMP)"
            told, sql = f"as {self.choice.form}", f"epoch_ms({moment})"
        else:
            if kind == "FLOAT":
                self._refuse_single_precision(connection)
            told, sql = self._of_texts(connection, warn)
        kept = self._kept(connection, sql)
        span = connection.execute(
            "SELECT CAST(epoch_ms(min(ms)) AS VARCHAR), CAST(epoch_ms(max(ms)) AS VARCHAR), min(ms), max(ms) "
            f"FROM (SELECT {kept} AS ms FROM (SELECT {sql} AS ms FROM {self.table}))"
        ).fetchone()
        if span is not None and span[2] is not None:
            say(f"{self.where}: {told}, {span[0]} to {span[1]}")
            if span[3] > _LAST * 1000 or span[2] < -_FIRST * 1000:
                warn(f"{self.where}: {told} makes times from {span[0]} to {span[1]}; --time-unit is another?")
        return sql, kept

    def _refuse_single_precision(self, connection: DuckDBPyConnection) -> None:
        (large,) = numbers(connection, f"count(*) FILTER (abs({self.column}) > 16777216) FROM {self.table}")
        if large:
            raise DataError(
                f"{self.where}: numbers of single precision (float32), which keep 7 digits, so that {large:,} "
                f"times are "
                "rounded to minutes or more and their order is lost; write the column as int64 or float64 "
                "again, from "
                "where it was exact"
            )

    def _of_texts(self, connection: DuckDBPyConnection, warn: Callable[[str], None]) -> tuple[str, str]:
        """Numbers and moments: what they are, and their SQL."""
        text = f"trim(CAST({self.column} AS VARCHAR))"
        number = number_sql(text)
        (count,) = numbers(connection, f"count({number}) FROM {self.table}")
        (others,) = numbers(connection, f"count(*) FILTER ({text} <> '' AND {number} IS NULL) FROM {self.table}")
        told, sql = [], []
        if count:
            name, of_numbers = self._of_numbers(connection, text, number, warn)
            told.append(name)
            sql.append(f"CASE WHEN {number} IS NOT NULL THEN {of_numbers} END")
        if others:
            filtered = f"(SELECT {text} AS cell FROM {self.table} WHERE {text} <> '' AND {number} IS NULL)"
            name, of_moments = form_of(connection, filtered, self.where, warn)
            if name:
                told.append(name)
                sql.append(f"CASE WHEN {number} IS NULL THEN {of_moments.format(text)} END")
        if len(told) > 1:
            warn(f"{self.where}: {count:,} numbers and {others:,} texts ({', '.join(told)}); is it one log?")
        return " and ".join(told) or "no times", f"coalesce({', '.join([*sql, 'NULL::BIGINT'])})"

    def _of_numbers(
        self, connection: DuckDBPyConnection, text: str, number: str, warn: Callable[[str], None]
    ) -> tuple[str, str]:
        """The unit of plain numbers, and their SQL."""
        unit = self.choice.unit
        compact = self._compact(connection, text, number) if unit is None else None
        if compact is not None:
            return compact
        if unit is None:
            unit = self._unit(connection, number)
        self._check_digits(connection, text, number, unit, warn)
        if unit == "excel":  # to the second: fractions of a day are rounded ones
            return _WORDS[unit], f"CAST(round(({number} - {_EXCEL_EPOCH}) * 86400) AS BIGINT) * 1000"
        factor = UNITS[unit]
        # Whole numbers by HUGEINT, for a double would round large ones. Others by floor, for a CAST rounds up.
        exact = f"TRY_CAST(TRY_CAST({text} AS BIGINT) AS HUGEINT)"
        scaled = f"{exact} * {int(factor)}" if factor >= 1 else f"({exact} // {round(1 / factor)})"
        whole = f"TRY_CAST({scaled} AS BIGINT)"
        rough = f"TRY_CAST(floor({number} * {factor!r}) AS BIGINT)"
        return _WORDS[unit], f"CASE WHEN {text} SIMILAR TO '[+-]?[0-9]+' THEN {whole} ELSE {rough} END"

    def _compact(self, connection: DuckDBPyConnection, text: str, number: str) -> tuple[str, str] | None:
        """Days and moments written as one number, such as 20201231."""
        day = "(19[7-9][0-9]|20[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
        for clock, form in (("", "%Y%m%d"), ("([01][0-9]|2[0-3])([0-5][0-9]){2}", "%Y%m%d%H%M%S")):
            shape = f"{text} SIMILAR TO '{day}{clock}'"
            counted = f"count({number}), count(*) FILTER ({shape}) FROM {self.table}"
            count, fitting = numbers(connection, counted)
            if count == fitting:
                moment = f"TRY_CAST(try_strptime({text}, '{form}') AS TIMESTAMP)"
                return f"numbers as {form}", f"epoch_ms({moment})"
        return None

    def _unit(self, connection: DuckDBPyConnection, number: str) -> str:
        """The unit whose window holds the numbers; the usual one where none does.

        Raises:
            DataError: Several do.
        """
        fillers = ", ".join(map(str, _FILLERS))
        counted = ", ".join(
            f"count(*) FILTER (n BETWEEN {_FIRST * size!r} AND {_LAST * size!r})" for size in _WINDOWS.values()
        )
        known = f"(SELECT {number} AS n FROM {self.table}) WHERE n NOT IN ({fillers})"
        found = dict(zip(_WINDOWS, numbers(connection, f"{counted} FROM {known}"), strict=True))
        units = [unit for unit, count in found.items() if count]
        if len(units) > 1:
            shown = []
            for unit in units:
                within = f"BETWEEN {_FIRST * _WINDOWS[unit]!r} AND {_LAST * _WINDOWS[unit]!r}"
                example = connection.execute(
                    f"SELECT min(CAST({self.column} AS VARCHAR)) FROM {self.table} WHERE {number} {within}"
                ).fetchone()
                shown.append(f"{found[unit]:,} can only be {_WORDS[unit]}, such as {(example or ('',))[0]}")
            raise DataError(f"{self.where}: times in mixed units: {' and '.join(shown)}; write them in one unit")
        return units[0] if units else self._small_unit(connection, f"(SELECT {number} AS n FROM {self.table})")

    def _small_unit(self, connection: DuckDBPyConnection, known: str) -> str:
        """The unit of numbers that are too small for any window.

        Raises:
            DataError: They may be a spreadsheet's whole days.
        """
        within = f"n BETWEEN {_EXCEL_FIRST} AND {_EXCEL_LAST}"
        count, days, parts = numbers(
            connection, f"count(n), count(*) FILTER ({within}), count(*) FILTER (n <> floor(n)) FROM {known}"
        )
        if self.usual != "s" or not count or days < count:
            return self.usual
        if not parts:
            raise DataError(
                f"{self.where}: {count:,} numbers from {_EXCEL_FIRST:,} to {_EXCEL_LAST:,}, which are days of a "
                "spreadsheet or seconds of one morning in 1970; --time-unit excel or --time-unit s says it"
            )
        return "excel"

    def _check_digits(
        self, connection: DuckDBPyConnection, text: str, number: str, unit: str, warn: Callable[[str], None]
    ) -> None:
        """Warns of numbers that were rounded before they came here."""
        mantissa = f"length(replace(split_part(lower({text}), 'e', 1), '.', ''))"
        power = f"TRY_CAST(split_part(lower({text}), 'e', 2) AS INTEGER)"
        short = f"{power} BETWEEN 8 AND 15 AND {mantissa} < {power} + 1"
        count, rounded = numbers(connection, f"count({number}), count(*) FILTER ({short}) FROM {self.table}")
        if rounded * 2 > count:
            raise DataError(
                f"{self.where}: {rounded:,} times are rounded, such as those written like 1.60946e+09: digits, "
                f"and "
                "with them the order, are lost; write whole numbers again, from where they were exact"
            )
        if unit not in _WINDOWS:
            return
        size = _WINDOWS[unit]
        second, step = f"{number} / {size!r}", 2.0 ** (int(_FIRST * size).bit_length() - 24)
        plausible = f"{number} > {_FIRST * size!r}"
        counts = (
            f"count(DISTINCT {number}) FILTER ({plausible}), count(*) FILTER ({plausible} AND {number} % "
            f"{step!r} <> 0), "
            f"count(*) FILTER ({plausible} AND {second} % 60 <> 0), "
            f"count(*) FILTER ({plausible} AND {second} % 128 <> 0) FROM {self.table}"
        )
        distinct, uneven, no_minutes, uneven_seconds = numbers(connection, counts)
        if distinct >= 5 and no_minutes and not (uneven and uneven_seconds):
            warn(
                f"{self.where}: all times are multiples of {128 if not uneven_seconds else step / size:g} s, as "
                "numbers of single precision (float32) are; their order within is lost: take them from where "
                "they were "
                "exact"
            )

    def _kept(self, connection: DuckDBPyConnection, sql: str) -> str:
        """SQL of ``ms`` with NULL for moments that stand for no time, where the other times lie far from them."""
        days = ", ".join(f"epoch_ms(TIMESTAMP '{day}')" for day in _FILLER_DAYS)
        ends = ", ".join(str(number * 1000) for number in _FILLERS)
        is_filler = f"ms // 1000 * 1000 IN (0, -1000, {days}, {ends}) OR ms = -1 OR ms // 1000 IN ({ends})"
        found = connection.execute(
            f"SELECT count(*) FILTER ({is_filler}), median(ms) FILTER (NOT ({is_filler})), "
            f"count(*) FILTER (ms > 0 AND ms < {_FIRST * 1000}) FROM (SELECT {sql} AS ms FROM {self.table})"
        ).fetchone()
        fillers, middle, early = found or (0, None, 0)
        if middle is None or middle < _FIRST * 1000 or not (fillers or early):
            return "ms"
        far = f"abs(ms - {int(middle)}) > {_YEAR_MS}"
        return f"CASE WHEN NOT ((({is_filler}) AND {far}) OR ms BETWEEN -1000 AND {_FIRST * 1000}) THEN ms END"
