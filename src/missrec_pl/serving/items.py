"""``items.parquet``: the ids that callers know items by, their titles, and how often they were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from missrec_pl.errors import DataError

_SCHEMA = pa.schema({"raw_id": pa.string(), "domain": pa.string(), "title": pa.string(), "count": pa.int64()})
_TEXTS = [name for name, kind in zip(_SCHEMA.names, _SCHEMA.types, strict=True) if kind == pa.string()]
_ROWS = 1024  # read at a time
_ROW_BYTES = 10_000  # of a row, on average
TITLE_LENGTH = 300


@dataclass(frozen=True)
class ItemNames:
    """The items ``1..N`` of a bundle, in order.

    Attributes:
        raw_ids: ``[N]`` the source's ids.
        domains: ``[N]`` the domain of each.
        titles: ``[N]``; empty where nobody knows one.
        counts: ``[N]`` training interactions of each.
    """

    raw_ids: list[str]
    domains: list[str]
    titles: list[str]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.raw_ids)

    @cached_property
    def is_of_several_domains(self) -> bool:
        """Whether ids need their domain before them, as ``domain:id``."""
        return len(set(self.domains)) > 1

    @cached_property
    def keys(self) -> list[str]:
        """``[N]`` what callers call the items: raw ids, or ``domain:id`` where there are several domains."""
        return keys_of(self.raw_ids, self.domains)

    @cached_property
    def key_array(self) -> pa.Array:
        """``[N]`` the keys for tables."""
        return pa.array(self.keys, pa.string())

    @cached_property
    def index(self) -> dict[str, int]:
        """The number ``1..N`` of each key."""
        return {key: number for number, key in enumerate(self.keys, 1)}

    @cached_property
    def domain_numbers(self) -> NDArray[np.int64]:
        """``[N]`` a number for each item's domain."""
        known = {name: number for number, name in enumerate(dict.fromkeys(self.domains))}
        return np.array([known[name] for name in self.domains], dtype=np.int64)

    def with_more(self, raw_ids: Sequence[str], titles: Sequence[str]) -> ItemNames:
        """The same with new items behind, of the last domain.

        Raises:
            DataError: an id that is empty, there already or comes twice, or not a title each.
        """
        if not raw_ids or len(titles) != len(raw_ids):
            raise DataError(f"{len(titles)} titles or texts for {len(raw_ids)} new items.")
        more = ItemNames(
            [*self.raw_ids, *raw_ids],
            [*self.domains, *([self.domains[-1]] * len(raw_ids))],
            [*self.titles, *(shortened(title) for title in titles)],
            np.concatenate([self.counts, np.zeros(len(raw_ids), np.int64)]),
        )
        if "" in raw_ids or len(more.index) < len(more):
            taken = next((one for one in raw_ids if not one or one in self.index), "one of them")
            raise DataError(f"new items: the id {taken[:80]!a} is empty, known already or comes twice.")
        return more

    def write(self, path: Path) -> None:
        """Write the file."""
        columns = [self.raw_ids, self.domains, self.titles, pa.array(self.counts, pa.int64())]
        pq.write_table(pa.table(columns, schema=_SCHEMA), path, compression="zstd")

    @classmethod
    def read(cls, path: Path, num_items: int) -> ItemNames:
        """Read the file.

        Raises:
            DataError: it is damaged, has another number of items, or an id that is empty or comes twice.
        """
        try:
            columns = _read(path, num_items)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: no readable table of items ({reason}); export the bundle again.") from error
        raw_ids, domains, titles, counts = columns
        names = cls(raw_ids, domains, titles, np.array(counts, dtype=np.int64))
        if len(names.index) < num_items or "" in names.raw_ids:
            raise DataError(f"{path}: an item's id is empty or comes twice; export the bundle again.")
        return names


def keys_of(raw_ids: list[str], domains: Sequence[str]) -> list[str]:
    """What callers call items or users: the source's ids, or ``domain:id`` where there are several domains."""
    if len(set(domains)) <= 1:
        return raw_ids
    return [f"{domain}:{raw_id}" for domain, raw_id in zip(domains, raw_ids, strict=True)]


def shortened(text: str) -> str:
    """A text on one line, of ``TITLE_LENGTH`` characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"


def _read(path: Path, num_items: int) -> list[list[Any]]:
    """The columns. A text that many rows share is spelled out once the size of all is known."""
    columns: list[list[Any]] = [[] for _ in _SCHEMA.names]
    with pq.ParquetFile(path, read_dictionary=_TEXTS) as parquet:
        known, chunks = parquet.schema_arrow, range(parquet.metadata.num_row_groups)
        if parquet.metadata.num_rows != num_items:
            raise ValueError(f"{parquet.metadata.num_rows} rows for {num_items} items")
        kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in known.types]
        if known.names != _SCHEMA.names or kinds != _SCHEMA.types:
            raise ValueError(f"the columns {', '.join(known.names)[:200]}")
        if sum(parquet.metadata.row_group(chunk).total_byte_size for chunk in chunks) > num_items * _ROW_BYTES:
            raise ValueError("texts without end")
        for batch in parquet.iter_batches(batch_size=_ROWS):
            if any(column.null_count for column in batch.columns):
                raise ValueError("a cell without a value")
            if sum(map(_size, batch.columns)) > len(batch) * _ROW_BYTES:
                raise ValueError("texts without end")
            # To lists: pyarrow's to_numpy() imports pandas, a third of the time that a bundle takes to open.
            for values, column in zip(columns, batch.columns, strict=True):
                values += column.to_pylist()
    if min(columns[-1], default=0) < 0:
        raise ValueError("a count below 0")
    return columns


def _size(column: pa.Array) -> int:
    """Bytes of a column without nulls, its texts spelled out."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    texts, chosen = column.dictionary, column.indices
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    places = np.frombuffer(chosen.buffers()[1], np.int32)[chosen.offset : chosen.offset + len(chosen)]
    return int(np.diff(ends.astype(np.int64))[places].sum())
