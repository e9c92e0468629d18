from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from loading import Memory, Recorder, ready

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError, DataError

USERS = 36


def rows(batches):
    """Items of the history and the target of every row, as global ids."""
    out = []
    for batch in batches:
        ids = torch.arange(10_000) if batch.items is None else batch.items.ids
        histories = [ids[history[history != 0]].tolist() for history in batch.history]
        out += [(*history, int(ids[target])) for history, target in zip(histories, batch.target, strict=True)]
    return out


def dense_features(batch, name, num_items):
    items = batch.items
    table = torch.zeros(num_items + 1, items.features[name].shape[1])
    table[items.ids[items.rows[name]]] = items.features[name].float()
    return table


def test_setup_opens_all_domains_once(make_datamodule):
    datamodule = make_datamodule(num_domains=2)
    with pytest.raises(RuntimeError, match="before setup"):
        _ = datamodule.catalogue
    ready(datamodule)
    catalogue = datamodule.catalogue
    assert catalogue.num_items == 60
    assert catalogue.modalities == ["text", "image"]
    assert len(datamodule.sequences.test) == len(datamodule.validation_rows) == 2 * USERS
    datamodule.setup("test")
    assert datamodule.catalogue is catalogue


def test_text_and_image_come_first_others_by_name(synthetic_source):
    source = synthetic_source(dims={"zebra": 3, "image": 4, "audio": 2, "text": 5}, missing={})
    assert ready(DomainDataModule([source])).catalogue.modalities == ["text", "image", "audio", "zebra"]
    chosen = ready(DomainDataModule([source], modalities=["audio", "text"]))
    assert chosen.catalogue.feature_dims == {"audio": 2, "text": 5}


@pytest.mark.parametrize("candidates", ["all", "in_batch", "sampled"])
def test_loaders_cover_training_and_evaluation(make_datamodule, candidates):
    datamodule = ready(make_datamodule(candidates=candidates, eval_batch_size=10))
    train = list(datamodule.train_dataloader())
    assert all((batch.items is None) == (candidates == "all") for batch in train)
    assert len(rows(train)) == int(np.maximum(datamodule.sequences.train_length - 1, 0).sum())
    for loader in (datamodule.val_dataloader(), datamodule.test_dataloader()):
        batches = list(loader)
        assert [len(batch) for batch in batches] == [10, 10, 10, 6]
        assert all(batch.items is None for batch in batches)


def test_workers_load_the_same_batches(make_datamodule):
    def loaded(num_workers):
        datamodule = ready(make_datamodule(candidates="in_batch", placement="memmap", num_workers=num_workers))
        return list(datamodule.train_dataloader())

    alone, helped = loaded(0), loaded(1)
    assert rows(alone) == rows(helped)
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.items.features["image"], other.items.features["image"])


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_batches_and_users(make_datamodule, world_size):
    def batches(loader_name, rank, world_size):
        datamodule = ready(make_datamodule(candidates="all", eval_batch_size=4))
        epoch = SimpleNamespace(current=SimpleNamespace(processed=0))
        progress = SimpleNamespace(epoch_progress=epoch, restarting=False)
        datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=progress)
        return list(getattr(datamodule, loader_name)())

    for loader_name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        alone = rows(batches(loader_name, 0, 1))
        shards = [batches(loader_name, rank, world_size) for rank in range(world_size)]
        assert sorted(row for shard in shards for row in rows(shard)) == sorted(alone)


@pytest.mark.parametrize("candidates", ["all", "in_batch", "sampled"])
@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
def test_training_batches_arrive_with_their_features(make_datamodule, make_trainer, candidates, placement):
    datamodule, recorder = make_datamodule(candidates=candidates, placement=placement), Recorder()
    make_trainer(max_epochs=1, num_sanity_val_steps=0).fit(recorder, datamodule=datamodule)
    catalogue = datamodule.catalogue
    assert len(recorder.epochs[0]) > 2
    for batch in recorder.epochs[0]:
        assert batch.items.is_whole == (candidates == "all")
        for name in catalogue.modalities:
            filled = dense_features(batch, name, catalogue.num_items)
            present = torch.zeros(catalogue.num_items + 1, dtype=torch.bool)
            present[batch.items.ids] = ~batch.items.is_missing[:, catalogue.modalities.index(name)]
            expected = torch.from_numpy(np.array(catalogue.domains[0].features(name))) * present[:, None]
            assert torch.equal(filled, expected)
            assert filled.abs().sum() > 0
    assert all(batch.items is None for batch in recorder.validated)
    assert sum(map(len, recorder.validated)) == USERS


