"""What all processes draw alike for a global batch, whatever its examples and candidates."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from training_scene import (
    FOLDS,
    batches,
    data_set,
    described,
    global_ids,
    shared_batches,
    tensors,
)

from missrec_pl.data.candidates import CANDIDATES, PerRowNegatives
from missrec_pl.data.examples import EXAMPLES
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import make_split
from missrec_pl.data.training_choices import TrainingChoices
from missrec_pl.errors import ConfigError, DataError

every_example = pytest.mark.parametrize("example", EXAMPLES)
every_candidates = pytest.mark.parametrize("candidates", CANDIDATES)


@every_example
@every_candidates
@pytest.mark.parametrize("folds", [None, FOLDS], ids=["no folds", "folds"])
def test_processes_share_the_batches_of_one(memory_domain, example, candidates, folds):
    data = data_set(memory_domain, example, candidates, folds=folds, with_times=True)
    alone = batches(data, epoch=1)
    for world_size in (2, 3):
        shards = [batches(data, epoch=1, rank=rank, world_size=world_size) for rank in range(world_size)]
        for batch, *parts in zip(alone, *shards, strict=True):
            rows = described(batch)
            for rank, part in enumerate(parts):
                assert described(part) == rows[rank::world_size]
                assert part.fold == batch.fold
                if candidates == "sampled":
                    same = [global_ids(one, one.candidates.rows).tolist() for one in (part, batch)]
                    assert same[0] == same[1]
                    assert torch.equal(part.candidates.log_inclusion, batch.candidates.log_inclusion)


@every_example
@every_candidates
def test_a_resumed_epoch_repeats_its_batches_to_the_bit(memory_domain, example, candidates):
    data = data_set(memory_domain, example, candidates)
    whole = [tensors(batch) for batch in batches(data, epoch=4, batch_size=3)]
    assert [tensors(batch) for batch in batches(data, epoch=4, batch_size=3, done=2)] == whole[2:]
    assert len(whole) > 2


@pytest.mark.parametrize(
    ("example", "candidates"), [("cloze", "all"), ("prefix", "per_row"), ("shifted", "sampled")]
)
def test_draws_are_a_matter_of_seed_epoch_and_batch(memory_domain, example, candidates):
    data = data_set(memory_domain, example, candidates, num_negatives=3)
    shared = shared_batches(data)[0]
    first = tensors(data[shared])
    assert first == tensors(data[shared])
    changed = [type(shared)(shared.everyones, shared.own, stream) for stream in ((4, 0, 0), (3, 1, 0), (3, 0, 1))]
    assert all(first != tensors(data[other]) for other in changed)


@every_example
def test_masks_do_not_depend_on_the_candidates(memory_domain, example):
    shown = [
        [[row[:4] for row in described(batch)] for batch in batches(data_set(memory_domain, example, candidates))]
        for candidates in CANDIDATES
    ]
    assert all(one == shown[0] for one in shown)


@every_example
@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_and_pickles_change_nothing(memory_domain, example, num_workers):
    data = data_set(memory_domain, example, "per_row")
    expected = [tensors(batch) for batch in batches(data)]
    loader = DataLoader(data, sampler=shared_batches(data), batch_size=None, num_workers=num_workers)
    assert [tensors(batch) for batch in loader] == expected
    copied = pickle.loads(pickle.dumps(data))
    pickled = [pickle.loads(pickle.dumps(shared)) for shared in shared_batches(data)]
    assert [tensors(pickle.loads(pickle.dumps(copied[shared]))) for shared in pickled] == expected


@every_example
def test_all_fields_are_moved_at_once(memory_domain, example):
    batch = batches(data_set(memory_domain, example, "per_row", with_times=True))[0]
    devices = []
    batch.to("meta").apply(lambda tensor: devices.append(tensor.device.type) or tensor)
    assert set(devices) == {"meta"}
    assert len(devices) == sum(isinstance(value, tuple) for value in tensors(batch).values())
    doubled = batch.apply(lambda tensor: tensor + tensor)
    assert doubled.candidates.rows.tolist() == (2 * batch.candidates.rows).tolist()
    assert doubled.items.rows["text"].tolist() == (2 * batch.items.rows["text"]).tolist()
    assert type(doubled.items) is type(batch.items)
    assert (doubled.fold, doubled.items.is_whole) == (batch.fold, batch.items.is_whole)


@every_example
@pytest.mark.parametrize("exclude_target", [True, False])
def test_negatives_of_a_target_are_of_its_domain(memory_domain, example, exclude_target):
    data = data_set(memory_domain, example, "per_row", num_negatives=30, exclude_target=exclude_target)
    repeats = 0
    for batch in batches(data):
        ids = batch.items.ids[batch.candidates.rows]
        target = batch.items.ids[batch.target]
        assert batch.candidates.log_inclusion is None
        assert ids.shape == (len(target), 31)
        assert torch.equal(ids[:, 0], target)
        is_first = target <= 4
        assert torch.equal((ids <= 4).all(1), is_first)
        assert torch.equal((ids > 4).all(1), ~is_first)
        assert ids.min() >= 1
        assert ids.max() <= 12
        repeats += int((ids[:, 1:] == target[:, None]).sum())
    assert (repeats == 0) == exclude_target


@pytest.mark.parametrize("exclude_target", [True, False])
def test_negatives_are_uniform(exclude_target):
    draw = PerRowNegatives(np.array([0, 4, 12]), 5000, exclude_target=exclude_target)
    targets, domain = np.array([2, 12, 5]), np.array([0, 1, 1])
    drawn, log_inclusion = draw(targets, domain, None, np.random.default_rng(0))
    assert log_inclusion is None
    for target, own, first, last in zip(targets, drawn, (1, 5, 5), (4, 12, 12), strict=True):
        possible = [i for i in range(first, last + 1) if i != target or not exclude_target]
        share = np.bincount(own[1:], minlength=13) / 5000
        assert own[0] == target
        assert np.flatnonzero(share).tolist() == possible
        assert np.abs(share[possible] - 1 / len(possible)).max() < 5 * np.sqrt(0.25 / 5000)


def test_a_single_item_has_no_negatives():
    with pytest.raises(DataError, match=r"data\.candidates=per_row: a domain has a single item"):
        PerRowNegatives(np.array([0, 1]), 3)
    drawn = PerRowNegatives(np.array([0, 1]), 3, exclude_target=False)
    assert drawn(np.array([1]), np.array([0]), None, np.random.default_rng(0))[0].tolist() == [[1, 1, 1, 1]]


@pytest.fixture
def many_users(memory_domain):
    """Forty users of a catalogue of twenty items, some of them much more popular than others."""
    random = np.random.default_rng(0)
    popularity = 1 / np.arange(1, 21) ** 0.7
    lengths = random.integers(2, 12, 40)
    lines = [(1 + random.choice(20, n, replace=False, p=popularity / popularity.sum())).tolist() for n in lengths]
    domain = memory_domain("many", features={"text": np.eye(20, 3).tolist()}, sequences=lines)
    catalogue = Catalogue([domain], ["text"])
    return GlobalSequences(catalogue, [make_split(domain.sequences, "train_only")]), catalogue


@pytest.mark.parametrize(
    ("example", "epochs", "near"), [("prefix", 50, 0.03), ("shifted", 160, 0.06), ("cloze", 160, 0.05)]
)
@pytest.mark.parametrize("has_folds", [False, True])
def test_inclusion_probabilities_by_simulation(many_users, example, epochs, near, has_folds):
    """Targets of one row come together, which the probabilities average out: hence the room for several."""
    sequences, catalogue = many_users
    folds = np.arange(40) % 2 if has_folds else None
    data = TrainingChoices(candidates="sampled", num_negatives=3, example=example).batches(
        sequences, catalogue, 4, folds
    )
    hits, cases, said = np.zeros((2, 20)), np.zeros((2, 20)), np.zeros((2, 20))
    for epoch in range(epochs):
        for batch in batches(data, epoch=epoch, batch_size=6):
            fold = batch.fold or 0
            target = batch.items.ids[batch.target].numpy()
            others = len(target) - np.bincount(target, minlength=21)[1:]  # targets that are another item
            ids = batch.items.ids[batch.candidates.rows].numpy()
            is_candidate = np.zeros(21)
            is_candidate[ids] = 1
            cases[fold] += others
            hits[fold] += others * is_candidate[1:]
            log_inclusion = data.negatives.log_inclusion(np.arange(1, 21), len(target), fold)
            said[fold] += others * np.exp(log_inclusion)
            assert batch.candidates.log_inclusion.tolist() == log_inclusion[ids - 1].tolist()
    used = slice(None) if has_folds else slice(1)
    error = (hits[used] - said[used]) / cases[used]
    assert np.abs(error).max() < near
    assert np.abs(error.mean()) < near / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example": "masked"}, r"data\.example='masked': choose one of prefix, shifted, cloze\."),
        ({"candidates": "some"}, r"data\.candidates='some': choose one of all, in_batch, sampled, per_row\."),
        ({"num_negatives": 0}, r"data\.num_negatives=0: must be a whole number from 1"),
        ({"mask_probability": 2}, r"data\.mask_probability=2: must be a probability"),
        ({"last_share": -1}, r"data\.last_share=-1: must be a probability"),
    ],
)
def test_unknown_choices_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TrainingChoices(**options)


def test_what_is_open_is_filled_and_nothing_else():
    declared = TrainingChoices(candidates="per_row", num_negatives=256, example="shifted")
    choices = TrainingChoices(num_negatives=None, mask_probability=0.3, last_share=0.4, exclude_target=False)
    choices.fill(declared)
    filled = {"candidates": "per_row", "num_negatives": 256, "example": "shifted", "exclude_target": False}
    assert vars(choices) == {**filled, "mask_probability": 0.3, "last_share": 0.4, "with_times": False}
    said = TrainingChoices(candidates="sampled", num_negatives=7, example="cloze", with_times=True)
    before = dict(vars(said))
    said.fill(declared)
    assert vars(said) == before
