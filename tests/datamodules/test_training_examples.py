"""Kinds of examples and candidates through the data module, Lightning and loader workers."""

from types import SimpleNamespace

import pytest
import torch
from loading import Memory, Recorder, ready

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError, DataError


def batches_of(datamodule, *, epoch=0, done=None, rank=0, world_size=1):
    """What a process loads; ``done``: batches of the epoch before an interruption."""
    progress = SimpleNamespace(current=SimpleNamespace(processed=epoch))
    ready_batches = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(ready=done)))
    loop = SimpleNamespace(epoch_progress=progress, restarting=done is not None, epoch_loop=ready_batches)
    datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=loop)
    return list(datamodule.train_dataloader())


def same(one, other):
    assert len(one) == len(other)
    for batch, twin in zip(one, other, strict=True):
        kept, compared = [], []
        batch.apply(lambda tensor, kept=kept: kept.append(tensor) or tensor)
        twin.apply(lambda tensor, compared=compared: compared.append(tensor) or tensor)
        assert len(kept) == len(compared)
        assert all(torch.equal(a, b) for a, b in zip(kept, compared, strict=True))
    return True


@pytest.mark.parametrize("example", ["prefix", "shifted", "cloze"])
@pytest.mark.parametrize("candidates", ["all", "in_batch", "sampled", "per_row"])
def test_every_example_goes_with_every_kind_of_candidates(make_datamodule, make_trainer, example, candidates):
    options = {"candidates": candidates, "example": example, "num_negatives": 5, "max_history": 3}
    datamodule, recorder = make_datamodule(num_domains=2, batch_size=16, **options), Recorder()
    make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(recorder, datamodule=datamodule)
    for batch in recorder.epochs[0]:
        assert (batch.place is None) == (example == "prefix")
        assert (batch.is_masked is None) == (example != "cloze")
        assert len(batch.target) == (len(batch) if batch.place is None else len(batch.place))
        assert batch.items.is_whole == (candidates == "all")
        assert batch.items.features
        assert batch.times is None
    assert len(recorder.epochs[0]) == len(recorder.epochs[1])
    assert not torch.equal(recorder.epochs[0][0].history, recorder.epochs[1][0].history)
    assert all(batch.place is None and batch.is_masked is None for batch in recorder.validated)


@pytest.mark.parametrize("example", ["shifted", "cloze"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_run_resumed_within_an_epoch_gets_the_batches_it_had_left(make_datamodule, example, num_workers):
    options = {"candidates": "per_row", "example": example, "num_negatives": 5, "batch_size": 7}
    whole = batches_of(ready(make_datamodule(**options)), epoch=2)
    left = batches_of(ready(make_datamodule(num_workers=num_workers, **options)), epoch=2, done=3)
    assert len(whole) > 3
    assert same(left, whole[3:])


def test_what_the_constructor_left_open_is_chosen_later(make_datamodule):
    options = {"num_negatives": 3, "batch_size": 16}
    said = ready(make_datamodule(candidates="per_row", example="cloze", **options))
    open_one = ready(make_datamodule(candidates=None, **options))
    assert batches_of(open_one)[0].candidates is None  # all items unless chosen
    open_one.choose(candidates="per_row", example="cloze")
    assert same(batches_of(open_one), batches_of(said))
    said.choose(candidates="all", example="shifted", num_negatives=9)
    assert same(batches_of(said), batches_of(open_one))
    early = make_datamodule(candidates=None, num_negatives=None)
    early.choose(candidates="sampled")
    ready(early)
    early.choose(num_negatives=4)
    assert batches_of(early)[0].place is None  # prefixes unless chosen


@pytest.mark.parametrize("late", [False, True])
def test_times_come_where_they_are_asked_for(make_datamodule, late):
    datamodule = ready(make_datamodule(with_times=not late, example="shifted"))
    if late:
        assert batches_of(datamodule)[0].times is None
        datamodule.choose(with_times=True)
    train = batches_of(datamodule)
    for batch in (*train, *datamodule.val_dataloader(), *datamodule.test_dataloader()):
        assert batch.times.shape == (len(batch), batch.history.shape[1] + 1)
        steps = batch.times.diff()[torch.arange(batch.history.shape[1]) < batch.length[:, None]]
        assert (steps >= 0).all()
        assert steps.sum() > 0


def test_a_domain_without_times_is_an_error_when_they_are_read(memory_domain, monkeypatch):
    domain = memory_domain("timeless", features={"text": [[1.0], [2.0]]}, sequences=[[1, 2, 1, 2]])
    monkeypatch.setattr("missrec_pl.datamodules.domains.Domain.open", lambda domain: domain)
    with pytest.raises(DataError, match="domain timeless has no timestamps"):
        DomainDataModule([Memory(domain)], with_times=True).setup()
    late = DomainDataModule([Memory(domain)])
    late.setup()
    with pytest.raises(DataError, match="domain timeless has no timestamps"):
        late.choose(with_times=True)


def test_candidates_chosen_late_are_checked_against_the_sampling_of_domains(make_datamodule):
    datamodule = ready(make_datamodule(num_domains=2, candidates=None, domain_sampling="temperature"))
    with pytest.raises(ConfigError, match=r"data\.candidates=sampled: over 2 domains it needs"):
        datamodule.choose(candidates="sampled")
    with pytest.raises(ConfigError, match=r"data\.example='masked': choose one of prefix, shifted, cloze"):
        datamodule.choose(example="masked")


@pytest.mark.parametrize("domain_sampling", ["temperature", "single_domain_batches"])
@pytest.mark.parametrize("example", ["shifted", "cloze"])
def test_domains_are_sampled_by_rows(make_datamodule, domain_sampling, example):
    options = {"candidates": "per_row", "num_negatives": 3, "example": example}
    datamodule = ready(make_datamodule(num_domains=2, domain_sampling=domain_sampling, **options))
    for batch in batches_of(datamodule):
        own = batch.items.ids[batch.candidates.rows]
        row = batch.place // batch.history.shape[1]
        assert torch.equal((own > 30).long(), batch.domain[row][:, None].expand_as(own))
        if domain_sampling == "single_domain_batches":
            assert len(batch.domain.unique()) == 1
