"""dpc_knn shared by 2 and 3 processes gives what one process gives, to the bit."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from clustering_oracle import make_tokens

from missrec_pl.clustering import dpc_knn
from missrec_pl.clustering.backends import keops, tiled

FIELDS = ("log_density", "density", "delta", "score", "centers", "assignment", "prototypes")
BACKENDS = ("tiled", "dense") if keops.missing_compiler() else ("tiled", "dense", "keops")
CASES = {  # kind, tokens, prototypes, k
    "random": ("random", 301, 17, 5),
    "clustered": ("clustered", 301, 40, 9),
    "far": ("far", 150, 9, 5),
    "duplicated": ("duplicated", 200, 90, 5),
    "grid": ("grid", 200, 20, 5),
    "two tokens": ("random", 2, 2, 1),
    "one token": ("random", 1, 1, 1),
}


def cluster(case: str, backend: str, sharded: bool) -> dict[str, torch.Tensor]:
    kind, total, num_clusters, k = CASES[case]
    tokens = make_tokens(kind, total, 16, seed=11)
    result = dpc_knn(tokens, num_clusters, k, backend=backend, prototype="mean", sharded=sharded)
    return {name: getattr(result, name) for name in FIELDS}


def _on_one_rank(rank: int, world_size: int, scratch: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{scratch}/store", rank=rank, world_size=world_size)
    tiled._TILE["cpu"] = 32  # so that few tokens make many blocks
    results = {f"{case}/{backend}": cluster(case, backend, sharded=True) for case in CASES for backend in BACKENDS}
    torch.save({"results": results}, f"{scratch}/rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def ranks(request, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("ranks")
    mp.start_processes(_on_one_rank, (request.param, str(scratch)), nprocs=request.param, start_method="fork")
    return [torch.load(scratch / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_processes_gives_the_same_result(ranks, case, backend, monkeypatch):
    monkeypatch.setitem(tiled._TILE, "cpu", 32)
    alone = cluster(case, backend, sharded=False)
    for rank in ranks:
        for name, expected in alone.items():
            assert torch.equal(rank["results"][f"{case}/{backend}"][name], expected), name
