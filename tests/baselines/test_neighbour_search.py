import numpy as np
import pytest
import torch

from missrec_pl.baselines import neighbours
from missrec_pl.baselines.neighbours import top_neighbours
from missrec_pl.fitting.whitening import PrincipalAxes


def clustered(count, width=16, heads=40, noise=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(heads, width, generator=generator)
    rows = centres[torch.randint(heads, (count,), generator=generator)]
    return torch.nn.functional.normalize(rows + noise * torch.randn(count, width, generator=generator), dim=1)


def test_exact_search_finds_the_largest_positive_products():
    vectors = clustered(300)
    found = top_neighbours(vectors, 12)
    products = (vectors @ vectors.T).numpy()
    np.fill_diagonal(products, -1)
    for row in range(300):
        stored = found[[row]]
        expected = np.sort(products[row])[-12:]
        assert np.sort(stored.data) == pytest.approx(expected[expected > 0], abs=1e-6)
        assert row not in stored.indices
    assert found.data.min() > 0


def test_fewer_items_than_neighbours():
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 1], [-1, 0]]), dim=1)
    assert top_neighbours(vectors, 200).toarray() == pytest.approx(
        np.array([[0, 0.5**0.5, 0], [0.5**0.5, 0, 0], [0, 0, 0]]), abs=1e-6
    )
    assert top_neighbours(vectors[:1], 200).shape == (1, 1)
    assert top_neighbours(vectors[:0], 200).shape == (0, 0)


@pytest.mark.parametrize("elements", [1, 1000, 30_000])
def test_blocks_change_nothing_and_bound_what_is_held(elements, monkeypatch):
    vectors = clustered(300)
    whole = top_neighbours(vectors, 12)
    largest = []
    topk = torch.Tensor.topk
    monkeypatch.setattr(
        torch.Tensor, "topk", lambda self, *a, **k: (largest.append(self.numel()), topk(self, *a, **k))[1]
    )
    parts = top_neighbours(vectors, 12, block_elements=elements)
    assert max(largest) <= max(elements, 300)
    assert parts.indptr.tolist() == whole.indptr.tolist()
    assert abs(parts - whole).max() < 1e-6


def test_cells_find_most_of_the_nearest(monkeypatch):
    monkeypatch.setattr(neighbours, "_VISITED_SHARE", 0.04)
    vectors = clustered(3000, heads=200)
    exact = top_neighbours(vectors, 10)
    found = top_neighbours(vectors, 10, exact_up_to=0)
    shared = (exact.astype(bool) * found.astype(bool)).nnz / exact.nnz
    assert shared > 0.9
    again = top_neighbours(vectors, 10, exact_up_to=0)
    assert (found != again).nnz == 0
    assert found.diagonal().max() == 0


def test_items_equal_to_the_mean_have_no_neighbours():
    features = np.array([[0, 0], [1, 0], [-1, 0], [0, 0]], dtype=np.float32)
    axes = PrincipalAxes(features, np.array([False, True, True, True]))
    assert not top_neighbours(axes.unit_vectors(0.5), 5)[[2]].nnz


def test_whitening_by_one_gives_every_axis_the_same_weight():
    random = np.random.default_rng(0)
    features = (random.normal(size=(401, 5)) * [10, 5, 1, 0.5, 0.1] @ random.normal(size=(5, 5))).astype(
        np.float16
    )
    axes = PrincipalAxes(features, np.arange(401) > 0)
    spread = (axes.coordinates / axes.scale).std(0, correction=0)
    assert spread.tolist() == pytest.approx([1] * 5, abs=0.01)
    assert PrincipalAxes(features, np.arange(401) > 0, max_axes=2).coordinates.shape == (400, 2)


def test_axes_that_hold_rounding_noise_alone_are_dropped():
    random = np.random.default_rng(0)
    flat = (random.normal(size=(50, 2)) @ random.normal(size=(2, 30))).astype(np.float32)
    axes = PrincipalAxes(flat, np.arange(50) > 0)
    assert axes.coordinates.shape == (49, 2)
