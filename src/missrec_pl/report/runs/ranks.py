"""The ranks that a run writes beside its results.json, and metrics of single users."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.runs.collect import HISTORY_EXCLUDED, RunResult
from missrec_pl.system.files import BASELINE_RANKS_NAME, RANKS_NAME

_USER_COLUMNS = ("domain", "user", "item", "history_length")
_METRIC = re.compile(r"(recall|ndcg)@([1-9]\d*)|mrr")


@dataclass(frozen=True)
class Ranks:
    """One line per test user, in the file's order: by domain and user.

    Attributes:
        path: The file.
        domain: ``[U]`` names.
        user: ``[U]`` user numbers within the domain.
        item: ``[U]`` targets.
        rank: ``[U]`` ranks of the targets, 1 is best.
        rank_history_excluded: ``[U]`` the same where the history's items are no candidates; None in files of
            earlier versions.
        history_length: ``[U]`` items that the network was shown.
        item_count: ``[U]`` training interactions of the target; None in files of earlier versions.
        redundancy: ``[U]`` how alike the history's items are, in percent, -1 where nothing can be compared; None
            in files of earlier versions.
        is_compat: Whether the run counts places as the released evaluator does, one more than K.
    """

    path: Path
    domain: NDArray[np.str_]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rank: NDArray[np.float64]
    rank_history_excluded: NDArray[np.float64] | None
    history_length: NDArray[np.int64]
    item_count: NDArray[np.int64] | None
    redundancy: NDArray[np.int64] | None
    is_compat: bool

    def metrics(self, names: Sequence[str]) -> NDArray[np.float64]:
        """``[U, len(names)]`` metrics of each user; their means over users are those of results.json.

        Raises:
            ConfigError: A name other than ``recall@K``, ``ndcg@K`` and ``mrr``, each with or without
                ``/history_excluded``.
            DataError: The file lacks the ranks without the history.
        """
        return np.stack([self._metric(name) for name in names], axis=1)

    def _metric(self, name: str) -> NDArray[np.float64]:
        found = _METRIC.fullmatch(name.removesuffix(HISTORY_EXCLUDED))
        if found is None:
            raise ConfigError(f"--metrics {name}: ranks give recall@K, ndcg@K and mrr")
        rank = self._rank_without_history() if name.endswith(HISTORY_EXCLUDED) else self.rank
        if found[1] is None:
            return 1 / rank
        is_hit = rank <= int(found[2]) + int(self.is_compat)
        return is_hit / np.log2(1 + rank) if found[1] == "ndcg" else is_hit.astype(np.float64)

    def _rank_without_history(self) -> NDArray[np.float64]:
        if self.rank_history_excluded is None:
            raise DataError(
                f"{self.path} lacks rank_history_excluded: test the run's checkpoint again with eval.py"
            )
        return self.rank_history_excluded


def has_ranks(result: RunResult) -> bool:
    """Whether the ranks lie beside the results; runs of earlier versions have none."""
    return (result.path.parent / RANKS_NAME).is_file()


def read_ranks(result: RunResult) -> Ranks:
    """Read the file beside a run's results.

    Raises:
        DataError: There is none, or it is damaged.
    """
    path = result.path.parent / RANKS_NAME
    if not path.is_file():
        raise DataError(f"{path} is missing: test the run's checkpoint again with eval.py, which writes it")
    table = _read(path, (*_USER_COLUMNS, "rank"))
    excluded = "rank_history_excluded"
    return _ranks(result, path, table, "rank", excluded if excluded in table.column_names else None)


def read_baseline_ranks(result: RunResult) -> dict[str, Ranks]:
    """Read the file of a run of ``phase=baselines``; the ranks of each baseline under the run's protocol.

    Raises:
        DataError: There is none, or it is damaged.
    """
    path = result.path.parent / BASELINE_RANKS_NAME
    if not path.is_file():
        raise DataError(f"{path} is missing: run phase=baselines again, which writes it")
    table = _read(path, _USER_COLUMNS)
    excluded = "/history_excluded"
    names = [name.removesuffix(excluded) for name in table.column_names if name.endswith(excluded)]
    own = excluded if "mask_history" in result.protocol else "/history_included"
    if not names:
        return {}
    users = _ranks(result, path, table, names[0] + own, names[0] + excluded)  # the same for all
    return {
        name: replace(
            users, rank=_rank_column(table, name + own), rank_history_excluded=_rank_column(table, name + excluded)
        )
        for name in names
    }


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if missing := [name for name in columns if name not in table.column_names]:
        raise DataError(f"{path} lacks {', '.join(missing)}: written by another version; test the run again")
    if table.num_rows == 0:
        raise DataError(f"{path} holds no users")
    return table


def _ranks(result: RunResult, path: Path, table: pa.Table, rank: str, excluded: str | None) -> Ranks:
    return Ranks(
        path,
        np.array(table["domain"].to_pylist()),
        table["user"].to_numpy().astype(np.int64),
        table["item"].to_numpy().astype(np.int64),
        _rank_column(table, rank),
        None if excluded is None else _rank_column(table, excluded),
        table["history_length"].to_numpy().astype(np.int64),
        table["item_count"].to_numpy().astype(np.int64) if "item_count" in table.column_names else None,
        _percent(table["redundancy"]) if "redundancy" in table.column_names else None,
        "compat" in result.protocol,
    )


def _rank_column(table: pa.Table, name: str) -> NDArray[np.float64]:
    column: NDArray[np.float64] = table[name].to_numpy().astype(np.float64)
    return column


def _percent(shares: pa.ChunkedArray) -> NDArray[np.int64]:
    values = shares.to_numpy()
    percent = np.clip(np.round(100 * values), 0, 100)
    return np.where(np.isnan(values), -1, percent).astype(np.int64)


def check_same_targets(first: Ranks, second: Ranks) -> None:
    """Refuse to compare users who were asked for different items.

    Raises:
        DataError: Other users or other targets.
    """
    for name in ("domain", "user", "item"):
        if not np.array_equal(getattr(first, name), getattr(second, name)):
            raise DataError(
                f"{first.path} and {second.path} differ in {name}: different data or splits cannot be paired"
            )
