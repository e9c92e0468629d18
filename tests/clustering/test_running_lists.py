"""The running lists of the tiled backend: exact with any ties, without waiting, and with little sorting."""

import sys

import pytest
import torch
from clustering_oracle import make_tokens, problems
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import ROOT

from missrec_pl.clustering.backends import running
from missrec_pl.clustering.backends.base import DenseReductions
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.system.processes import Share
from missrec_pl.system.shapes import fixed_shapes

sys.path.insert(0, str(ROOT / "benchmarks"))
import operations

ALONE = Share()


@settings(max_examples=40, deadline=None)
@given(problems(most_neighbors=30), st.booleans(), st.sampled_from([0, 4, 96]))
def test_lists_with_hardly_any_room_are_exact(problem, is_fixed, room):
    """Lists that overflow, thresholds that tie with hundreds of copies: such rows are searched again."""
    tokens, _, k, _, _ = problem
    if len(tokens) == 1:
        return
    k = min(k, len(tokens) - 1)
    with pytest.MonkeyPatch.context() as patch, fixed_shapes(is_fixed):
        patch.setattr(running, "ROOM", room)
        found = TiledReductions(tokens, tile=64).k_smallest(k, ALONE)
    assert torch.equal(found.squared_distance, DenseReductions(tokens).k_smallest(k, ALONE).squared_distance)


@pytest.mark.parametrize("is_fixed", [False, True])
@pytest.mark.parametrize("kind", ["random", "clustered"])
def test_nearly_all_rows_are_proven_by_their_lists(kind, is_fixed, monkeypatch):
    tokens = make_tokens(kind, 1500, 16, seed=3)
    again = []
    with fixed_shapes(is_fixed):
        reductions = TiledReductions(tokens, tile=256)
        redo = reductions.search.redo_unproven
        monkeypatch.setattr(
            reductions.search, "redo_unproven", lambda *a: again.append(int((~a[3].proven).sum())) or redo(*a)
        )
        reductions.k_smallest(16, ALONE)
    assert again[0] <= 15


@pytest.mark.parametrize("first", [True, False])
def test_a_block_is_taken_in_without_waiting(first):
    block = torch.rand(64, 256)
    with fixed_shapes():
        lists = running.RunningSmallest(64, 22, 256, block.device)
        if not first:
            for column in range(256, 4096, 256):
                lists.update(block.flatten(), block, 0, column)
        with operations.Operations() as found:
            lists.update(block.flatten(), block, 0, 0)
    assert found.counts["topk"] <= 1
    assert not found.waits


def test_few_entries_are_sorted():
    """Whatever the number of tokens: thresholds are found by minima and halving, lists are sorted once."""
    tokens, sorted_entries = make_tokens("clustered", 2048, 16, seed=4), []
    topk = torch.Tensor.topk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch.Tensor, "topk", lambda x, *a, **b: sorted_entries.append(x.numel()) or topk(x, *a, **b)
        )
        TiledReductions(tokens, tile=128).k_smallest(16, ALONE)
    assert sum(sorted_entries) <= 110 * len(tokens)


@pytest.mark.parametrize("is_fixed", [False, True])
def test_copies_of_a_token_crowd_nothing_out(is_fixed):
    """Half of the tokens are one: its rows tie hundreds of times, other rows meet it hundreds of times at once."""
    tokens, added = make_tokens("clustered", 2048, 16, seed=5), []
    tokens[::2] = tokens[0]
    append = running.RunningSmallest._append
    with pytest.MonkeyPatch.context() as patch, fixed_shapes(is_fixed):
        patch.setattr(
            running.RunningSmallest,
            "_append",
            lambda self, row, height, at, *rest, **more: (
                added.append(len(at)) or append(self, row, height, at, *rest, **more)
            ),
        )
        lists = TiledReductions(tokens, tile=256)._sweep(22, ALONE)
    assert sum(added) <= 250 * len(tokens)
    assert is_fixed or lists.lost.isinf().all()
