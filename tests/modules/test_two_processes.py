"""Gradients of two processes with uneven shards, averaged as DDP averages them, are those of one process."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny_runs import detach_from_trainer, fit_once, make_model, make_module, sampled_batch, training_batch
from torch.nn.parallel import DistributedDataParallel

from missrec_pl.data.augmentations import drop_items
from missrec_pl.data.augmentations_released import drop_predecessors
from missrec_pl.data.examples.kinds import TrainingPrefixes
from missrec_pl.data.sources import DomainFolders
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive
from missrec_pl.nn.missrec.collaborative import CollaborativeVectors
from missrec_pl.nn.scorers.content import WhitenedVectors
from missrec_pl.nn.scorers.cooccurrence import PairCounts
from missrec_pl.system.processes import first_own_row, gather_rows, row_counts, world_size

GATHERS = {  # of a step, and reductions of what is gathered with gradients
    "pretrain": (5, 3),
    "pretrain released": (5, 2),
    "pretrain compat": (5, 2),
    "finetune in_batch": (3, 1),
    "finetune tuned in_batch": (3, 1),
}
SAMPLES = np.arange(0, 39, 3)  # 13 rows: shards of 7 and 6
IN_DDP = ("pretrain", "pretrain released", "finetune tuned")


class DropMultiplesOfThree:
    """A second view that is the same whichever process makes it."""

    def __init__(self, drop=drop_items):
        self.drop = drop

    def __call__(self, batch):
        return batch, self.drop(batch, batch.items.ids[batch.history] % 3 != 0)


COMPAT = {
    "orthogonality_form": "released",
    "orthogonality_of_both_views": True,
    "seq_seq_form": "released",
    "mask_duplicates": False,
    "padding_candidate": True,
    "augmentation": DropMultiplesOfThree(drop_predecessors),
}
WITH_IDS, AS_RELEASED, SPECTRAL = {"item_ids": True}, {"compat": True}, {"collaborative": 4}
NONE, SEEN, TUNED = (), ("seen",), ("seen", "cooccurrence", "content")
CASES = {  # network, whether all items are candidates, options of the network, scorers, options of the loss
    "pretrain": ("missrec", False, {}, NONE, {}),
    "pretrain released": ("released", False, WITH_IDS, NONE, {"seq_seq_form": "released"}),
    "pretrain compat": ("released", False, AS_RELEASED, NONE, COMPAT),
    "finetune in_batch": ("released", False, WITH_IDS, SEEN, {}),
    "finetune sampled": ("released", "sampled", WITH_IDS, SEEN, {}),
    "finetune all": ("missrec", True, WITH_IDS, SEEN, {}),
    "finetune tuned": ("released", True, SPECTRAL, TUNED, {}),
    "finetune tuned in_batch": ("released", False, SPECTRAL, TUNED, {}),
    "finetune compat": ("released", True, AS_RELEASED, NONE, COMPAT),
}


def prepared(case: str, folders: list[str]):
    kind, _, network, scorers, losses = CASES[case]
    datamodule = DomainDataModule([DomainFolders(folders, "")], num_folds=2)
    datamodule.setup()
    defaults = {"orthogonality_weight": 0.3, "seq_seq_weight": 0.5, "augmentation": DropMultiplesOfThree()}
    options = {"scorers": scorers, "views": case.startswith("pretrain")}
    model = make_model(kind, datamodule.catalogue, **network)
    module = make_module(model, datamodule.catalogue, Contrastive(**{**defaults, **losses}), **options)
    detach_from_trainer(module, datamodule)
    fit_once(module, datamodule)
    return module.double(), datamodule


def gradients(case: str, folders: list[str], rank: int, processes: int) -> dict[str, torch.Tensor]:
    module, datamodule = prepared(case, folders)
    whole = CASES[case][1]
    if whole == "sampled":
        batch = sampled_batch(datamodule, SAMPLES, rank, processes)
    else:
        batch = training_batch(datamodule, SAMPLES[rank::processes], whole=whole)
    module.training_step(batch, 0).backward()
    assert ("seq_seq" in module.losses) == case.startswith("pretrain")
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def fitted_buffers(case: str, folders: list[str]) -> dict[str, torch.Tensor]:
    """What was fitted once, to the last bit."""
    module, _ = prepared(case, folders)
    parts = [part for part in module.fitted_parts if part.every == "once"]
    return {f"{i} {name}": buffer for i, part in enumerate(parts) for name, buffer in part.named_buffers()}


def without_images(datamodule: DomainDataModule) -> np.ndarray:
    """Training samples whose targets have no image: such candidates have nothing to weigh."""
    catalogue = datamodule.catalogue
    prefixes = TrainingPrefixes(datamodule.sequences, catalogue, datamodule.max_history, deduplicate=True)
    has_none = catalogue.is_missing[:, catalogue.modalities.index("image")]
    rows = prefixes.locate(np.arange(len(prefixes)), np.random.default_rng(0))
    return np.flatnonzero(has_none[prefixes.targets_of(rows)])


def steps_in_ddp(case: str, folders: list[str], rank: int) -> dict[str, str | bool]:
    """What torch's DDP says to two steps on such samples, and whether it sends buffers."""
    module, datamodule = prepared(case, folders)
    samples = without_images(datamodule)[: len(SAMPLES)]
    module.forward = module.training_step
    wrapped = DistributedDataParallel(module)
    refusal = ""
    try:
        for _ in range(2):
            wrapped(training_batch(datamodule, samples[rank::2], whole=CASES[case][1]), 0).backward()
    except RuntimeError as error:
        refusal = str(error)
    return {"refusal": refusal, "sends_buffers": wrapped.will_sync_module_buffers()}


