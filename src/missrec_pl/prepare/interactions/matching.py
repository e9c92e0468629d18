"""Whether the ids of interactions are those of the metadata, and each is written in one way."""

from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.id_forms import form_sql
from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_join, tell_spellings
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers, quoted

_NO_IDS = {  # shapes, and what they are
    "[+-]?[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}": "numbers such as {0}, as spreadsheets and floats print them: they "
    "have lost digits, so that several ids may be one now; take them as text from where they are whole",
    r"(?s)[\[{].*[\]}]": "lists or objects such as {0}; write the id as a column of its own",
}


def check_ids(files: RawFiles, source: Source, grown: Path | None = None) -> list[JoinReport]:
    """Checks the tables ``raw`` and ``metadata``; warns of what is odd.

    Args:
        files: With the database.
        source: What is read.
        grown: The domain folder that the source joins; its items, in ``known_items``, are described already.

    Returns:
        How items and metadata match; nothing where there are no metadata.

    Raises:
        DataError: Half of the items or more have no metadata, and ``--allow-unmatched`` is not given.
    """
    connection, choices = files.connection, files.choices
    known, described = "SELECT item AS id FROM metadata", source.metadata.name
    if grown is not None:
        known, described = f"{known} UNION SELECT raw_id FROM known_items", f"{described} and {grown.name}"
    for name, left_out in (("user", ""), ("item", f"EXCEPT ({known})")):
        what = f"{source.log}: {name}s"
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE distinct_ids AS SELECT DISTINCT {name} AS id FROM raw "
            f"WHERE {name} IS NOT NULL"
        )
        _check_shapes(files, what)
        tell_spellings(connection, f"SELECT id FROM distinct_ids {left_out}", what, files.warn, choices.id_form)
    connection.execute("DROP TABLE distinct_ids")
    if source.items is None:
        return []

    def guess() -> str | None:
        """Whether users, or another column, match better."""
        (items,) = numbers(connection, "count(*) FROM join_left WHERE id IN (SELECT id FROM join_right)")
        users = "(SELECT DISTINCT user AS id FROM raw)"
        (swapped,) = numbers(connection, f"count(*) FROM {users} WHERE id IN (SELECT id FROM join_right)")
        if swapped > 2 * items:
            return f"{swapped:,} users are found there: --user and --item swapped?"
        for column, ids in source.other_ids.items():
            ids = f"SELECT {form_sql(choices.id_form, 'id')} AS id FROM ({ids})"
            (other,) = numbers(connection, f"count(*) FROM join_left WHERE id IN ({ids})")
            if other > 2 * items:
                return f"{other:,} are found in its column {column!r}: --item-id {column}?"
        return None

    sides = Sides("items", source.log.name, described)
    left = "SELECT item AS id FROM raw"
    report = check_join(
        connection, left, known, sides, allowed=choices.allow_unmatched, warn=files.warn, guess=guess
    )
    files.say(f"{described}: {report.matched:,} of {report.left_ids:,} items described")
    return [report]


def _check_shapes(files: RawFiles, what: str) -> None:
    """Warns of ids in ``distinct_ids`` that are no ids; raises DataError where half of them or more are none."""
    for shape, told in _NO_IDS.items():
        matching = f"regexp_full_match(id, {quoted(shape)})"
        counted = f"count(*), count(*) FILTER ({matching}) FROM distinct_ids"
        total, odd = numbers(files.connection, counted)
        if not odd:
            continue
        (example,) = files.connection.execute(
            f"SELECT id FROM distinct_ids WHERE {matching} ORDER BY id LIMIT 1"
        ).fetchall()[0]
        line = f"{what}: {odd:,} of {total:,} ids are {told.format(repr(example[:60]))}"
        if 2 * odd >= total:
            raise DataError(line)
        files.warn(line)


def check_growth(files: RawFiles, source: Source, path: Path) -> list[JoinReport]:
    """Checks users and items against those of the domain folder ``path``, where new ones are normal.

    Returns:
        How they match.

    Raises:
        DataError: Most seem to be known ones in another spelling, and ``--allow-unmatched`` is not given.
    """
    return [
        check_join(
            files.connection,
            f"SELECT {name} AS id FROM raw",
            f"SELECT raw_id AS id FROM known_{name}s",
            Sides(f"{name}s", source.log.name, path.name, "new ones would join as others"),
            allowed=files.choices.allow_unmatched,
            warn=files.warn,
            new_are_normal=True,
        )
        for name in ("user", "item")
    ]
