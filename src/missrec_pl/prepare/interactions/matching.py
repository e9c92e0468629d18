"""Whether the ids of interactions are those of the metadata, and each is written in one way."""

from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.id_forms import form_sql
from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_join, tell_spellings
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import numbers


def check_ids(files: RawFiles, source: Source) -> list[JoinReport]:
    """Checks the tables ``raw`` and ``metadata``; warns of what is odd.

    Returns:
        How items and metadata match; nothing where there are no metadata.

    Raises:
        DataError: Half of the items or more have no metadata, and ``--allow-unmatched`` is not given.
    """
    connection, choices = files.connection, files.choices
    known = "SELECT item AS id FROM metadata"
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

    sides = Sides("items", source.log.name, source.metadata.name)
    left = "SELECT item AS id FROM raw"
    report = check_join(
        connection, left, known, sides, allowed=choices.allow_unmatched, warn=files.warn, guess=guess
    )
    files.say(f"{source.metadata.name}: {report.matched:,} of {report.left_ids:,} items described")
    return [report]
