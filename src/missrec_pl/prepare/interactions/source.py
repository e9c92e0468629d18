"""What a reader makes of a raw data set: SQL of its interactions and items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import NOTHING
from missrec_pl.prepare.tables.sql import column, quoted
from missrec_pl.prepare.tables.table import Table
from missrec_pl.system.lookup import near_names

# White space of all kinds, and letters that cannot be seen, around an id.
_AROUND = r"[\s\x{00a0}\x{2000}-\x{200f}\x{2028}-\x{202f}\x{2060}\x{3000}\x{feff}\x{0000}-\x{001f}]"


@dataclass(frozen=True)
class Source:
    """What a reader makes of a raw data set.

    Attributes:
        interactions: ``SELECT`` with the columns ``user`` and ``item`` (text, NULL where there is none), ``time``
            (as it is written) and ``rating`` (text).
        items: ``SELECT`` with ``item``, ``fields`` (a JSON list of cells: title, categories, brand) and
            ``pictures`` (a cell as JSON); None if nothing is known of the items.
        attributes: Which of the fields lists attributes, such as categories; None: none does.
        log: The file of interactions.
        metadata: The file of items.
        time: The column of times, as the file calls it.
        rating: The column of ratings; None: there is none.
        usual_unit: The unit of times that are too small to tell it.
        rows: Rows of interactions that the file has; None: not known.
        item_rows: The same, of items.
        other_ids: Columns of the metadata that might hold the ids instead: queries with the column ``id``.
    """

    interactions: str
    items: str | None
    attributes: int | None = None
    log: Path = Path()
    metadata: Path = Path()
    time: str = "time"
    rating: str | None = None
    usual_unit: str = "s"
    rows: int | None = None
    item_rows: int | None = None
    other_ids: Mapping[str, str] = field(default_factory=dict)


def pick(names: Sequence[str], choices: Sequence[str], path: Path, flag: str | None = None) -> str:
    """The first of ``choices`` that is a column.

    Raises:
        DataError: None is; names the columns that are there, and the flag that chooses another.
    """
    found = next((choice for choice in choices if choice in names), None)
    if found is None:
        advice = f"; choose one with {flag}" if flag else ""
        raise DataError(f"{path}: no column {choices[0]!r}; {near_names(choices[0], list(names))}{advice}")
    return found


def id_sql(text: str, nothing: Sequence[str] = NOTHING) -> str:
    """SQL of an id from SQL of a text: without white space around it; NULL for words for nothing, too.

    A spreadsheet's ``="0042"`` is 0042.
    """
    inner = (
        f"CASE WHEN starts_with({text}, '=\"') THEN regexp_replace({text}, '^=\"(.*)\"$', '\\1') ELSE {text} END"
    )
    trimmed = f"regexp_replace({inner}, '^{_AROUND}+|{_AROUND}+$', '', 'g')"
    words = ", ".join(quoted(word) for word in ("", *nothing))
    return f"CASE WHEN {trimmed} NOT IN ({words}) THEN {trimmed} END"


def selected(
    table: Table, *, user: str, item: str, time: str, rating: str | None = None, nothing: Sequence[str] = NOTHING
) -> str:
    """The ``SELECT`` of interactions, from the names of its columns."""
    moment = table.text(time) if table.types[time] in ("JSON", "VARCHAR") else column(time)
    return (
        f'SELECT {id_sql(table.id_text(user), nothing)} AS "user", '
        f"{id_sql(table.id_text(item), nothing)} AS item, "
        f"{moment} AS time, {'NULL::VARCHAR' if rating is None else table.text(rating)} AS rating "
        f"FROM {table.relation}"
    )


def described(
    table: Table, item: str, fields: Sequence[str], pictures: str = "NULL", nothing: Sequence[str] = NOTHING
) -> str:
    """The ``SELECT`` of items, from SQL of its columns: the id as text, the others as they are."""
    parts = ", ".join(f"coalesce(to_json({field}), 'null'::JSON)" for field in fields)
    return (
        f"SELECT {id_sql(item, nothing)} AS item, CAST(json_array({parts}) AS VARCHAR) AS fields, "
        f"CAST(to_json({pictures}) AS VARCHAR) AS pictures FROM {table.relation}"
    )
