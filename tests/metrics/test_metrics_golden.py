"""Against the evaluators of the released code (vendored, off by one) and of RecBole 1.0.1 (true @K).

Where a positive ties with other items, the evaluators rank it by torch.topk's arbitrary order; those rows are
compared as an interval, and take the evaluator's own rank where sums are compared.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from missrec_pl.metrics import RankingMetrics, target_ranks

GOLDEN_DIR = Path(os.environ.get("GOLDEN_DIR", Path(__file__).parents[1] / "golden"))
FILES = sorted(GOLDEN_DIR.glob("metrics_*.npz"))
Arrays = dict[str, np.ndarray]


def test_golden_files_are_there():
    assert FILES, f"no metrics_*.npz in {GOLDEN_DIR}"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request) -> Arrays:
    with np.load(request.param) as arrays:
        return dict(arrays)


@pytest.fixture
def ranks(golden) -> np.ndarray:
    """Our ranks of the masked scores."""
    scores, targets = torch.from_numpy(golden["scores_masked"]), torch.from_numpy(golden["positive_item"])
    return target_ranks(scores, targets).double().numpy()


@pytest.fixture
def evaluator_ranks(golden, ranks) -> np.ndarray:
    """The evaluator's own whole-number ranks; beyond its curve, any rank that its ties allow."""
    hits = golden["hit_per_user"] > 0  # [B, curve], cumulative
    beyond = golden["n_greater"] + 1 + golden["n_equal_others"]
    assert (beyond[~hits.any(1)] > hits.shape[1]).all()
    return np.where(hits.any(1), hits.argmax(1) + 1, beyond).astype(float)


def metrics_of(ranks: np.ndarray, ks: list[int], *, compat: bool = False) -> dict[str, float]:
    metric = RankingMetrics(ks, compat=compat)
    metric.update(torch.from_numpy(ranks))
    return {name: value.item() for name, value in metric.compute().items()}


def test_ranks_follow_the_counts(golden, ranks):
    assert (ranks == 1 + golden["n_greater"] + golden["n_equal_others"] / 2).all()


def test_untied_ranks_are_the_evaluators(golden, ranks, evaluator_ranks):
    is_tied = np.isin(np.arange(len(ranks)), golden["tied_rows"])
    assert (ranks[~is_tied] == evaluator_ranks[~is_tied]).all()
    assert (np.abs(ranks - evaluator_ranks) <= golden["n_equal_others"] / 2).all()


def test_every_row_agrees_at_every_cutoff(golden, evaluator_ranks):
    curve = golden["hit_per_user"].shape[1]
    ks = list(range(1, curve + 1))
    for row, rank in enumerate(evaluator_ranks):
        values = metrics_of(np.array([rank]), ks)
        assert [values[f"recall@{k}"] for k in ks] == golden["hit_per_user"][row].tolist()
        assert [values[f"ndcg@{k}"] for k in ks] == pytest.approx(golden["ndcg_per_user"][row], abs=1e-11)


def test_true_cutoffs_equal_the_strict_columns(golden, evaluator_ranks):
    names = [name for name in golden if name.startswith("strict.")]
    ks = sorted({int(name.split("@")[1]) for name in names})
    assert ks
    values = metrics_of(evaluator_ranks, ks)
    for name in names:
        expected = golden[name].item()
        assert values[name.removeprefix("strict.").replace("hit", "recall")] == pytest.approx(expected, abs=1e-11)


def test_what_the_evaluator_printed_is_reproduced(golden, evaluator_ranks):
    """The vendored evaluator's curves run to max(ks) + 1: that is its off-by-one."""
    names = [name for name in golden if name.startswith("rounded.")]
    ks = sorted({int(name.split("@")[1]) for name in names})
    compat = golden["hit_per_user"].shape[1] == max(ks) + 1
    values = metrics_of(evaluator_ranks, ks, compat=compat)
    for name in names:
        value = values[name.removeprefix("rounded.").replace("hit", "recall")]
        assert (value if compat else round(value, 4)) == golden[name].item()