@contextmanager
def counted_fits() -> Iterator[list[str]]:
    """The parts that this process fits."""
    kinds, found = (CollaborativeVectors, PairCounts, WhitenedVectors), []

    def counting(fit):
        return lambda part, context: found.append(type(part).__name__) or fit(part, context)

    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            patch.setattr(kind, "fit", counting(kind.fit))
        yield found


def count_exchanges() -> list[str]:
    """A list that grows with every collective operation of this process; those of one number each are "counts"."""
    found = []

    def counting(name, exchange):
        def counted(*arguments, **more):
            mine = arguments[-1] if name == "all_gather" else arguments[0]
            is_count = name == "all_gather" and mine.dtype == torch.long and mine.numel() == 1
            found.append("counts" if is_count else name)
            return exchange(*arguments, **more)

        return counted

    for name in (
        "all_gather",
        "all_reduce",
        "broadcast",
        "barrier",
        "all_gather_into_tensor",
        "all_gather_object",
    ):
        setattr(dist, name, counting(name, getattr(dist, name)))
    return found


def _on_one_rank(rank: int, scratch: str, folders: list[str]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{scratch}/store", rank=rank, world_size=2)
    results = {"in ddp": {case: steps_in_ddp(case, folders, rank) for case in IN_DDP}, "exchanged": {}}
    with counted_fits() as fits:
        results["fitted"] = fitted_buffers("finetune tuned", folders)
    results["fits"] = fits
    exchanges = count_exchanges()
    for case in CASES:
        exchanges.clear()
        results[case] = gradients(case, folders, rank, 2)
        results["exchanged"][case] = list(exchanges)
        for gradient in results[case].values():
            dist.all_reduce(gradient)
            gradient /= 2  # DDP's average
    mine = torch.arange(3 - rank).double().requires_grad_()
    everything = gather_rows(mine)
    (everything * torch.arange(5) * (rank + 1)).sum().backward()
    results["gather"] = {
        "rows": everything.detach(),
        "gradient": mine.grad,
        "flags": gather_rows(torch.tensor([[rank, 7]] * (rank + 1), dtype=torch.uint8)),
        "counts": torch.tensor([*row_counts(mine), first_own_row(row_counts(mine)), world_size()]),
    }
    torch.save(results, f"{scratch}/rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folders(synthetic_source):
    return [str(path) for path in synthetic_source(num_domains=2).paths()]


@pytest.fixture(scope="module")
def results(folders, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("ranks")
    mp.start_processes(_on_one_rank, (str(scratch), folders), nprocs=2, start_method="fork")
    return [torch.load(scratch / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_one_process(results, folders, case):
    expected = gradients(case, folders, 0, 1)
    assert sum(float(gradient.abs().sum()) for gradient in expected.values()) > 0.1
    for rank in range(2):
        assert results[rank][case].keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(results[rank][case][name], gradient, rtol=1e-7, atol=1e-10, msg=name)


def test_what_is_fitted_once_is_fitted_by_the_first_process_and_sent(results, folders):
    with counted_fits() as fits:
        expected = fitted_buffers("finetune tuned", folders)
    assert (
        results[0]["fits"] == fits == ["CollaborativeVectors", "PairCounts", "WhitenedVectors", "WhitenedVectors"]
    )
    assert results[1]["fits"] == []
    assert {"0 vectors", "0 without_fold", "1 counts", "2 vectors", "3 items"} <= expected.keys()
    assert expected["0 without_fold"].shape[0] == 2
    for result in results:
        assert result["fitted"].keys() == expected.keys()
        for name, buffer in expected.items():
            assert buffer.numel() or name == "1 kept", name  # no item has lost pairs
            assert result["fitted"][name].dtype == buffer.dtype, name
            assert torch.equal(result["fitted"][name], buffer), name


@pytest.mark.parametrize("case", CASES)
def test_the_number_of_rows_is_exchanged_once_a_step(results, case):
    widths_of_the_release = {"pretrain compat": 2, "finetune compat": 1}  # for every encoded view
    for result in results:
        assert result["exchanged"][case].count("counts") == 1 + widths_of_the_release.get(case, 0)


@pytest.mark.parametrize("case", CASES)
def test_a_step_exchanges_little_beside_its_gradients(results, case):
    """With all items, or sampled ones, as candidates: counts alone. Otherwise rows, whose gradients come back."""
    gathers, reductions = GATHERS.get(case, (0, 0))
    for result in results:
        found = [name for name in result["exchanged"][case] if name not in ("counts", "broadcast")]  # sent once
        assert found == ["all_gather"] * gathers + ["all_reduce"] * reductions


@pytest.mark.parametrize("case", IN_DDP)
def test_ddp_takes_candidates_without_images_and_sends_no_buffers(results, case):
    for result in results:
        assert result["in ddp"][case] == {"refusal": "", "sends_buffers": False}


def test_shards_of_different_size_are_gathered_with_their_gradients(results):
    for rank, found in enumerate(result["gather"] for result in results):
        assert found["rows"].tolist() == [0, 1, 2, 0, 1]
        # Both processes' losses weigh a row: by its number, once and twice.
        assert found["gradient"].tolist() == ([0, 3, 6] if rank == 0 else [9, 12])
        assert found["flags"].tolist() == [[0, 7], [1, 7], [1, 7]]
        assert found["counts"].tolist() == [3, 2, 0 if rank == 0 else 3, 2]


def test_one_process_gathers_itself():
    rows = torch.rand(3, 2)
    assert gather_rows(rows) is rows
    assert row_counts(rows) == [3]
    assert first_own_row([3]) == 0
