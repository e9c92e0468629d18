"""One set of ranks, one reference, every way to use a metric: alone, pickled, in shards, in two processes."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.metrics import RankingMetrics

KS = (1, 10, 50)
RANKS = torch.tensor([1.0, 2.5, 10.0, 10.5, 11.0, 50.0, 731.5])  # 7 rows: no way to share them evenly


def reference(ranks: np.ndarray, ks: tuple[int, ...] = KS) -> dict[str, float]:
    """Plain numpy, float64, no states."""
    gains = 1 / np.log2(1 + ranks)
    values = {}
    for k in ks:
        values[f"recall@{k}"] = float((ranks <= k).mean())
        values[f"ndcg@{k}"] = float((gains * (ranks <= k)).mean())
    values["mrr"] = float((1 / ranks).mean())
    return values | {f"mrr@{k}": float(((ranks <= k) / ranks).mean()) for k in ks}


def as_floats(metric: RankingMetrics) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.fixture
def alone() -> dict[str, float]:
    metric = RankingMetrics(KS)
    metric.update(RANKS)
    return as_floats(metric)


def test_alone_equals_the_reference(alone):
    names = [
        "recall@1",
        "ndcg@1",
        "recall@10",
        "ndcg@10",
        "recall@50",
        "ndcg@50",
        "mrr",
        "mrr@1",
        "mrr@10",
        "mrr@50",
    ]
    assert list(alone) == names
    assert alone == pytest.approx(reference(RANKS.double().numpy()), abs=1e-11)


def test_values_are_float64_scalars_that_keep_every_digit():
    metric = RankingMetrics()
    metric.update(RANKS)
    assert all(value.dtype == torch.float64 and value.ndim == 0 for value in metric.compute().values())
    assert metric.compute()["recall@10"].item() == 3 / 7


def test_many_ranks_equal_the_reference():
    ranks = torch.randint(2, 4000, (5000,), generator=torch.Generator().manual_seed(0)) / 2
    metric = RankingMetrics(KS)
    metric.update(ranks)
    assert as_floats(metric) == pytest.approx(reference(ranks.double().numpy()), abs=1e-11)


@pytest.mark.parametrize("cuts", [[1, 2, 3, 4, 5, 6], [3], [0, 7], [6, 6]])
def test_shards_merge_to_the_same_bits(alone, cuts):
    first, *others = torch.tensor_split(RANKS.flip(0), cuts)
    merged = RankingMetrics(KS)
    merged.update(first)
    for shard in others:
        part = RankingMetrics(KS)
        part.update(shard)
        merged.merge_state(part)
    assert as_floats(merged) == alone


def test_order_and_batching_do_not_change_a_bit():
    ranks = torch.rand(20_000, generator=torch.Generator().manual_seed(1)) * 99 + 1
    whole, batched = RankingMetrics(), RankingMetrics()
    whole.update(ranks)
    for batch in ranks[torch.randperm(len(ranks))].split(333):
        batched.update(batch)
    assert as_floats(batched) == as_floats(whole)


def test_pickling_keeps_the_sums(alone):
    metric = RankingMetrics(KS)
    metric.update(RANKS[:3])
    restored = pickle.loads(pickle.dumps(metric))
    restored.update(RANKS[3:])
    assert as_floats(restored) == alone
    assert as_floats(metric) == pytest.approx(reference(RANKS[:3].double().numpy()), abs=1e-11)


def test_reset_forgets(alone):
    metric = RankingMetrics(KS)
    metric.update(torch.ones(5))
    metric.reset()
    metric.update(RANKS)
    assert as_floats(metric) == alone


def _shards_of(case: str) -> list[torch.Tensor]:
    return {"4+3": [RANKS[:4], RANKS[4:]], "strided": [RANKS[0::2], RANKS[1::2]], "7+0": [RANKS, RANKS[:0]]}[case]


def _on_one_rank(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = RankingMetrics(KS)
    results = {}
    for case in ("4+3", "strided", "7+0"):
        for batch in _shards_of(case)[rank].split(2):
            metric.update(batch)
        results[case] = as_floats(metric)
        metric.reset()
    (Path(folder) / f"rank{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


def test_two_processes_with_odd_shares_give_the_same_bits(alone, tmp_path):
    mp.start_processes(_on_one_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    for rank in range(2):
        results = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert results == {"4+3": alone, "strided": alone, "7+0": alone}


def test_compat_counts_one_place_more_and_rounds():
    metric = RankingMetrics((10, 50), compat=True)
    metric.update(RANKS)
    released = reference(RANKS.double().numpy(), (11, 51))
    assert as_floats(metric) == {
        "recall@10": round(released["recall@11"], 4),
        "ndcg@10": round(released["ndcg@11"], 4),
        "recall@50": round(released["recall@51"], 4),
        "ndcg@50": round(released["ndcg@51"], 4),
        "mrr": round(released["mrr"], 4),
        "mrr@10": round(released["mrr@11"], 4),
        "mrr@50": round(released["mrr@51"], 4),
    }


def test_no_users_is_an_error_not_nan():
    metric = RankingMetrics()
    metric.update(torch.empty(0))
    with pytest.raises(DataError, match="no users"):
        metric.compute()


def test_an_infinite_rank_is_a_miss_at_every_cutoff():
    metric = RankingMetrics(ks=(1, 1000))
    metric.update(torch.tensor([1.0, float("inf")]))
    assert {float(value) for value in metric.compute().values()} == {0.5}


@pytest.mark.parametrize("bad", [0.5, float("nan"), float("-inf"), -3.0])
def test_impossible_ranks_are_refused(bad):
    metric = RankingMetrics()
    with pytest.raises(DataError, match="at least 1"):
        metric.update(torch.tensor([1.0, bad]))


@pytest.mark.parametrize("ks", [(), (10, 10), (0,), (-1,), (True,), (10, 2.5)])
def test_impossible_cutoffs_are_refused(ks):
    with pytest.raises((ConfigError, TypeError)):
        RankingMetrics(ks)


def test_half_precision_casts_leave_the_sums_alone(alone):
    metric = RankingMetrics(KS)
    metric.update(RANKS)
    assert as_floats(metric.half().to(torch.bfloat16)) == alone
