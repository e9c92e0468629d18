"""What has to hold of the parts of a domain folder before it is written."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow.compute as pc

from missrec_pl.data.domain.files import Strings, UserBlock, as_strings
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

_DTYPES = ("float32", "float16")


def check_features(names: list[str], dtype: str, target: Path) -> None:
    """Refuses names that cannot be files, or are taken, and types that are not stored.

    Raises:
        DataError: Names the target, what was found and what to change.
    """
    if dtype not in _DTYPES:
        raise DataError(f"features are stored as float32 or float16, not {dtype!r}")
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise DataError(f"{target}: modality name {name!r}; use lower-case letters, digits and _")
    if len(set(names)) != len(names):
        raise DataError(f"{target}: a view has the name of a modality; give it another")


def check_items(raw_item_ids: Strings, texts: Strings, images: Sequence[str | None] | None, target: Path) -> None:
    """Refuses columns of different lengths, no items, and ids that occur twice.

    Raises:
        DataError: Names the target, what was found and what to change.
    """
    if not len(raw_item_ids):
        raise DataError(f"{target}: a domain needs at least one item")
    for what, found in (("texts", texts), ("image paths", images)):
        if found is not None and len(found) != len(raw_item_ids):
            raise DataError(f"{target}: {len(found)} {what} for {len(raw_item_ids)} items")
    _check_unique(raw_item_ids, "item", target)


def check_users(raw_user_ids: Strings, sequences: Sequences, num_items: int, target: Path) -> None:
    """Refuses sequences that do not fit their ids or the catalogue, and ids that occur twice.

    Raises:
        DataError: Names the target, what was found and what to change.
    """
    if len(raw_user_ids) != sequences.num_users:
        raise DataError(f"{target}: {len(raw_user_ids)} raw user ids for {sequences.num_users} sequences")
    _check_unique(raw_user_ids, "user", target)
    sequences.check(num_items, target)


def checked(users: Iterable[UserBlock], num_items: int, target: Path) -> Iterator[UserBlock]:
    """The same blocks, each checked as it passes.

    Raises:
        DataError: Names the target, what was found and what to change.
    """
    for block in users:
        check_users(block.raw_user_ids, block.sequences, num_items, target)
        yield block


def _check_unique(ids: Strings, what: str, target: Path) -> None:
    counts = pc.value_counts(as_strings(ids))
    if len(counts) != len(ids):
        twice = counts.field("values")[pc.index(pc.greater(counts.field("counts"), 1), True).as_py()]
        raise DataError(f"{target}: raw {what} id {twice.as_py()!r} occurs twice; ids have to be unique")
