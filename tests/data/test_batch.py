from collections import Counter

import numpy as np
import pytest
import torch

from missrec_pl.data.datasets import EvaluationHistories
from missrec_pl.data.examples.kinds import TrainingPrefixes
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import make_split
from missrec_pl.errors import DataError

FIRST = [[1, 2, 3, 1, 2, 3, 4], [4], [2, 2, 1], [3, 1]]
SECOND = [[5, 4, 3, 2, 1, 1], [2, 3, 4, 5]]


@pytest.fixture
def domains(memory_domain):
    random = np.random.default_rng(0)
    first = {"text": random.normal(size=(4, 3)).tolist(), "image": [[1.0, 2.0], None, [3.0, 4.0], None]}
    second = {"text": [*random.normal(size=(4, 3)).tolist(), None]}
    return [
        memory_domain("first", features=first, sequences=FIRST),
        memory_domain("second", features=second, sequences=SECOND),
    ]


@pytest.fixture
def catalogue(domains):
    return Catalogue(domains, ["text", "image"])


def sequences_of(catalogue, kind):
    return GlobalSequences(catalogue, [make_split(domain.sequences, kind) for domain in catalogue.domains])


def everyone():
    """Every user's items under global ids (the first domain has 4 items)."""
    return FIRST + [[item + 4 for item in one] for one in SECOND]


def brute_force(kind, max_history):
    held_out = 2 if kind == "leave_one_out" else 0
    samples = []
    for domain, items in zip([0] * len(FIRST) + [1] * len(SECOND), everyone(), strict=True):
        part = items[: len(items) - held_out] if len(items) > held_out else []
        samples += [(tuple(part[:end][-max_history:]), part[end], domain) for end in range(1, len(part))]
    return Counter(samples)


@pytest.mark.parametrize("deduplicate", [True, False])
def test_a_batch_says_which_fold_of_users_it_is_of(catalogue, deduplicate):
    sequences = sequences_of(catalogue, "train_only")
    fold_of_user = np.array([2, 0, 1, 0, 1, 1])
    prefixes = TrainingPrefixes(sequences, catalogue, 50, deduplicate, fold_of_user)
    users = [u for u, one in enumerate(everyone()) for _ in one[1:]]
    assert prefixes.folds().tolist() == [fold_of_user[u] for u in users]
    for fold in range(3):
        batch = batch_of(prefixes, np.flatnonzero(prefixes.folds() == fold))
        assert batch.fold == batch.to("meta").fold == fold
    without = TrainingPrefixes(sequences, catalogue, 50, deduplicate)
    assert without.folds() is None
    assert batch_of(without, np.arange(2)).fold is None


def batch_of(prefixes, samples):
    return prefixes.build(prefixes.locate(np.asarray(samples), None))[0]


def rows_of(batch, ids=None):
    """(history, target, domain) of each row, as global ids."""
    rows = []
    for history, length, target, domain in zip(
        batch.history, batch.length, batch.target, batch.domain, strict=True
    ):
        assert (history[:length] != 0).all()
        assert (history[length:] == 0).all()
        shown, aim = (history[:length], target) if ids is None else (ids[history[:length]], ids[target])
        rows.append((tuple(shown.tolist()), int(aim), int(domain)))
    return rows


@pytest.mark.parametrize("kind", ["leave_one_out", "train_only"])
@pytest.mark.parametrize("max_history", [1, 2, 3, 50])
@pytest.mark.parametrize("deduplicate", [False, True])
def test_every_prefix_is_a_sample(catalogue, kind, max_history, deduplicate):
    prefixes = TrainingPrefixes(sequences_of(catalogue, kind), catalogue, max_history, deduplicate)
    expected = brute_force(kind, max_history)
    assert len(prefixes) == sum(expected.values())
    batch = batch_of(prefixes, np.arange(len(prefixes)))
    assert Counter(rows_of(batch, batch.items.ids if deduplicate else None)) == expected
    per_domain = Counter(row[2] for row in expected.elements())
    assert prefixes.samples_per_domain().tolist() == [per_domain[0], per_domain[1]]
    assert batch.domain.tolist() == sorted(batch.domain.tolist())


