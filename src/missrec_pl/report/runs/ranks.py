"""The ranks that a run writes beside its results.json, and metrics of single users."""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from missrec_pl.data.user_groups import metric_of_users
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.output import HISTORY_EXCLUDED, as_measured
from missrec_pl.report.runs.records import RunResult
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import BASELINE_RANKS_NAME, RANKS_NAME

RANK, EXCLUDED = "rank", "rank_history_excluded"
PACKED_DEPTH = 50  # records keep ranks up to here

_USER_COLUMNS = ("domain", "user", "item", "history_length")


@dataclass(frozen=True)
class Ranks:
    """Ranks of the targets of U test users, in the file's order: by domain and user.

    Columns: ``domain``, ``user`` (number within the domain), ``item`` (the target), ``history_length`` (items that
    the network was shown) and ``rank`` (1 is best). Those of earlier versions lack ``rank_history_excluded``
    (the history's items are no candidates, nor is a target that repeats one), and may lack ``item_count``
    (training interactions of the target) and ``redundancy`` (mean cosine of the history's items, NaN for one
    item).
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]  # [U] each
    is_compat: bool  # whether the run counts places as the released evaluator does, one more than K

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise DataError(f"{self.path} lacks {name}: test the run's checkpoint again with eval.py")
        return self.columns[name]

    def metrics(self, names: Sequence[str]) -> NDArray[np.float64]:
        """``[U, len(names)]`` metrics of each user; their means over users are those of results.json.

        A `ConfigError` for names other than ``recall@K``, ``ndcg@K``, ``mrr@K``, ``mrr`` and those that
        `as_measured` knows, with or without ``/history_excluded``; a `DataError` if the file lacks the ranks.
        """
        return np.stack([self._metric(name) for name in names], axis=1)

    def _metric(self, name: str) -> NDArray[np.float64]:
        measured, factor = as_measured(name)
        rank = self[EXCLUDED if name.endswith(HISTORY_EXCLUDED) else RANK]
        try:
            return factor * metric_of_users(
                rank, measured.removesuffix(HISTORY_EXCLUDED), is_compat=self.is_compat
            )
        except ValueError as error:
            raise ConfigError(f"--metrics {error}") from error


def has_ranks(result: RunResult) -> bool:
    """Whether the ranks lie beside the results; runs of earlier versions have none."""
    return (result.path.parent / RANKS_NAME).is_file()


def kept_metrics(result: RunResult, names: Sequence[str]) -> NDArray[np.float64] | None:
    """``[U, len(names)]`` metrics of each user, from the ranks beside a run's results or in a record's.

    None where no ranks were kept, or not as deep as a metric asks. Errors as of `read_ranks` and `Ranks.metrics`.
    """
    if has_ranks(result):
        return read_ranks(result).metrics(names)
    stored = read_json(result.path, "make the record again").get("ranks")
    depths = [name.removesuffix(HISTORY_EXCLUDED).partition("@")[2] for name in names]
    if not stored or not all(depth.isdigit() and int(depth) <= PACKED_DEPTH for depth in depths):
        return None
    columns = {name: unpacked(stored[name], result.path) for name in (RANK, EXCLUDED)}
    return Ranks(result.path, columns, False).metrics(names)


def unpacked(text: str, path: Path) -> NDArray[np.float64]:
    """Ranks out of a record: twice each in a byte, 0 for those beyond `PACKED_DEPTH`, which become infinite."""
    try:
        doubled = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    except (ValueError, zlib.error) as error:
        raise DataError(f"{path}: ranks cannot be read: {error}; make the record again") from None
    return np.where(doubled == 0, np.inf, doubled / 2)


def packed(ranks: NDArray[Any]) -> str:
    """Ranks as `unpacked` reads them."""
    doubled = np.where(ranks <= PACKED_DEPTH, np.round(2 * ranks), 0).astype(np.uint8)
    return base64.b64encode(zlib.compress(doubled.tobytes(), 9)).decode()


def read_ranks(result: RunResult) -> Ranks:
    """Read the file beside a run's results; a `DataError` if it is missing or damaged."""
    remedy = "test the run's checkpoint again with eval.py, which writes it"
    return _read(result, RANKS_NAME, (*_USER_COLUMNS, RANK), remedy)


def read_baseline_ranks(result: RunResult) -> dict[str, Ranks]:
    """Each baseline's ranks under the protocol of a run of ``phase=baselines``. Errors as of `read_ranks`."""
    all_ranks = _read(result, BASELINE_RANKS_NAME, _USER_COLUMNS, "run phase=baselines again, which writes it")
    users = {name: values for name, values in all_ranks.columns.items() if "/" not in name}
    if not result.is_strict:
        raise DataError(
            f"{all_ranks.path} is of a version that kept a repeated target of an excluded history as a candidate: "
            "run phase=baselines again"
        )
    own = HISTORY_EXCLUDED if "mask_history" in result.protocol else "/history_included"
    names = [name.removesuffix(HISTORY_EXCLUDED) for name in all_ranks.columns if name.endswith(HISTORY_EXCLUDED)]
    return {
        name: replace(
            all_ranks, columns={**users, RANK: all_ranks[name + own], EXCLUDED: all_ranks[name + HISTORY_EXCLUDED]}
        )
        for name in names
    }


def _read(result: RunResult, name: str, columns: Sequence[str], remedy: str) -> Ranks:
    path = result.path.parent / name
    if not path.is_file():
        raise DataError(f"{path} is missing: {remedy}")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if missing := [name for name in columns if name not in table.column_names]:
        raise DataError(f"{path} lacks {', '.join(missing)}: written by another version; test the run again")
    if table.num_rows == 0:
        raise DataError(f"{path} holds no users")
    kept = [name for name in table.column_names if name != EXCLUDED or result.is_strict]
    found = {column: table[column].to_numpy() for column in kept}
    for column, values in found.items():
        if values.dtype.kind == "f":  # float32 in the file
            found[column] = values.astype(np.float64)
    return Ranks(path, found, "compat" in result.protocol)


def check_same_targets(first: Ranks, second: Ranks) -> None:
    """Raise a `DataError` where users or targets differ."""
    for name in ("domain", "user", "item"):
        if not np.array_equal(first[name], second[name]):
            raise DataError(
                f"{first.path} and {second.path} differ in {name}: different data or splits cannot be paired"
            )
