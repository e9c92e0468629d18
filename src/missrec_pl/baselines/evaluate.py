"""Full ranking of baselines on the split that the model is evaluated on."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from missrec_pl.baselines.base import Baseline, BaselineData
from missrec_pl.baselines.registry import create, default_names
from missrec_pl.errors import DataError
from missrec_pl.metrics import RankingMetrics, mask_history_, target_ranks

# A batch never holds more scores than this (256 MiB of float32), however large the catalogue.
_MAX_BATCH_SCORES = 2**26

Histories = Sequence[Int[np.ndarray, " _"]] | Int[np.ndarray, "B L"] | Int[Tensor, "B L"]


def evaluate_baselines(
    data: BaselineData,
    histories: Histories,
    targets: Int[np.ndarray, " B"] | Int[Tensor, " B"],
    *,
    names: Sequence[str] | None = None,
    ks: Sequence[int] = (10, 50),
    mask_history: bool = False,
    compat: bool = False,
    prefix: str = "test",
    batch_size: int = 1024,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Fit each baseline on the training parts and rank all items for every history.

    Args:
        data: What the baselines learn from.
        histories: Per user the item ids ``1..N`` in chronological order: a list of arrays, or ``[B, L]``
            right-padded with 0.
        targets: ``[B]`` item ids ``1..N`` (not column indices).
        names: Registered names; None = `default_names`: random, popularity, and text_knn or its like.
        ks: Cut-offs of `RankingMetrics`.
        mask_history: Take the history's items out of the candidates; a repeated target stays in.
        compat: The released evaluator's cut-offs and rounding, as in `RankingMetrics`.
        prefix: Put before the metric names, ``test/recall@10``.
        batch_size: Histories scored at once; fewer for large catalogues. Results agree to the last bits
            of a dot product (a change of 3e-10 in the MRR was seen).
        seed: Of `random`. Keep it fixed over the runs of a study, so that all show the same baselines.

    Returns:
        ``{"popularity": {"test/recall@10": 0.038, ..., "test/mrr": ...}, ...}`` in the order of `names`.

    Raises:
        ConfigError: An unknown baseline, or one whose modality the domain lacks.
        DataError: No histories, histories and targets that do not fit, or items outside the catalogue.
    """
    padded = _pad(histories)
    target_items = torch.as_tensor(targets).long()
    _check(padded, target_items, data.num_items)
    baselines = [create(name, data, seed=seed) for name in (default_names(data) if names is None else names)]
    batch_size = max(1, min(batch_size, _MAX_BATCH_SCORES // data.num_items))
    results: dict[str, dict[str, float]] = {}
    for baseline in baselines:
        baseline.fit(data)
        metrics = RankingMetrics(ks, compat=compat, sync_on_compute=False)  # one process does all of it
        for start in range(0, len(padded), batch_size):
            rows = slice(start, start + batch_size)
            metrics.update(_ranks(baseline, padded[rows], target_items[rows] - 1, mask_history))
        results[baseline.name] = {f"{prefix}/{key}": float(value) for key, value in metrics.compute().items()}
    return results


@torch.no_grad()
def _ranks(baseline: Baseline, histories: Tensor, columns: Tensor, mask_history: bool) -> Tensor:
    scores = baseline.scores(histories)
    if mask_history:
        mask_history_(scores, histories, columns)
    return target_ranks(scores, columns)


def _pad(histories: Histories) -> Tensor:
    if isinstance(histories, np.ndarray | Tensor):
        return torch.as_tensor(histories).long()
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    padded = np.zeros((len(lengths), max(lengths, default=0)), dtype=np.int64)
    for row, history in zip(padded, histories, strict=True):
        row[: len(history)] = history
    return torch.from_numpy(padded)


def _check(histories: Tensor, targets: Tensor, num_items: int) -> None:
    if len(histories) == 0:
        raise DataError("no histories to evaluate the baselines on: the evaluation split is empty")
    if len(histories) != len(targets):
        raise DataError(f"{len(histories)} histories but {len(targets)} targets")
    lowest, highest = int(targets.min()), int(targets.max())
    if lowest < 1 or highest > num_items:
        raise DataError(f"targets span items {lowest}..{highest}, expected 1..{num_items}")
    if histories.shape[1] == 0 or bool((histories == 0).all(1).any()):
        row = 0 if histories.shape[1] == 0 else int((histories == 0).all(1).nonzero()[0])
        raise DataError(f"history {row} is empty: leave out users without a history")
    lowest, highest = int(histories.min()), int(histories.max())
    if lowest < 0 or highest > num_items:
        raise DataError(f"histories span items {lowest}..{highest}, expected 1..{num_items} (0 = padding)")
