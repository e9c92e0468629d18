"""kmeans_released against the authors' cluster_kmeans (tests/golden, or $GOLDEN_DIR)."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from missrec_pl.clustering import kmeans
from missrec_pl.clustering.kmeans_released import kmeans_released
from missrec_pl.errors import ConfigError, DataError

HERE = Path(__file__).parents[1] / "golden"
FOLDER = Path(os.environ.get("GOLDEN_DIR") or HERE)
FILES = sorted(FOLDER.glob("kmeans_*.npz"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    with np.load(request.param) as arrays:
        return dict(arrays)


def run(golden, **changes):
    tokens = torch.from_numpy(golden["tokens"].copy())
    result = kmeans_released(tokens, int(golden["K"]), batch_size=int(golden["batch_size"]), **changes)
    return tokens, result


def test_there_are_golden_files():
    assert FILES, f"no kmeans_*.npz in {FOLDER}"


def test_clusters_and_centroids_from_their_first_centroids(golden):
    _, result = run(golden, init=torch.from_numpy(golden["init_index"]))
    np.testing.assert_array_equal(result.assignment, golden["cluster_idx"])
    size = np.abs(golden["centroids"]).max()
    np.testing.assert_allclose(result.prototypes, golden["centroids"], rtol=1e-5, atol=1e-5 * size)
    assert (result.iterations, result.converged) == (1, False)


@pytest.mark.parametrize("path", sorted(HERE.glob("kmeans_*.npz")), ids=lambda path: path.stem)
def test_the_seed_draws_their_first_centroids(path):
    """Those of these files were drawn after np.random.seed(0)."""
    golden = dict(np.load(path))
    drawn, given = run(golden, seed=0)[1], run(golden, init=torch.from_numpy(golden["init_index"]))[1]
    assert torch.equal(drawn.prototypes, given.prototypes)


def test_the_callers_tokens_stay_as_they_are(golden):
    """Theirs are overwritten by their absolute values."""
    tokens, _ = run(golden)
    np.testing.assert_array_equal(tokens, golden["tokens"])
    np.testing.assert_array_equal(golden["tokens_after_call"], np.abs(golden["tokens"]))


def test_what_the_faults_cost():
    """Centroids are never negative, and the clusters much worse than those of k-means."""
    tokens = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
    result = kmeans_released(tokens, 12, batch_size=100)
    assert result.prototypes.min() >= 0
    assert result.inertia > 1.5 * kmeans(tokens, 12).inertia


def test_a_small_rest_goes_with_the_last_mini_batch_and_mini_batches_hold_all_centroids():
    tokens = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
    whole = kmeans_released(tokens, 5, batch_size=18, seed=3)  # 5 would be left: one mini-batch of 23
    init = torch.from_numpy(np.random.RandomState(3).choice(23, size=5, replace=False))
    assert torch.equal(whole.prototypes, kmeans_released(tokens, 5, batch_size=100, init=init).prototypes)
    tiny = kmeans_released(tokens, 10, batch_size=2, seed=3)  # raised to 11
    assert torch.equal(tiny.prototypes, kmeans_released(tokens, 10, batch_size=11, seed=3).prototypes)
    assert not torch.equal(tiny.prototypes, kmeans_released(tokens, 10, batch_size=23, seed=3).prototypes)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="batch_size >= 1, found 0"):
        kmeans_released(torch.rand(4, 2), 2, batch_size=0)
    with pytest.raises((ConfigError, DataError)):
        kmeans_released(torch.rand(4, 2), 5)
    with pytest.raises(DataError):
        kmeans_released(torch.full((4, 2), torch.nan), 2)