@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
def test_a_deduplicated_batch_is_the_same_batch(domains, placement):
    catalogue = Catalogue(domains, ["text", "image"], placement=placement)
    sequences = sequences_of(catalogue, "train_only")
    samples = np.array([7, 0, 3, 9, 3])
    plain = batch_of(TrainingPrefixes(sequences, catalogue, 50, deduplicate=False), samples)
    compact = batch_of(TrainingPrefixes(sequences, catalogue, 50, deduplicate=True), samples)
    assert plain.items is None
    items = compact.items if compact.items.features else catalogue.fill(compact.items)
    assert bool(compact.items.features) == (placement != "device")
    assert items.ids[0] == 0
    assert items.ids.tolist() == sorted(set(items.ids.tolist()))
    assert set(items.ids.tolist()) == {0, *plain.history.flatten().tolist(), *plain.target.tolist()}
    assert torch.equal(items.ids[compact.history], plain.history)
    assert torch.equal(items.ids[compact.target], plain.target)
    assert torch.equal(compact.length, plain.length)
    assert torch.equal(compact.domain, plain.domain)
    whole = catalogue.whole(torch.device("cpu"))
    for name in catalogue.modalities:
        dense = torch.zeros(catalogue.num_items + 1, catalogue.feature_dims[name])
        dense[whole.rows[name]] = whole.features[name]
        assert torch.equal(items.features[name], dense[items.ids[items.rows[name]]])
        assert torch.equal(items.is_missing, catalogue.is_missing[items.ids])


def test_rows_of_a_deduplicated_batch_are_the_distinct_ids_in_order(catalogue):
    sequences = sequences_of(catalogue, "train_only")
    prefixes = TrainingPrefixes(sequences, catalogue, 5, deduplicate=True)
    whole = TrainingPrefixes(sequences, catalogue, 5, deduplicate=False)
    samples = np.array([len(prefixes) - 1, 0, 2])
    batch, plain = batch_of(prefixes, samples), batch_of(whole, samples)
    ids, row = np.unique(np.concatenate([[0], plain.history.ravel(), plain.target]), return_inverse=True)
    np.testing.assert_array_equal(batch.items.ids, ids)
    np.testing.assert_array_equal(batch.history.ravel(), row[1 : 1 + plain.history.numel()])
    np.testing.assert_array_equal(batch.target, row[-len(samples) :])
    assert {t.dtype for t in (batch.history, batch.target, plain.history, plain.target)} == {torch.int64}


def test_padding_is_only_as_wide_as_the_batch(catalogue):
    prefixes = TrainingPrefixes(sequences_of(catalogue, "train_only"), catalogue, 50, deduplicate=False)
    assert batch_of(prefixes, [0]).history.shape == (1, 1)
    assert batch_of(prefixes, [0, 2]).history.shape == (2, 3)


@pytest.mark.parametrize("max_history", [2, 50])
def test_evaluation_histories_are_all_before_the_target(catalogue, max_history):
    sequences = sequences_of(catalogue, "leave_one_out")
    for rows, back, shortest in ((sequences.validation, 2, 3), (sequences.test, 1, 2)):
        histories = EvaluationHistories(sequences, rows, max_history)
        batch = histories[np.arange(len(histories))]
        expected = [
            (tuple(items[:-back][-max_history:]), items[-back], int(user >= len(FIRST)))
            for user, items in enumerate(everyone())
            if len(items) >= shortest
        ]
        assert rows_of(batch) == expected
        assert histories.lengths().tolist() == batch.length.tolist()
        history, _, target = sequences.windows(rows.user, rows.target, max_history)
        assert history.tolist() == batch.history.tolist()
        assert target.tolist() == batch.target.tolist()


def test_no_training_sample_is_an_error(memory_domain):
    domain = memory_domain("short", features={"text": [[1.0]] * 3}, sequences=[[1, 2, 3], [2, 1]])
    catalogue = Catalogue([domain], ["text"])
    with pytest.raises(DataError, match="the training split is empty: no user has two training items"):
        TrainingPrefixes(sequences_of(catalogue, "leave_one_out"), catalogue, 50, deduplicate=False)


def test_moving_a_batch_moves_everything(catalogue):
    prefixes = TrainingPrefixes(sequences_of(catalogue, "train_only"), catalogue, 50, deduplicate=True)
    batch = batch_of(prefixes, [1, 2, 3])
    moved = batch.to("meta")
    tensors = [moved.history, moved.length, moved.target, moved.domain, moved.items.ids, moved.items.is_missing]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert len(moved) == len(batch) == 3
    assert batch.with_items(None).items is None
