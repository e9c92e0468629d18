"""What the rows of shifted and cloze examples show and predict."""

from collections import Counter

import numpy as np
import pytest
import torch
from training_scene import (
    EVERYONE,
    FIRST,
    FOLDS,
    batches,
    data_set,
    described,
    domains,
    sequences_of,
    shared_batches,
)

from missrec_pl.data.examples.kinds import ClozeStretches, ShiftedStretches
from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.errors import ConfigError, DataError

MANY = ("shifted", "cloze")


def examples(memory_domain, example, *, max_history, **options):
    return data_set(memory_domain, example, max_history=max_history, **options).examples


def all_rows(found, seed=0):
    return found.locate(np.arange(len(found)), np.random.default_rng(seed))


def test_a_shifted_row_by_hand(memory_domain):
    """The first user's 7 items [1, 2, 3, 1, 2, 3, 4] in stretches of 3: its 6 targets are two of them."""
    found = examples(memory_domain, "shifted", max_history=3)
    batch, _ = found.build(found.locate(np.array([0, 1, 3]), None))
    assert batch.history.tolist() == [[1, 2, 3], [1, 2, 3], [3, 0, 0]]
    assert batch.length.tolist() == [3, 3, 1]
    assert batch.target.tolist() == [2, 3, 1, 2, 3, 4, 1]
    assert batch.place.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert batch.future[:, :7].tolist() == [
        [2, 3, 1, 2, 3, 4, 0],
        [3, 1, 2, 3, 4, 0, 0],
        [1, 2, 3, 4, 0, 0, 0],
        [2, 3, 4, 0, 0, 0, 0],
        [3, 4, 0, 0, 0, 0, 0],
        [4, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]
    assert batch.future.shape == (7, PAIR_WINDOW)
    assert batch.is_masked is None


def test_longer_parts_are_cut_from_the_end(memory_domain):
    """Seven items are six targets: in stretches of 4 the first has what is left."""
    found = examples(memory_domain, "shifted", max_history=4)
    batch, _ = found.build(found.locate(np.array([0, 1]), None))
    assert batch.history.tolist() == [[1, 2, 0, 0], [3, 1, 2, 3]]
    assert batch.target.tolist() == [2, 3, 1, 2, 3, 4]
    assert batch.place.tolist() == [0, 1, 4, 5, 6, 7]


@pytest.mark.parametrize("max_history", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("split", ["train_only", "leave_one_out"])
def test_every_training_item_but_the_first_is_a_shifted_target_once(memory_domain, max_history, split):
    sequences, catalogue = sequences_of(domains(memory_domain), split=split)
    found = ShiftedStretches(sequences, catalogue, max_history, deduplicate=False)
    located = all_rows(found)
    targets = Counter(zip(located.of_targets().tolist(), located.target.tolist(), strict=True))
    held_out = 0 if split == "train_only" else 2
    expected = [(u, at) for u, items in enumerate(EVERYONE) for at in range(1, len(items) - held_out)]
    assert targets == Counter(expected)
    batch, _ = found.build(located)
    assert batch.length.max() <= max_history
    assert len(batch.place) == int(batch.length.sum()) == len(expected)
    shown = [EVERYONE[u][at - 1] for u, at in expected]
    assert batch.history.flatten()[batch.place].tolist() == shown
    assert batch.target.tolist() == [EVERYONE[u][at] for u, at in expected]
    assert found.samples_per_domain().sum() == len(found)
    assert found.samples_per_domain().tolist() == torch.bincount(batch.domain, minlength=2).tolist()


@pytest.mark.parametrize("max_history", [1, 2, 3, 5, 50])
def test_cloze_stretches_hold_every_item_with_a_neighbour(memory_domain, max_history):
    found = examples(memory_domain, "cloze", max_history=max_history)
    located = all_rows(found)
    shown = Counter(
        (int(u), int(at))
        for u, start, length in zip(located.user, located.start, located.length, strict=True)
        for at in range(start, start + length)
    )
    size = max_history + 1
    left_out = {(u, 0) for u, items in enumerate(EVERYONE) if len(items) % size == 1}
    assert shown == Counter((u, at) for u, items in enumerate(EVERYONE) for at in range(len(items))) - Counter(
        left_out
    )
    assert located.length.min() >= 2
    assert located.length.max() <= size
    ends = {u: max(at for v, at in shown if v == u) for u, _ in shown}
    assert ends == {u: len(items) - 1 for u, items in enumerate(EVERYONE) if len(items) > 1}


def test_a_cloze_row_hides_its_targets(memory_domain):
    for batch in batches(data_set(memory_domain, "cloze", mask_probability=0.4), epoch=2):
        assert torch.equal(batch.is_masked.flatten().nonzero()[:, 0], batch.place)
        assert (batch.history[batch.is_masked] == 0).all()
        is_place = torch.arange(batch.history.shape[1]) < batch.length[:, None]
        assert torch.equal(batch.history != 0, is_place & ~batch.is_masked)
        assert (batch.is_masked.sum(1) >= 1).all()
        assert (batch.future[:, 0] == batch.target).all()


def test_what_a_cloze_row_hides_is_what_stood_there(memory_domain):
    found = examples(memory_domain, "cloze", max_history=3, mask_probability=0.5)
    located = all_rows(found)
    batch, _ = found.build(located)
    filled = batch.history.clone()
    filled.flatten()[batch.place] = batch.target
    for row, user, start, length in zip(filled, located.user, located.start, located.length, strict=True):
        assert row[:length].tolist() == EVERYONE[user][start : start + length]
    for future, user, at in zip(batch.future.tolist(), located.of_targets(), located.target, strict=True):
        rest = EVERYONE[user][at:]
        assert future == rest + [0] * (PAIR_WINDOW - len(rest))


def test_certain_draws_by_hand(memory_domain):
    def masks(**options):
        found = examples(memory_domain, "cloze", max_history=3, **options)
        return found.build(found.locate(np.array([0, 1]), np.random.default_rng(0)))[0].is_masked.tolist()

    last, every = [[False, False, True, False], [False, False, False, True]], [[True] * 3 + [False], [True] * 4]
    assert masks(last_share=1.0) == last
    assert masks(mask_probability=1.0, last_share=0.0) == every
    assert np.sum(masks(mask_probability=0.0, last_share=0.0), axis=1).tolist() == [1, 1]


@pytest.mark.parametrize(("mask_probability", "last_share"), [(0.2, 0.1), (0.0, 0.3), (0.6, 0.0)])
def test_places_are_hidden_as_often_as_they_should(memory_domain, mask_probability, last_share):
    """And as often as the counts of the inclusion probabilities say."""
    found = examples(
        memory_domain, "cloze", max_history=3, mask_probability=mask_probability, last_share=last_share
    )
    rounds = 3000
    located = found.locate(np.tile(np.arange(len(found)), rounds), np.random.default_rng(1))
    row = located.row % len(found)
    place = located.target - located.start[located.row]
    length = located.length[: len(found)]
    share = np.bincount(row * 4 + place, minlength=4 * len(found)).reshape(-1, 4) / rounds
    for n, found_share in zip(length, share, strict=True):
        hidden = (1 - last_share) * (mask_probability + (1 - mask_probability) ** n / n)
        expected = np.where(np.arange(4) < n, hidden + last_share * (np.arange(4) == n - 1), 0)
        assert np.abs(found_share - expected).max() < 5 * np.sqrt(0.25 / rounds)
    times = np.bincount(found.targets_of(located), minlength=13) / rounds
    counts = found.target_counts()[0]
    assert counts.sum() == pytest.approx(length.sum())
    assert np.abs(counts * times.sum() / counts.sum() - times).max() < 0.1


@pytest.mark.parametrize("has_folds", [False, True])
def test_shifted_targets_are_counted(memory_domain, monkeypatch, has_folds):
    found = examples(memory_domain, "shifted", max_history=3, folds=FOLDS if has_folds else None)
    parts = [EVERYONE] if not has_folds else [[EVERYONE[u] for u in np.flatnonzero(f == FOLDS)] for f in (0, 1)]
    expected = [np.bincount([i for one in part for i in one[1:]], minlength=13).tolist() for part in parts]
    assert found.target_counts().tolist() == expected
    monkeypatch.setattr("missrec_pl.data.examples.base._COUNTED_AT_ONCE", 7)
    assert found.target_counts().tolist() == expected


@pytest.mark.parametrize("has_folds", [False, True])
def test_counting_cloze_targets_in_parts_changes_nothing(memory_domain, monkeypatch, has_folds):
    found = examples(memory_domain, "cloze", max_history=3, folds=FOLDS if has_folds else None)
    whole = found.target_counts()
    monkeypatch.setattr("missrec_pl.data.examples.base._COUNTED_AT_ONCE", 7)
    np.testing.assert_allclose(found.target_counts(), whole)
    located, _ = found.possible_targets(np.arange(len(found)))
    fold = FOLDS[located.of_targets()] if has_folds else np.zeros(len(located.row), int)
    np.testing.assert_allclose(whole.sum(1), np.bincount(fold))


@pytest.mark.parametrize("example", MANY)
def test_a_table_of_distinct_items_changes_nothing_else(memory_domain, example):
    plain = batches(data_set(memory_domain, example, "all"), epoch=1)
    compact = batches(data_set(memory_domain, example, "in_batch"), epoch=1)
    for one, other in zip(plain, compact, strict=True):
        assert one.items is None
        assert described(one) == described(other)
        ids = other.items.ids.tolist()
        assert ids == sorted({0, *one.history.flatten().tolist(), *one.target.tolist()})


@pytest.mark.parametrize("example", MANY)
def test_folds_are_never_mixed(memory_domain, example):
    data = data_set(memory_domain, example, "sampled", folds=FOLDS)
    folds = []
    for shared, batch in zip(shared_batches(data), batches(data), strict=True):
        users = data.examples.locate(shared.everyones, np.random.default_rng(0)).user
        assert set(FOLDS[users]) == {batch.fold}
        folds.append(batch.fold)
    assert set(folds) == {0, 1}


@pytest.mark.parametrize("example", MANY)
def test_every_row_comes_once_an_epoch_from_either_domain(memory_domain, example):
    data = data_set(memory_domain, example)
    samples = np.concatenate([shared.everyones for shared in shared_batches(data)])
    assert sorted(samples) == list(range(len(data)))
    located = all_rows(data.examples)
    is_first = located.user < len(FIRST)
    assert data.examples.samples_per_domain().tolist() == [int(is_first.sum()), int((~is_first).sum())]


@pytest.mark.parametrize("kind", [ShiftedStretches, ClozeStretches])
def test_no_training_row_is_an_error(memory_domain, kind):
    domain = memory_domain("short", features={"text": [[1.0]] * 3}, sequences=[[1, 2, 3], [2, 1]])
    sequences, catalogue = sequences_of([domain], split="leave_one_out")
    with pytest.raises(DataError, match="the training split is empty: no user has two training items"):
        kind(sequences, catalogue, 50, deduplicate=False)


@pytest.mark.parametrize("options", [{"mask_probability": 1.5}, {"last_share": -0.1}])
def test_no_probability_is_refused(memory_domain, options):
    sequences, catalogue = sequences_of(domains(memory_domain))
    with pytest.raises(ConfigError, match=rf"data\.{next(iter(options))}=.*must be a probability from 0 to 1"):
        ClozeStretches(sequences, catalogue, 3, False, **options)
