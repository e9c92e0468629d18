"""Moments written as texts: ISO 8601 with and without a zone, and the forms that shops and programs write."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.sql import numbers, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DAYS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y:%m:%d", "%Y%m%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%y-%m-%d", "%d-%m-%y", "%m-%d-%y", "%y.%m.%d"),
    *(
        "%b %d, %Y",
        "%d %b %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%B %d, %Y",
        "%d %B %Y",
        "%m %d, %Y",
        "%b %d %Y",
        "%d/%b/%Y",
    ),
)
_CLOCKS = (
    *(
        "",
        " %H:%M",
        " %H:%M:%S",
        " %H:%M:%S.%f",
        " %I:%M %p",
        " %I:%M:%S %p",
        "T%H:%M:%S",
        "T%H:%M",
        ":%H:%M:%S %z",
    ),
    *(", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p", " %H:%M:%S %z", " %H.%M"),
)
_WHOLE = (
    *("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z"),
    *(
        "%a %b %d %H:%M:%S %Z %Y",
        "%Y-%m-%d-%H.%M.%S",
        "%Y-%m-%d %H.%M.%S",
        "%Y-%m-%d %I:%M:%S %p",
        "%Y-%m-%d %I:%M %p",
    ),
)
FORMS = (*(day + clock for day, clock in itertools.product(_DAYS, _CLOCKS)), *_WHOLE)
"""Forms that are tried, as strptime's."""
_ISO = "'[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T][0-9].*)?'"
_ZONE = "'.*[0-9] ?(Z|z|UTC|GMT|[A-Z][a-z]+/[A-Za-z_]+|[+-][0-9]{2}:?([0-9]{2})?)'"
_SAMPLE = 500
# ISO as DuckDB casts it: fractions behind a point, the zone without a space before it.
_CAST = (
    "epoch_ms(TRY_CAST(TRY_CAST(regexp_replace(replace({0}, ',', '.'), ' +([+-][0-9])', '\\1') AS TIMESTAMPTZ) "
    "AS TIMESTAMP))"
)


def form_of(
    connection: DuckDBPyConnection, cells: str, where: str, warn: Callable[[str], None]
) -> tuple[str, str]:
    """What texts are, and SQL of their milliseconds with ``{0}`` for the text; ``""`` where none can be read.

    Args:
        connection: The database.
        cells: A query with the column ``cell``.
        where: File and column, for messages.
        warn: Called with what is odd.

    Raises:
        DataError: Several forms fit and say different days, or no form fits all.
    """
    is_iso = f"cell SIMILAR TO {_ISO}"
    clocks = f"{is_iso} AND length(cell) > 10"
    zone = f"cell SIMILAR TO {_ZONE}"
    counted = f"count(*) FILTER ({is_iso}), count(*) FILTER ({clocks} AND {zone}), "
    iso, zoned, bare = numbers(connection, f"{counted} count(*) FILTER ({clocks} AND NOT {zone}) FROM {cells}")
    if zoned and bare:
        warn(
            f"{where}: {zoned:,} times say their zone and {bare:,} do not, which count as UTC; the order is "
            f"wrong by hours "
            "if they are local times"
        )
    is_absent = "lower(cell) IN ('null', 'nan', 'none', 'n/a', 'na', 'nat', '<na>', '\\n', '#n/a', '(null)')"
    texts = f"(SELECT DISTINCT cell FROM {cells} WHERE NOT ({is_iso}) AND NOT {is_absent})"
    form = _form(connection, texts, where)
    told = ["dates or moments"] if iso else []
    sql = (
        [f"CASE WHEN {{0}} SIMILAR TO {_ISO.replace('{', '{{').replace('}', '}}')} THEN {_CAST} END"]
        if iso
        else []
    )
    if form is not None:
        told.append(f"dates as {form}")
        sql.append(_parsed("{0}", form))
    return " and ".join(told), f"coalesce({', '.join(sql)})" if sql else ""


def _form(connection: DuckDBPyConnection, texts: str, where: str) -> str | None:
    """The one form that reads all texts which any form reads; None: there are none."""
    if not numbers(connection, f"count(*) FROM {texts}")[0]:
        return None
    sample = f"(SELECT cell FROM {texts} LIMIT {_SAMPLE})"
    counts = ", ".join(f"count({_parsed('cell', form)})" for form in FORMS)
    hits = dict(zip(FORMS, numbers(connection, f"{counts} FROM {sample}"), strict=True))
    known = [form for form, hit in hits.items() if hit]
    if not known:
        return None
    any_form = ", ".join(_parsed("cell", form) for form in known)
    readable = f"(SELECT cell FROM {texts} WHERE coalesce({any_form}, NULL) IS NOT NULL)"
    counts = ", ".join(f"count({_parsed('cell', form)}), count(*)" for form in known)
    found = numbers(connection, f"{counts} FROM {readable}")
    whole = [form for form, hit, total in zip(known, found[::2], found[1::2], strict=True) if hit == total]
    differing = {}
    for form in reversed(whole):
        moment = _parsed("cell", form)
        differing[tuple(numbers(connection, f"sum({moment} // 1000), min({moment}) FROM {readable}"))] = form
    if len(differing) == 1:
        return next(iter(differing.values()))
    example = connection.execute(f"SELECT min(cell) FROM {readable}").fetchone()
    shown = f"such as {(example or ('',))[0]!r}"
    if not whole:
        raise DataError(f"{where}: dates in several forms, {shown} ({', '.join(known[:3])}); write them in one")
    listed = " or ".join(sorted(differing.values(), key=whole.index)[:3])
    raise DataError(
        f"{where}: dates that can be read in several ways, {shown}: day, month and year as {listed}? "
        "--time-format decides"
    )


def _parsed(text: str, form: str) -> str:
    moment = f"TRY_CAST(try_strptime({text}, {quoted(form)}) AS TIMESTAMP)"
    return f"CASE WHEN year({moment}) >= 1900 THEN epoch_ms({moment}) END"
