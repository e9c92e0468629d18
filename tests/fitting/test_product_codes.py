"""Codes that are fitted: by faiss, to any width, the same for a seed; and what is told where that cannot be."""

import sys

import numpy as np
import pytest
import torch

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.fitting.product_codes import Quantiser, fit_quantiser, padded_width, product_codes

faiss = pytest.importorskip("faiss", reason="pip install 'missrec-pl[vqrec]'")
NUM_ITEMS, SHAPES = 80, [(12, 3, 8), (7, 4, 4), (5, 1, 16)]  # widths, codes, values


def features_of(width, seed=0):
    return np.random.default_rng(seed).normal(size=(NUM_ITEMS, width)).astype(np.float32)


@pytest.mark.parametrize(("width", "code_dim", "code_cap"), SHAPES)
def test_codes_are_those_of_faiss(width, code_dim, code_cap):
    """Put back together, our numbers give the vectors that faiss would give back for its own."""
    features, padded = features_of(width), padded_width(width, code_dim)
    quantiser = fit_quantiser(features, code_dim, code_cap)
    rotation = faiss.LinearTransform(width, padded)
    faiss.copy_array_to_vector(quantiser.rotation.numpy().ravel(), rotation.A)
    rotation.is_trained = True
    pq = faiss.ProductQuantizer(padded, code_dim, code_cap.bit_length() - 1)
    faiss.copy_array_to_vector(quantiser.centroids.numpy().ravel(), pq.centroids)
    rotated = rotation.apply(features) - quantiser.centre.numpy()
    wanted = pq.decode(pq.compute_codes(rotated))
    codes = product_codes(torch.from_numpy(features), quantiser)
    assert codes.shape == (NUM_ITEMS, code_dim)
    ours = torch.stack([quantiser.centroids[k, codes[:, k]] for k in range(code_dim)], 1).flatten(1)
    torch.testing.assert_close(ours, torch.from_numpy(wanted))
    torch.testing.assert_close(quantiser.centre.norm(), torch.tensor(1.0))  # spherical k-means
    gram = quantiser.rotation.T @ quantiser.rotation
    torch.testing.assert_close(gram, torch.eye(width), atol=1e-4, rtol=0)
    assert all(len(codes[:, k].unique()) > 1 for k in range(code_dim))


def test_a_seed_gives_the_same_and_another_does_not(capfd):
    one, again, other = (fit_quantiser(features_of(12), 3, 8, seed) for seed in (1, 1, 2))
    for name in ("rotation", "centre", "centroids"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert not torch.equal(one.centroids, other.centroids)
    assert capfd.readouterr() == ("", "")  # faiss warns of every small k-means otherwise


def test_threads_stay_as_they_were():
    before = faiss.omp_get_max_threads()
    fit_quantiser(features_of(4), 2, 4)
    assert faiss.omp_get_max_threads() == before


def test_codes_come_in_pieces(monkeypatch):
    quantiser, features = fit_quantiser(features_of(12), 3, 8), torch.from_numpy(features_of(12, seed=1))
    whole = product_codes(features, quantiser)
    monkeypatch.setattr("missrec_pl.fitting.product_codes._DISTANCES_AT_ONCE", 24 * 7)
    assert torch.equal(product_codes(features, quantiser), whole)
    assert torch.equal(
        product_codes(features.half(), quantiser), product_codes(features.half().float(), quantiser)
    )
    assert product_codes(features[:0], quantiser).shape == (0, 3)


def test_nearest_by_definition():
    random = torch.Generator().manual_seed(0)
    quantiser = Quantiser(
        torch.randn(6, 5, generator=random),
        torch.randn(6, generator=random),
        torch.randn(2, 4, 3, generator=random),
    )
    features = torch.randn(9, 5, generator=random)
    for row, codes in zip(features, product_codes(features, quantiser), strict=True):
        rotated = quantiser.rotation @ row - quantiser.centre
        for k in range(2):
            distances = [(rotated[3 * k : 3 * k + 3] - c).norm() for c in quantiser.centroids[k]]
            assert int(codes[k]) == int(torch.stack(distances).argmin())


def test_too_few_items():
    with pytest.raises(
        DataError, match=r"^model.code_cap=128: needs as many items .* only 80 of the training part"
    ):
        fit_quantiser(features_of(4), 2, 128)


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r"^model=vqrec: .*pip install 'missrec-pl\[vqrec\]'"):
        fit_quantiser(features_of(4), 2, 4)


@pytest.mark.parametrize(("items", "width", "parts"), [(63, 48, 32), (20, 48, 8), (31, 32, 32), (4, 9, 2)])
def test_fewer_items_than_dimensions_stay_unrotated(items, width, parts):
    """faiss ends the process there."""
    features = np.random.default_rng(0).normal(size=(items, width)).astype(np.float32)
    quantiser = fit_quantiser(features, parts, 4)
    padded = quantiser.rotation.shape[0]
    assert torch.equal(quantiser.rotation, torch.eye(padded, width))
    codes = product_codes(torch.from_numpy(features), quantiser)
    assert codes.shape == (items, parts)
    assert len(codes.unique()) == 4


def test_features_too_large_to_compare_are_refused():
    """faiss ends the process there."""
    with pytest.raises(DataError, match="no finite number in float32; scale the features"):
        fit_quantiser(features_of(8) * np.float32(1e20), 2, 4)


@pytest.mark.parametrize("features", [np.zeros((90, 8)), np.ones((90, 8)), np.outer(np.arange(90.0), np.ones(8))])
def test_features_that_say_little_are_fitted(features):
    assert fit_quantiser(features.astype(np.float32), 2, 4).centroids.isfinite().all()
