"""dpc_knn with the options of the authors' code against what it computed (tests/golden, or $GOLDEN_DIR).

Two differences are meant. The authors divide a cluster's sum by its size + 1e-4; we divide by its size, and
the test undoes that. They compare densities strictly, so that all copies of the densest token get the
largest distance and become centres of their own; we count the copy of lowest index as denser, so that one
of them does and the others follow it at distance 0. Theirs spends prototypes on one point (60 of 100 in the
`dup60` file); ours leaves them to places that differ.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from missrec_pl.clustering import dpc_knn

FOLDER = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parents[1] / "golden")
FILES = sorted(FOLDER.glob("dpc_knn_*.npz"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    with np.load(request.param) as arrays:
        return dict(arrays)


def run(golden, backend: str):
    return dpc_knn(
        torch.from_numpy(golden["tokens"]),
        int(golden["K"]),
        golden["dist_nearest"].shape[1],
        backend=backend,
        distance_scale="sqrt_dim",
        include_self=True,
        prototype="mean",
    )


def copies(golden) -> np.ndarray:
    """Mark the tokens that equal an earlier one: the index decides between them here, nothing did there."""
    _, first, group = np.unique(golden["tokens"], axis=0, return_index=True, return_inverse=True)
    return first[group.ravel()] < np.arange(len(golden["tokens"]))


def test_there_are_golden_files():
    assert FILES, f"no dpc_knn_*.npz in {FOLDER}"


@pytest.mark.parametrize("backend", ["tiled", "dense"])
def test_densities_and_deltas(golden, backend):
    result = run(golden, backend)
    copy = copies(golden)
    np.testing.assert_allclose(result.density, golden["density"], rtol=1e-5)
    np.testing.assert_allclose(result.delta[~copy], golden["parent_dist"][~copy], rtol=1e-4)
    np.testing.assert_allclose(result.score[~copy], golden["score"][~copy], rtol=1e-4)
    assert (result.delta[copy] == 0).all()
    assert result.delta.amax().item() == pytest.approx(float(golden["dist_max"]), rel=1e-5)


@pytest.mark.parametrize("backend", ["tiled", "dense"])
def test_centers_and_clusters(golden, backend):
    result = run(golden, backend)
    copy = copies(golden)
    ours, theirs = result.centers.numpy(), golden["centre_index"]
    assert not copy[ours].any() or len(ours) > (~copy).sum()
    if copy.any():
        # Which of the copies they chose is arbitrary: centres agree by value, and copies give way to more.
        def values(centers):
            return {golden["tokens"][i].tobytes() for i in centers}

        assert values(theirs) <= values(ours)
        assert len(values(ours)) > len(values(theirs))
        return
    assert set(ours) == set(theirs)
    np.testing.assert_allclose(golden["score"][ours], golden["score"][theirs], rtol=1e-6)
    np.testing.assert_array_equal(ours[result.assignment.numpy()], theirs[golden["cluster_idx"]])
    with_epsilon = golden["cluster_weight_plus_eps"][:, None]
    means = golden["centroids"].astype(np.float64) * with_epsilon / (with_epsilon - 1e-4)
    order = [list(theirs).index(center) for center in ours]
    np.testing.assert_allclose(result.prototypes, means[order], rtol=1e-5, atol=1e-6)
