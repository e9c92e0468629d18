"""Attributes of items, such as categories: values of all domains under one numbering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from missrec_pl.data.domain.folder import Domain

FIELD = "attributes"
"""Name of the one field, after the column of ``items.parquet``."""


def attribute_values(domains: Sequence[Domain]) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The attribute values of all items, and how many values each field has.

    A value that two domains have is one value. Values are numbered from 1 in the order of their texts; empty texts
    are none.

    Args:
        domains: the domains, in the order of the global ids.

    Returns:
        ``[N + 1, V]`` value numbers, ascending and then 0, and the number of values; empty where no domain has the
        column.

    Raises:
        DataError: a column is damaged.
    """
    import pyarrow.compute as pc  # slow to import, and serving does without

    lists = [domain.attributes() for domain in domains]
    if all(one is None for one in lists):
        return {}, {}
    texts, owners, first = [], [], 1
    for domain, one in zip(domains, lists, strict=True):
        if one is not None:
            counts = pc.fill_null(pc.list_value_length(one), 0).to_numpy(zero_copy_only=False)
            texts.append(one.flatten())
            owners.append(np.repeat(np.arange(first, first + domain.num_items), counts))
        first += domain.num_items
    text, owner = pa.concat_arrays(texts), np.concatenate(owners)
    is_value = pc.fill_null(pc.not_equal(text, ""), False)
    text, owner = text.filter(is_value), owner[is_value.to_numpy(zero_copy_only=False)]
    known = pc.unique(text)
    known = known.take(pc.sort_indices(known))
    number = pc.index_in(text, value_set=known).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return {FIELD: torch.from_numpy(_rows(owner, number, first, len(known)))}, {FIELD: len(known)}


def _rows(owner: np.ndarray, number: np.ndarray, num_rows: int, num_values: int) -> np.ndarray:
    """``[num_rows, V]`` the distinct numbers of each owner, ascending, then 0."""
    pairs = np.unique(owner * (num_values + 1) + number)
    owner, number = np.divmod(pairs, num_values + 1)
    count = np.bincount(owner, minlength=num_rows)
    place = np.arange(len(owner)) - (np.cumsum(count) - count)[owner]
    rows = np.zeros((num_rows, max(1, int(count.max(initial=0)))), np.int64)
    rows[owner, place] = number
    return rows
