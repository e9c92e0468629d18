"""Which items a sampled softmax compares, and how likely each of them was."""

from itertools import combinations

import numpy as np
import pytest
import torch

from missrec_pl.data.candidates import PerRowNegatives, SharedNegatives
from missrec_pl.data.datasets import TrainingBatches
from missrec_pl.data.examples.kinds import TrainingPrefixes
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.samplers import GlobalBatchSampler
from missrec_pl.data.splits import make_split
from missrec_pl.losses.step import next_item, sampled_logits

NUM_ITEMS = 12
SEQUENCES = [[1, 2, 3, 2, 4], [5, 2, 6], [7, 8, 9, 1, 2, 2], [10, 11, 3]]


@pytest.fixture(params=[None, [0, 1, 0, 1]], ids=["no folds", "folds"])
def prefixes(memory_domain, request):
    features = {
        "text": np.eye(NUM_ITEMS, 3).tolist(),
        "image": [[1.0] if i % 2 else None for i in range(NUM_ITEMS)],
    }
    catalogue = Catalogue([memory_domain("one", features=features, sequences=SEQUENCES)], ["text", "image"])
    sequences = GlobalSequences(catalogue, [make_split(d.sequences, "train_only") for d in catalogue.domains])
    folds = None if request.param is None else np.array(request.param)
    return TrainingPrefixes(sequences, catalogue, 50, deduplicate=True, fold_of_user=folds)


def batches(prefixes, negatives, *, epoch=0, seed=3, rank=0, world_size=1, batch_size=5):
    sampler = GlobalBatchSampler(
        prefixes.samples_per_domain(),
        batch_size,
        folds=prefixes.folds(),
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    sampler.set_epoch(epoch)
    training = TrainingBatches(prefixes, SharedNegatives(prefixes.target_counts(), negatives))
    return [training[one] for one in sampler]


def ids_of(batch):
    return batch.items.ids[batch.candidates.rows].tolist()


def test_targets_are_counted(prefixes):
    folds = [SEQUENCES] if prefixes.fold_of_user is None else [SEQUENCES[::2], SEQUENCES[1::2]]
    expected = [
        np.bincount([item for one in some for item in one[1:]], minlength=NUM_ITEMS + 1).tolist() for some in folds
    ]
    assert prefixes.target_counts().tolist() == expected
    rows = prefixes.locate(np.array([0, 4, len(prefixes) - 1]), None)
    assert prefixes.targets_of(rows).tolist() == [2, 2, 3]


def test_counting_in_parts_changes_nothing(prefixes, monkeypatch):
    whole = prefixes.target_counts()
    monkeypatch.setattr("missrec_pl.data.examples.base._COUNTED_AT_ONCE", 3)
    assert prefixes.target_counts().tolist() == whole.tolist()


def test_candidates_are_distinct_rows_with_every_target_among_them(prefixes):
    for batch in batches(prefixes, 4):
        ids, table = ids_of(batch), batch.items.ids.tolist()
        assert ids == sorted(set(ids))
        assert table == sorted(set(table))
        assert 0 not in ids
        assert set(batch.items.ids[batch.target].tolist()) <= set(ids)
        assert set(table) == {0, *ids, *batch.items.ids[batch.history].flatten().tolist()}
        assert 4 <= len(ids) <= 4 + len(batch)


def test_more_negatives_than_items_are_all_items_for_certain(prefixes):
    for batch in batches(prefixes, 10_000):
        assert ids_of(batch) == list(range(1, NUM_ITEMS + 1))
        assert batch.candidates.log_inclusion.abs().max() == 0


def test_the_draw_is_a_matter_of_seed_epoch_and_batch(prefixes):
    first = [ids_of(batch) for batch in batches(prefixes, 4)]
    assert first == [ids_of(batch) for batch in batches(prefixes, 4)]
    for other in ({"epoch": 1}, {"seed": 4}):
        assert first != [ids_of(batch) for batch in batches(prefixes, 4, **other)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_all_processes_have_the_same_candidates(prefixes, world_size):
    alone = batches(prefixes, 4)
    shards = [batches(prefixes, 4, rank=rank, world_size=world_size) for rank in range(world_size)]
    for number, batch in enumerate(alone):
        parts = [shard[number] for shard in shards]
        assert sum(map(len, parts)) == len(batch)
        for part in parts:
            assert ids_of(part) == ids_of(batch)
            assert torch.equal(part.candidates.log_inclusion, batch.candidates.log_inclusion)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_chances_are_those_of_all_batches(batch_size):
    """Six rows, three items: the others of a row's batch are any of the other rows."""
    targets = np.array([1, 1, 1, 2, 2, 3])
    draw = SharedNegatives(np.bincount(targets, minlength=6)[None], num_negatives=2)
    chances = np.exp(draw.log_inclusion(np.arange(1, 6), batch_size))
    for item in range(1, 6):
        own = int(np.flatnonzero(targets != item)[0])
        others = [targets[i] for i in range(6) if i != own]
        sets = list(combinations(others, batch_size - 1))
        absent = np.mean([item not in one for one in sets]) * (1 - 2 / 5)
        assert chances[item - 1] == pytest.approx(1 - absent, abs=1e-6)


def test_an_item_that_no_batch_can_miss_is_certain():
    draw = SharedNegatives(np.array([[0, 9, 1]]), num_negatives=1)
    assert np.exp(draw.log_inclusion(np.array([1, 2]), 8)).tolist() == pytest.approx([1, 1 - (2 / 9) * 0.5])


def test_the_estimated_denominators_are_right_on_average(prefixes):
    """Over shuffles and draws, each row's sum over its candidates has the sum over all items as its mean."""
    logits = torch.randn(NUM_ITEMS + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimates = {item: [] for one in SEQUENCES for item in one[1:]}
    for epoch in range(500):
        for batch in batches(prefixes, 3, epoch=epoch, batch_size=4):
            shown = logits[batch.items.ids[batch.candidates.rows]].expand(len(batch), -1)
            column = torch.searchsorted(batch.candidates.rows, batch.target)
            losses = next_item(sampled_logits(shown, column, batch.candidates.log_inclusion.double()), column)
            for target, loss in zip(batch.items.ids[batch.target].tolist(), losses, strict=True):
                estimates[target].append(float((loss + logits[target]).exp()))
    exact = float(logits[1:].exp().sum())
    for found in estimates.values():
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - exact) < 4 * error
        assert error < 0.03 * exact


def test_moving_candidates_moves_both_tensors(prefixes):
    moved = batches(prefixes, 4)[0].to("meta").candidates
    assert moved.rows.device.type == moved.log_inclusion.device.type == "meta"


def test_of_two_items_the_other_one_is_drawn():
    targets, random = np.array([1, 2, 2]), np.random.default_rng(0)
    drawn, _ = PerRowNegatives(np.array([0, 2]), 3)(targets, np.zeros(3, np.int64), None, random)
    assert drawn.tolist() == [[1, 2, 2, 2], [2, 1, 1, 1], [2, 1, 1, 1]]
