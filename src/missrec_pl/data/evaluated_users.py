"""Who was evaluated, for what is computed after a run: groups of users, paired tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.redundancy import redundancy
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.system.files import whole_file


def write_ranks(file: Path, users: pa.Table, ranks: Mapping[str, NDArray[np.float32]]) -> None:
    """Write columns of ranks (1 + better + ties / 2) beside the description of the users, whole or not at all."""
    table = users
    for name, values in ranks.items():
        table = table.append_column(name, pa.array(values, pa.float32()))
    with whole_file(file) as part:
        pq.write_table(table, part)


def evaluated_users(
    catalogue: Catalogue, sequences: GlobalSequences, rows: EvaluationRows, max_history: int
) -> pa.Table:
    """One line per evaluated user, in the order of ``rows``.

    Columns: ``domain`` (name), ``user`` (row of the domain's ``sequences.parquet``), ``item`` (the target's id in
    the domain, 1..N), ``item_count`` (its interactions in the training part of the data, 0 = cold),
    ``history_length`` (items before the target, ``max_history`` at most), ``redundancy`` (how alike these are, see
    :func:`missrec_pl.data.redundancy.redundancy`; null if they cannot be compared).
    """
    domain = sequences.domain[rows.user]
    target = sequences.items[sequences.starts[rows.user] + rows.target]
    counts = np.bincount(sequences.training_parts()[0], minlength=catalogue.num_items + 1)
    alike = redundancy(catalogue, sequences, rows, max_history)
    return pa.table(
        {
            "domain": pa.DictionaryArray.from_arrays(
                pa.array(domain.astype(np.int32)), [one.name for one in catalogue.domains]
            ),
            "user": (rows.user - sequences.first_user[domain]).astype(np.int32),
            "item": (target - np.asarray(catalogue.offsets)[domain]).astype(np.int32),
            "item_count": counts[target].astype(np.int32),
            "history_length": np.minimum(rows.target, max_history).astype(np.int32),
            "redundancy": pa.array(alike, from_pandas=True),  # NaN is null
        }
    )
