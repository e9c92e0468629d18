"""Ranks from sparse, shared and partial scores are those of the dense matrix, history masked or not."""

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_domain import block, dense_ranks

from missrec_pl.baselines.scores import DenseScores, Layout, SharedScores, SparseScores

ITEMS = 7


@st.composite
def scenes(draw):
    """Histories with repeats, targets in and out of them, scores of few values so that ties abound."""
    rows = draw(st.integers(1, 5))
    lists = [draw(st.lists(st.integers(1, ITEMS), min_size=1, max_size=6)) for _ in range(rows)]
    columns = np.array([draw(st.integers(0, ITEMS - 1)) for _ in range(rows)])
    values = [[draw(st.sampled_from([-1.5, 0, 0, 0, 0.5, 2])) for _ in range(ITEMS)] for _ in range(rows)]
    return block(lists, ITEMS), columns, np.array(values, dtype=np.float32)


def check(ranks, values, histories, columns):
    included, excluded = dense_ranks(values, histories, columns)
    assert ranks.included.tolist() == included.tolist()
    assert ranks.excluded.tolist() == excluded.tolist()


@given(scenes())
def test_sparse(scene):
    histories, columns, values = scene
    check(SparseScores.of(sp.csr_array(values)).ranks(histories, columns), values, histories, columns)


@given(scenes(), st.randoms())
def test_sparse_in_any_order_and_with_stored_zeros(scene, random):
    histories, columns, values = scene
    orders = [random.sample(range(ITEMS), ITEMS) for _ in values]
    data = np.concatenate([row[order] for row, order in zip(values, orders, strict=True)])
    offsets = np.arange(len(values) + 1) * ITEMS
    matrix = sp.csr_array((data, np.concatenate(orders), offsets), shape=values.shape)
    check(SparseScores.of(matrix).ranks(histories, columns), values, histories, columns)


@given(scenes())
def test_several_scores_in_one_layout(scene):
    histories, columns, values = scene
    layout = Layout(sp.csr_array(np.ones_like(values)))
    for factor in (1, -1, 0):
        scores = SparseScores((factor * values).ravel(), layout)
        check(scores.ranks(histories, columns), factor * values, histories, columns)


@given(scenes(), st.sets(st.integers(0, ITEMS - 1)))
def test_dense_scores_of_some_columns(scene, kept):
    histories, columns, values = scene
    places = np.array(sorted(kept), dtype=np.int64)
    everything = np.zeros_like(values)
    everything[:, places] = values[:, places]
    scores = DenseScores(torch.from_numpy(values[:, places]), places)
    check(scores.ranks(histories, columns), everything, histories, columns)


@given(scenes())
def test_shared(scene):
    histories, columns, values = scene
    scores = SharedScores(values[0], np.sort(values[0]))
    check(scores.ranks(histories, columns), np.tile(values[0], (len(values), 1)), histories, columns)


def test_nothing_known_is_one_tie_of_all_items():
    histories = block([[1, 2, 2], [3]], ITEMS)
    empty = SparseScores.of(sp.csr_array((2, ITEMS), dtype=np.float32))
    ranks = empty.ranks(histories, np.array([6, 2]))
    assert ranks.included.tolist() == [4, 4]
    assert ranks.excluded.tolist() == [3, np.inf]  # the second target repeats an item


def test_a_repeated_target_leaves_the_candidates_with_the_history():
    histories = block([[1, 2], [1, 2]], ITEMS)
    values = np.array([[9, 8, 7, 0, 0, 0, 0]] * 2, dtype=np.float32)
    ranks = SparseScores.of(sp.csr_array(values)).ranks(histories, np.array([2, 1]))
    assert ranks.included.tolist() == [3, 2]
    assert ranks.excluded.tolist() == [1, np.inf]
