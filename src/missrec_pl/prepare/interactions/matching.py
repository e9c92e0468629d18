"""Whether the ids of interactions are those of the metadata, and each is written in one way."""

from pathlib import Path

from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.id_forms import form_sql
from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_join, tell_spellings
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers


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
    spellings = (("user", "SELECT user AS id FROM raw"), ("item", f"SELECT item AS id FROM raw EXCEPT ({known})"))
    for name, ids in spellings:
        tell_spellings(connection, ids, f"{source.log}: {name}s", files.warn, choices.id_form)
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
