import numpy as np
import pytest

from missrec_pl.data.samplers import GlobalBatchSampler, ShardedEvalSampler
from missrec_pl.errors import ConfigError

SIZES = np.array([50, 0, 13, 4])
OWNER = np.repeat(np.arange(4), SIZES)
SAMPLINGS = ["proportional", "temperature", "single_domain_batches"]
every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


def batches_of(sampling, *, epoch=0, batch_size=9, **options):
    sampler = GlobalBatchSampler(SIZES, batch_size, domain_sampling=sampling, **options)
    sampler.set_epoch(epoch)
    batches = [shared.everyones[shared.own] for shared in sampler]
    assert len(batches) == len(sampler)
    return batches


@every_sampling
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_a_single_one(sampling, world_size):
    alone = batches_of(sampling, epoch=3)
    shards = [batches_of(sampling, epoch=3, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(shard) for shard in shards} == {len(alone)}
    for number, batch in enumerate(alone):
        parts = [shard[number] for shard in shards]
        assert sorted(np.concatenate(parts)) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert min(map(len, parts)) >= 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_batches_do_not_mix_folds(world_size):
    folds = np.random.default_rng(0).integers(0, 5, SIZES.sum())
    folds[folds == 3] = 4  # an empty fold
    alone = batches_of("proportional", epoch=1, folds=folds)
    shards = [
        batches_of("proportional", epoch=1, folds=folds, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for batch, *parts in zip(alone, *shards, strict=True):
        assert len(set(folds[batch])) == 1
        assert len(batch) <= 9
        assert sorted(np.concatenate(parts)) == sorted(batch)
    assert sorted(np.concatenate(alone)) == list(range(SIZES.sum()))
    order = [folds[batch[0]] for batch in alone]
    assert order != sorted(order)
    assert order != [folds[batch[0]] for batch in batches_of("proportional", epoch=2, folds=folds)]


@pytest.mark.parametrize("sampling", ["temperature", "single_domain_batches"])
def test_folds_go_with_proportional_sampling_alone(sampling):
    with pytest.raises(ConfigError, match=rf"data\.domain_sampling={sampling}: batches of one cross-fitting fold"):
        batches_of(sampling, folds=np.zeros(SIZES.sum(), int))
    GlobalBatchSampler(SIZES[:1], 9, domain_sampling=sampling, folds=np.zeros(SIZES[0], int))  # one domain


def test_the_shuffle_is_numpys_permutation():
    sampler = GlobalBatchSampler(np.array([700, 324]), 100, seed=5)
    sampler.set_epoch(2)
    found = np.concatenate([shared.everyones for shared in sampler])
    np.testing.assert_array_equal(found, np.random.default_rng([5, 2]).permutation(1024))
    assert found.dtype == np.int64


@every_sampling
@pytest.mark.parametrize("batch_size", [4, 9, 100])
def test_too_many_processes_are_refused_before_a_shuffle(sampling, batch_size):
    smallest = min(map(len, batches_of(sampling, batch_size=batch_size)))
    batches_of(sampling, batch_size=batch_size, world_size=smallest)
    with pytest.raises(ConfigError, match=rf"only {smallest} rows for {smallest + 1} processes"):
        batches_of(sampling, batch_size=batch_size, world_size=smallest + 1)


@every_sampling
def test_batches_are_of_nearly_equal_size(sampling):
    sizes = [len(batch) for batch in batches_of(sampling)]
    assert max(sizes) <= 9
    if sampling != "single_domain_batches":
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("sampling", ["proportional", "single_domain_batches"])
def test_every_sample_comes_once_an_epoch(sampling):
    assert sorted(np.concatenate(batches_of(sampling))) == list(range(SIZES.sum()))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 1e6])
def test_temperature_quotas(temperature):
    drawn = np.concatenate(batches_of("temperature", temperature=temperature))
    weights = np.where(SIZES > 0, SIZES ** (1 / temperature), 0.0)
    expected = SIZES.sum() * weights / weights.sum()
    counts = np.bincount(OWNER[drawn], minlength=4)
    assert counts.sum() == SIZES.sum()
    assert np.abs(counts - expected).max() <= 1
    assert counts[1] == 0
    times = np.bincount(drawn, minlength=SIZES.sum())
    for domain in (0, 2, 3):  # no sample a second time before every other of its domain had its turn
        assert np.ptp(times[domain == OWNER]) <= 1
    if temperature == 1.0:
        assert (times == 1).all()


def test_single_domain_batches_never_mix():
    batches = batches_of("single_domain_batches", epoch=1)
    owners = [set(OWNER[batch]) for batch in batches]
    assert all(len(owner) == 1 for owner in owners)
    order = [next(iter(owner)) for owner in owners]
    assert sorted(order) == [0] * 6 + [2] * 2 + [3]
    assert order != sorted(order)


def test_the_others_do_mix():
    for sampling in ("proportional", "temperature"):
        assert max(len(set(OWNER[batch])) for batch in batches_of(sampling)) > 1


@every_sampling
def test_epochs_and_seeds_differ_and_repeat(sampling):
    def order(**options):
        return np.concatenate(batches_of(sampling, **options)).tolist()

    assert order(epoch=0) == order(epoch=0)
    assert order(epoch=0) != order(epoch=1)
    assert order(epoch=1, seed=1) != order(epoch=1, seed=0)
    assert order(epoch=1, seed=0) != order(epoch=0, seed=1)
    assert order(seed=5) == order(seed=5)


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ConfigError, match=r"data\.domain_sampling='uniform': choose one of proportional"):
        GlobalBatchSampler(SIZES, 4, domain_sampling="uniform")


