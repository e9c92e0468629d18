"""Spectral item embeddings against plain loops and the dense eigenvectors of the same definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from missrec_pl.fitting import spectral
from missrec_pl.fitting.spectral import spectral_embeddings

NUM_ITEMS = 8
lines = st.lists(st.integers(1, NUM_ITEMS), min_size=1, max_size=14)
many_users = st.lists(lines, min_size=2, max_size=7)


def made(users, width=5, folds=None, num_items=NUM_ITEMS, **options):
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in users])]).astype(np.int64)
    flat = np.array([item for line in users for item in line], np.int32)
    fold_of_user = None if folds is None else np.array(folds)
    return spectral_embeddings(flat, offsets, num_items, width, fold_of_user, **options)


def joined(users):
    """``[N, N]`` by definition."""
    weights = np.zeros((NUM_ITEMS, NUM_ITEMS))
    for line in users:
        for p, j in enumerate(line):
            for q, i in enumerate(line):
                if 1 <= abs(p - q) <= 10 and i != j:
                    weights[j - 1, i - 1] += 0.8 ** (abs(p - q) - 1)
    return weights


def cosines_by_definition(users, width):
    """Of all eigenvalues' places: the part that no choice of a basis changes."""
    weights = joined(users)
    scale = 1 / np.sqrt(weights.sum(1) + 2)
    values, axes = np.linalg.eigh(scale[:, None] * weights * scale)
    places = (axes * np.sqrt(values.clip(0)))[:, -width:]
    places[weights.sum(1) == 0] = 0
    lengths = np.linalg.norm(places, axis=1, keepdims=True)
    unit = np.where(lengths > 1e-6, places / np.maximum(lengths, 1e-6), 0)
    return unit @ unit.T


def cosines(vectors):
    assert not vectors[0].any()
    return (vectors[1:] @ vectors[1:].T).numpy()


@given(many_users)
@settings(deadline=None)
def test_the_leading_axes_of_the_graph(users):
    vectors, without_fold = made(users, width=NUM_ITEMS)
    assert without_fold is None
    assert vectors.dtype == torch.float32
    np.testing.assert_allclose(cosines(vectors), cosines_by_definition(users, NUM_ITEMS), atol=1e-4)


@given(many_users, st.data())
@settings(deadline=None)
def test_a_folds_table_is_what_the_other_users_make(users, data):
    folds = [data.draw(st.integers(0, 2)) for _ in users]
    _, tables = made(users, width=NUM_ITEMS, folds=folds)
    assert len(tables) == max(folds) + 1
    for fold, table in enumerate(tables):
        others = [line for line, own in zip(users, folds, strict=True) if own != fold]
        np.testing.assert_allclose(cosines(table), cosines_by_definition(others, NUM_ITEMS), atol=1e-4)


def test_items_without_partners_have_no_vector():
    users = [[1, 2], [2, 1], [3, 3], [4]]
    vectors, tables = made(users, folds=[0, 1, 1, 0])
    assert vectors.any(1).tolist() == [False, True, True, *[False] * 6]
    assert tables.any(2).sum().item() == 4
    _, tables = made(users[:1], folds=[0])  # nobody is left
    assert not tables.any()


def random_shop(num_items=700, users=400, seed=0):
    random = np.random.default_rng(seed)
    group = random.integers(0, 30, users)
    return [((g * 23 + random.integers(0, 40, random.integers(2, 12))) % num_items + 1).tolist() for g in group]


def test_large_graphs_have_the_axes_of_small_ones(monkeypatch):
    users = random_shop()
    sparse, _ = made(users, width=20, num_items=700)
    monkeypatch.setattr(spectral, "_DENSE_ITEMS", 700)
    dense, _ = made(users, width=20, num_items=700)
    np.testing.assert_allclose(cosines(sparse), cosines(dense), atol=1e-4)
    again, _ = made(users, width=20, num_items=700)
    assert torch.equal(dense, again)


def test_few_partners_of_each_item_are_kept_on_both_sides():
    users = random_shop()
    whole, (without, _) = made(users, width=20, num_items=700, folds=np.arange(len(users)) % 2)
    most, (most_without, _) = made(users, width=20, num_items=700, folds=np.arange(len(users)) % 2, row_limit=699)
    np.testing.assert_allclose(cosines(most), cosines(whole), atol=1e-4)
    np.testing.assert_allclose(cosines(most_without), cosines(without), atol=1e-4)
    few, _ = made(users, width=20, num_items=700, row_limit=3)
    assert torch.isfinite(few).all()
    assert np.abs(cosines(few) - cosines(whole)).max() > 0.1


@pytest.mark.parametrize("width", [3, 8, 20])
def test_more_axes_than_there_are_stay_empty(width):
    vectors, tables = made([[1, 2, 3, 4], [5, 6]], width=width, folds=[0, 1])
    assert vectors.shape == (NUM_ITEMS + 1, width)
    assert tables.shape == (2, NUM_ITEMS + 1, width)