@pytest.mark.parametrize("num_workers", [0, 1])
def test_epochs_are_shuffled_differently_and_a_resumed_run_goes_on(
    make_datamodule, make_trainer, tmp_path, num_workers
):
    make_datamodule = partial(make_datamodule, candidates="all", num_workers=num_workers)
    options = {"num_sanity_val_steps": 0, "enable_checkpointing": False, "limit_val_batches": 0}
    whole = Recorder()
    make_trainer(max_epochs=3, **options).fit(whole, datamodule=make_datamodule())
    first, second, third = (rows(epoch) for epoch in whole.epochs)
    assert sorted(first) == sorted(second) == sorted(third)
    assert first != second
    assert second != third
    begun, resumed = Recorder(), Recorder()
    trainer = make_trainer(max_epochs=2, **options)
    trainer.fit(begun, datamodule=make_datamodule())
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    make_trainer(max_epochs=3, **options).fit(
        resumed, datamodule=make_datamodule(), ckpt_path=tmp_path / "two.ckpt", weights_only=True
    )
    assert [rows(epoch) for epoch in begun.epochs] == [first, second]
    assert [rows(epoch) for epoch in resumed.epochs] == [third]


def test_a_sample_of_validation_users_is_fixed_by_the_seed(make_datamodule):
    def users(**options):
        datamodule = ready(make_datamodule(**options))
        assert len(datamodule.sequences.test) == USERS
        return datamodule.validation_rows.user.tolist()

    sample = users(max_validation_users=9, seed=1)
    assert len(set(sample)) == 9
    assert sample == sorted(sample) == users(max_validation_users=9, seed=1)
    assert sample != users(max_validation_users=9, seed=2)
    assert users(max_validation_users=USERS) == users() == list(range(USERS))


def test_an_empty_test_split_is_an_error(memory_domain, monkeypatch):
    domain = memory_domain("singles", features={"text": [[1.0], [2.0]]}, sequences=[[1], [2]])
    monkeypatch.setattr("missrec_pl.datamodules.domains.Domain.open", lambda domain: domain)
    with pytest.raises(
        DataError, match=r"the test split of \['singles'\] is empty under data\.split=leave_one_out"
    ):
        DomainDataModule([Memory(domain)]).setup()


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_batches_are_copied_while_a_gpu_computes(make_datamodule, kind):
    class Batch:
        def to(self, device, non_blocking=False):
            return device.type, non_blocking

    copied = make_datamodule().transfer_batch_to_device(Batch(), torch.device(kind), 0)
    assert copied == (kind, kind == "cuda")


@pytest.mark.parametrize("has_gpu", [False, True])
def test_loaders_prepare_ahead_and_pin_for_a_gpu(make_datamodule, monkeypatch, has_gpu):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    loader = ready(make_datamodule(candidates="all", num_workers=2, prefetch_factor=5)).train_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers) == (2, 5, True)
    assert loader.pin_memory == has_gpu
    alone = ready(make_datamodule(candidates="all", prefetch_factor=5)).train_dataloader()
    assert (alone.num_workers, alone.prefetch_factor, alone.persistent_workers) == (0, None, False)


def test_unknown_candidates_are_refused():
    with pytest.raises(ConfigError, match=r"data\.candidates='drawn': choose one of all, in_batch, sampled"):
        DomainDataModule([], candidates="drawn")


def test_more_processes_than_users_are_refused(make_datamodule):
    """One process would rank nobody, and the others would wait for it."""
    datamodule = ready(make_datamodule())
    count = len(datamodule.sequences.test)
    for processes in (count, count + 1):
        datamodule.trainer = SimpleNamespace(global_rank=0, world_size=processes)
        if processes == count:
            assert len(datamodule.test_dataloader()) == 1
            continue
        with pytest.raises(ConfigError, match=rf"{count} users to evaluate for {processes} processes: lower"):
            datamodule.test_dataloader()