@pytest.mark.parametrize(
    ("sampling", "batch_size", "rows"), [("proportional", 2, 1), ("single_domain_batches", 9, 4)]
)
def test_a_batch_too_small_for_the_processes_is_refused(sampling, batch_size, rows):
    with pytest.raises(ConfigError, match=rf"only {rows} rows for 5 processes"):
        GlobalBatchSampler(SIZES, batch_size, domain_sampling=sampling, world_size=5)


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_evaluation_covers_every_user_once(world_size):
    lengths = np.array([5, 1, 1, 9, 3, 3, 2])
    shards = []
    for rank in range(world_size):
        sampler = ShardedEvalSampler(lengths, 2, rank=rank, world_size=world_size)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(1 <= len(batch) <= 2 for batch in batches)
        shown = [lengths[user] for batch in batches for user in batch]
        assert shown == sorted(shown)
        shards += [user for batch in batches for user in batch]
    assert sorted(shards) == list(range(7))


@pytest.mark.parametrize(("num_folds", "padding"), [(None, 0.1), (3, 0.3)])
def test_rows_of_like_length_share_a_batch_and_batches_have_equal_places(num_folds, padding):
    random = np.random.default_rng(0)
    lengths = np.minimum(random.geometric(0.2, 2000), 50)
    folds = None if num_folds is None else random.integers(num_folds, size=2000)
    sampler = GlobalBatchSampler(np.array([1500, 500]), 64, lengths=lengths, folds=folds, seed=1)
    batches = sampler.global_batches()
    assert len(batches) == len(sampler)
    assert sorted(np.concatenate(batches).tolist()) == list(range(2000))
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert padded < (1 + padding) * lengths.sum()
    places = np.array([lengths[batch].sum() for batch in batches])
    full = np.array([len(batch) > 8 for batch in batches])
    assert places[full].std() < 0.2 * places.mean()
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means)  # in no order of length
    assert [batch.tolist() for batch in sampler.global_batches()] == [batch.tolist() for batch in batches]
    sampler.set_epoch(1)
    assert {frozenset(batch) for batch in batches} != {frozenset(batch) for batch in sampler.global_batches()}


@pytest.mark.parametrize("world_size", [2, 8])
def test_every_process_has_rows_of_long_batches(world_size):
    lengths = np.array([1] * 300 + [200] * 20)
    shards = [
        GlobalBatchSampler(np.array([320]), 32, lengths=lengths, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    everyone = [[batch.everyones[batch.own].tolist() for batch in shard] for shard in shards]
    assert all(all(shard) for shard in everyone)
    assert sorted(sample for shard in everyone for batch in shard for sample in batch) == list(range(320))
