"""The lists' values against a plain computation, list by list."""

import math

import numpy as np
import pytest
import torch

from missrec_pl.errors import DataError
from missrec_pl.metrics import BeyondAccuracy, RankingMetrics
from missrec_pl.report.output import as_measured

NUM_ITEMS, KS = 12, (2, 5)


def scene(seed):
    random = np.random.default_rng(seed)
    shares = np.arange(NUM_ITEMS, 1, -1.0)  # the last item is in no history: it is cold
    histories = [
        random.choice(NUM_ITEMS - 1, size=n, replace=False, p=shares / shares.sum()) + 1
        for n in random.integers(2, 6, size=30)
    ]
    lists = np.stack([random.choice(NUM_ITEMS, size=5, replace=False) + 1 for _ in histories])
    targets = random.integers(1, NUM_ITEMS + 1, size=len(histories))
    targets[:2] = NUM_ITEMS
    lists[0] = [NUM_ITEMS, 1, 2, 3, 4]
    similarity = random.uniform(-1, 1, size=(2, len(histories)))
    similarity[0, 3] = np.nan
    return histories, lists, targets, similarity


def metric_of(histories):
    counts = np.bincount(np.concatenate(histories), minlength=NUM_ITEMS + 1)  # nobody has an item twice
    return BeyondAccuracy(
        KS, torch.from_numpy(counts), torch.from_numpy(counts), len(histories), sync_on_compute=False
    )


def add(metric, histories, lists, targets, similarity, rows):
    padded = np.zeros((len(rows), 7), np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(histories[row])] = histories[row]
    arrays = (lists[rows], padded, targets[rows])
    metric.update(*map(torch.from_numpy, arrays), torch.from_numpy(similarity[:, rows]).float())


def plainly(histories, lists, targets, similarity):
    """The definitions, by loops."""
    counts = [sum(item in history for history in histories) for item in range(NUM_ITEMS + 1)]
    by_popularity = sorted(range(1, NUM_ITEMS + 1), key=lambda item: (-counts[item], item))
    found = {}
    for row, k in enumerate(KS):
        flat = [item for one in lists for item in one[:k]]
        times = sorted(flat.count(item) for item in range(1, NUM_ITEMS + 1))
        mean_difference = sum(abs(a - b) for a in times for b in times) / NUM_ITEMS**2
        profile = [counts[item] for history in histories for item in history]
        hits = [target in one[:k] for one, target in zip(lists, targets, strict=True)]
        cold = [hit for hit, target in zip(hits, targets, strict=True) if counts[target] == 0]
        kept = similarity[row][~np.isnan(similarity[row])]
        found |= {
            f"coverage@{k}": len(set(flat)) / NUM_ITEMS,
            f"gini@{k}": mean_difference / (2 * sum(times) / NUM_ITEMS),
            f"novelty@{k}": sum(-math.log2(max(counts[i], 1) / len(histories)) for i in flat) / len(flat),
            f"popularity@{k}": sum(counts[i] for i in flat) / len(flat),
            f"popularity_lift@{k}": sum(counts[i] for i in flat) / len(flat) / (sum(profile) / len(profile)),
            f"diversity@{k}": float(np.mean(1 - kept)),
            f"serendipity@{k}": sum(
                hit and target not in by_popularity[:k] for hit, target in zip(hits, targets, strict=True)
            )
            / len(hits),
            f"cold_recall@{k}": sum(cold) / len(cold),
            f"repeats@{k}": sum(i in h for one, h in zip(lists, histories, strict=True) for i in one[:k])
            / len(flat),
        }
    return found


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_a_plain_computation(seed):
    data = scene(seed)
    metric = metric_of(data[0])
    add(metric, *data, rows=np.arange(30))
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx(plainly(*data), rel=1e-6)


def test_shards_add_up_to_the_same_bits():
    data = scene(4)
    whole, *parts = (metric_of(data[0]) for _ in range(3))
    add(whole, *data, rows=np.arange(30))
    for part, rows in zip(parts, (np.arange(29, 6, -1), np.arange(7)), strict=True):
        add(part, *data, rows=rows)
    for name in parts[0].metric_state:
        setattr(parts[0], name, parts[0].metric_state[name] + parts[1].metric_state[name])
    assert parts[0].compute() == whole.compute()


def test_short_lists_leave_places_empty_and_nothing_cold_leaves_its_recall_out():
    counts = torch.tensor([0, 3, 1, 2])
    metric = BeyondAccuracy((5,), counts, counts, 3)
    metric.update(
        torch.tensor([[3, 1, 0]]), torch.tensor([[1, 0]]), torch.tensor([3]), torch.tensor([[float("nan")]])
    )
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found["coverage@5"] == pytest.approx(2 / 3)
    assert found["repeats@5"] == 1 / 2
    assert found["popularity@5"] == 2.5
    assert not {"cold_recall@5", "diversity@5"} & found.keys()


def test_no_lists_are_an_error():
    counts, nobody = torch.tensor([0, 1]), torch.zeros(0, 1, dtype=torch.long)
    metric = BeyondAccuracy((1,), counts, counts, 1)
    metric.update(nobody, nobody, nobody[:, 0], torch.zeros(1, 0))
    with pytest.raises(DataError, match="no lists"):
        metric.compute()


# Computed with RecTools 0.19 (MeanInvUserFreq, AvgRecPopularity, CatalogCoverage, HitRate, Precision, MAP).
_HISTORIES = [
    [1, 3, 2, 11],
    [6, 2, 4, 11, 9],
    [8, 3],
    [4, 6, 1, 5, 2],
    [8, 1, 6],
    [8, 2, 9, 1],
    [6, 1, 4, 2],
    [3, 7, 1],
]
_LISTS = [
    *([7, 6, 3, 12, 5], [7, 3, 6, 8, 2], [1, 12, 4, 11, 7], [10, 5, 3, 8, 9]),
    *([6, 3, 4, 12, 9], [3, 9, 8, 4, 11], [6, 10, 4, 7, 5], [10, 2, 5, 8, 4]),
]
_TARGETS = [3, 12, 9, 12, 8, 9, 5, 10]
_RECTOOLS = {
    2: {"novelty": 1.9586388688892509, "popularity": 2.3125, "coverage": 0.75},
    5: {"novelty": 1.9395426574851984, "popularity": 2.3, "coverage": 1.0},
}
_RECTOOLS_RANKED = {
    2: {"recall": 0.25, "precision": 0.125, "mrr": 0.1875},
    5: {"recall": 0.5, "precision": 0.1, "mrr": 0.25416666666666665},
}


def test_values_are_those_of_another_library():
    lists, targets = np.array(_LISTS), np.array(_TARGETS)
    metric, ranking = metric_of(_HISTORIES), RankingMetrics(KS)
    add(metric, _HISTORIES, lists, targets, np.zeros((2, 8)), rows=np.arange(8))
    place = (lists == targets[:, None]).argmax(1) + 1.0
    ranking.update(torch.from_numpy(np.where((lists == targets[:, None]).any(1), place, 6.0)))
    found, ranked = metric.compute(), ranking.compute()
    for k in KS:
        assert {name: float(found[f"{name}@{k}"]) for name in _RECTOOLS[k]} == pytest.approx(_RECTOOLS[k])
        for name, value in _RECTOOLS_RANKED[k].items():
            measured, factor = as_measured(f"{name}@{k}")
            assert float(ranked[measured]) * factor == pytest.approx(value, abs=1e-11)
