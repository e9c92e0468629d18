"""Fitting over two processes: whoever fits, all end with the same bits."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from contexts import context_of

from missrec_pl.nn.fitted import Fitted, refit
from missrec_pl.nn.missrec.collaborative import CollaborativeVectors
from missrec_pl.nn.scorers.cooccurrence import PairCounts
from missrec_pl.system.processes import Share

LINES, FOLDS = [[1, 2, 3, 1], [2, 3, 5], [4, 5, 6], [6, 4], [1, 6, 2]], [0, 1, 0, 1, 0]


class Late(Fitted):
    """Nothing is there before the first fit, and shapes change with every fit; what is fitted says who did it."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Module()
        self.inner.register_buffer("ids", None, persistent=False)
        self.register_buffer("vectors", None, persistent=False)
        self.register_buffer("is_known", None, persistent=False)
        self.register_buffer("nothing", None, persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @property
    def is_empty(self):
        return self.vectors is None

    def fit(self, context):
        rows = 3 + int(self.count)
        self.vectors = torch.full((rows, 2), 10.0 + context.share.index).T  # not contiguous
        self.is_known = torch.arange(rows) % 2 == 0
        self.inner.ids = torch.arange(rows) + context.seed
        self.nothing = torch.empty(0, 4)
        self.count += 1
        return {"fitted by": float(context.share.index)}


class ByAll(Late):
    on = "all"


def fitted(domain, share):
    """Buffers of all parts after two fits of each, and what they report."""
    found = {}
    for make in (Late, ByAll, PairCounts, lambda: CollaborativeVectors(6, 3)):
        part = make()
        before = part.is_empty
        told = [refit(part, context_of(domain, LINES, FOLDS, share)) for _ in range(2)]
        buffers = {name: buffer.clone() for name, buffer in part.named_buffers()}
        found[type(part).__name__] = {"buffers": buffers, "told": told, "emptied": [before, part.is_empty]}
    return found


def _on_one_rank(rank, scratch, domain):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{scratch}/store", rank=rank, world_size=2)
    torch.save(fitted(domain, Share.mine()), f"{scratch}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def domain(memory_domain):
    return memory_domain("six", features={"text": torch.eye(6).tolist()})


@pytest.fixture(scope="module")
def ranks(domain, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("fitted")
    mp.start_processes(_on_one_rank, (str(scratch), domain), nprocs=2, start_method="fork")
    return [torch.load(scratch / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", ["Late", "ByAll", "PairCounts", "CollaborativeVectors"])
def test_two_processes_end_with_the_bits_of_one(ranks, domain, name):
    alone = fitted(domain, Share())[name]
    assert len(alone["buffers"]) >= 2
    assert alone["emptied"] == [True, False]
    for rank in ranks:
        assert rank[name]["emptied"] == [True, False]
        assert rank[name]["buffers"].keys() == alone["buffers"].keys()
        for buffer, expected in alone["buffers"].items():
            found = rank[name]["buffers"][buffer]
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert torch.equal(found, expected), buffer


def test_what_was_there_before_has_the_shape_of_the_last_fit(ranks):
    for rank in ranks:
        assert rank["Late"]["buffers"]["vectors"].tolist() == [[10.0] * 4] * 2
        assert rank["Late"]["buffers"]["inner.ids"].tolist() == [0, 1, 2, 3]
        assert rank["Late"]["buffers"]["count"] == 2


def test_all_know_what_is_reported_by_who_fits(ranks):
    for name in ("Late", "ByAll"):
        assert [rank[name]["told"] for rank in ranks] == [[{"fitted by": 0.0}] * 2] * 2
