"""1, 2 and 3 processes on sizes that nothing divides: 1,001 training rows, 101 users to evaluate."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny_runs import detach_from_trainer, make_model, make_module, training_batch

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.clustering.methods import DPCKNN
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.samplers import GlobalBatchSampler, ShardedEvalSampler
from missrec_pl.data.splits import EvaluationRows, make_split
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive

ROWS, USERS, BATCH = 1001, 101, 256
PHASES = {"pretrain": (False, "missrec"), "finetune": (True, "released")}


def make_domains(memory_domain):
    """Two domains with 1,001 training prefixes together; their leave-one-out has more than 101 users."""
    random = np.random.default_rng(0)
    domains, left = [], ROWS
    for name, rows in (("a", 600), ("b", ROWS - 600)):
        lengths = []
        while rows:
            lengths.append(min(int(random.integers(1, 9)), rows))  # training prefixes of a user
            rows -= lengths[-1]
        sequences = [(1 + random.permutation(40)[: length + 3]).tolist() for length in lengths]
        features = {"text": random.normal(size=(40, 6)).tolist(), "image": random.normal(size=(40, 5)).tolist()}
        for item in range(0, 40, 3):
            features["image"][item] = None
        domains.append(memory_domain(name, features=features, sequences=sequences))
        left -= sum(lengths)
    assert left == 0
    return domains


def make_datamodule(domains):
    """A data module that was set up without folders."""
    datamodule = DomainDataModule([])
    datamodule._catalogue = Catalogue(domains, ["text", "image"])
    splits = [make_split(domain.sequences, "leave_one_out") for domain in domains]
    datamodule.sequences = GlobalSequences(datamodule._catalogue, splits)
    return datamodule


def one_epoch(phase, domains, rank, processes):
    """Losses and gradients of an epoch's global batches, the interest table, and sums of the metrics."""
    whole, kind = PHASES[phase]
    datamodule = make_datamodule(domains)
    model = make_model(kind, datamodule.catalogue, item_ids=whole, method=DPCKNN(k=3, backend="tiled"))
    loss = Contrastive(orthogonality_weight=0.3, seq_seq_weight=0.0 if whole else 0.5)
    options = {"scorers": ("seen",) if whole else (), "views": not whole}
    module = detach_from_trainer(make_module(model, datamodule.catalogue, loss, **options), datamodule)
    InterestRefresh().refresh(module.trainer, module)
    table = {name: buffer.clone() for name, buffer in model.interests.named_buffers()}
    samples = GlobalBatchSampler(np.array([600, ROWS - 600]), BATCH, seed=1, rank=rank, world_size=processes)
    losses, sizes = [], []
    for batch in (shared.everyones[shared.own] for shared in samples):
        loss = module.training_step(training_batch(datamodule, batch, whole=whole), 0)
        loss.backward()
        losses.append(float(loss.detach()))
        sizes.append(len(batch))
    gradients = {name: p.grad / len(losses) for name, p in model.named_parameters() if p.grad is not None}
    test = datamodule.sequences.test
    users = EvaluationRows(test.user[:USERS], test.target[:USERS])
    assert len(users) == USERS
    with torch.no_grad():
        module.on_test_epoch_start()
        loader = datamodule._evaluation(users)
        shard = ShardedEvalSampler(loader.dataset.lengths(), 16, rank=rank, world_size=processes)
        for rows in shard:
            module.test_metrics.update(module.ranks(loader.dataset[rows]))
    metrics = {name: float(value) for name, value in module.test_metrics.compute().items()}
    return {"losses": losses, "sizes": sizes, "gradients": gradients, "table": table, "metrics": metrics}


def _on_one_rank(rank, processes, scratch, domains):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{scratch}/store{processes}", rank=rank, world_size=processes
    )
    results = {}
    for phase in PHASES:
        found = one_epoch(phase, domains, rank, processes)
        for gradient in found["gradients"].values():
            dist.all_reduce(gradient)
            gradient /= processes  # DDP's average
        mean = torch.tensor(found["losses"], dtype=torch.float64)
        dist.all_reduce(mean)
        results[phase] = {**found, "losses": (mean / processes).tolist()}
    torch.save(results, f"{scratch}/{processes}-{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def domains(memory_domain):
    return make_domains(memory_domain)


@pytest.fixture(scope="module")
def alone(domains):
    return {phase: one_epoch(phase, domains, 0, 1) for phase in PHASES}


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request, domains, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("odd")
    arguments = (request.param, str(scratch), domains)  # forked: nothing is imported or pickled again
    mp.start_processes(_on_one_rank, arguments, nprocs=request.param, start_method="fork")
    return [torch.load(scratch / f"{request.param}-{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("phase", PHASES)
def test_losses_gradients_interests_and_metrics_are_those_of_one_process(ranks, alone, phase):
    expected = alone[phase]
    assert sum(expected["sizes"]) == ROWS
    assert sum(sum(rank[phase]["sizes"]) for rank in ranks) == ROWS
    for rank in ranks:
        found = rank[phase]
        assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert found["metrics"] == expected["metrics"]  # sums of the same ranks: to the last digit
        for name, buffer in expected["table"].items():
            assert torch.equal(found["table"][name], buffer), name
        assert found["gradients"].keys() == expected["gradients"].keys()
        largest = max(float(gradient.abs().max()) for gradient in expected["gradients"].values())
        for name, gradient in expected["gradients"].items():
            torch.testing.assert_close(
                found["gradients"][name], gradient, rtol=1e-5, atol=1e-5 * largest, msg=name
            )
