import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from missrec_pl.errors import DataError
from missrec_pl.metrics import ranks, ranks_without_history_, target_ranks

INF = float("inf")


def expected_ranks(scores: list[list[float]], targets: list[int]) -> list[float]:
    """The definition, one comparison at a time."""
    expected = []
    for row, target in zip(scores, targets, strict=True):
        others = row[:target] + row[target + 1 :]
        expected.append(1 + sum(s > row[target] for s in others) + sum(s == row[target] for s in others) / 2)
    return expected


def test_ranks_on_a_case_worked_by_hand():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.2, 0.2, 0.7], [3.0, 3.0, 3.0]])
    assert target_ranks(scores, torch.tensor([2, 0, 1])).tolist() == [2.0, 2.5, 2.0]


@given(data=st.data(), num_rows=st.integers(0, 5), num_items=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_ranks_equal_the_definition(data, num_rows, num_items):
    value = st.sampled_from([-INF, -2.0, 0.0, 1e-45, 0.5, 1.0, 3e38, -3e38, INF])
    scores = [[data.draw(value) for _ in range(num_items)] for _ in range(num_rows)]
    targets = [data.draw(st.integers(0, num_items - 1)) for _ in range(num_rows)]
    result = target_ranks(
        torch.tensor(scores).reshape(num_rows, num_items), torch.tensor(targets, dtype=torch.int64)
    )
    assert result.dtype == torch.float32
    assert result.tolist() == expected_ranks(scores, targets)


def test_blocks_do_not_change_the_ranks(monkeypatch):
    scores = torch.randint(0, 4, (7, 11)).float()
    targets = torch.arange(7)
    whole = target_ranks(scores, targets)
    monkeypatch.setattr(ranks, "_BLOCK_ELEMENTS", 25)
    assert torch.equal(target_ranks(scores, targets), whole)
    assert whole.tolist() == expected_ranks(scores.tolist(), targets.tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype_gives_float32_ranks(dtype):
    result = target_ranks(torch.tensor([[1.0, 2.0, 2.0]], dtype=dtype), torch.tensor([1]))
    assert result.dtype == torch.float32
    assert result.tolist() == [1.5]


def test_a_masked_column_never_precedes_a_finite_target():
    scores = torch.tensor([[-INF, -5.0, 1.0, -INF]])
    assert target_ranks(scores, torch.tensor([1])).tolist() == [2.0]
    assert target_ranks(scores, torch.tensor([0])).tolist() == [3.5]


def test_nan_scores_are_refused_with_their_row():
    scores = torch.zeros(4, 3)
    scores[2, 0] = math.nan
    with pytest.raises(DataError, match=r"NaN in 1 of 4 rows.*row 2"):
        target_ranks(scores, torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("target", [-1, 3])
def test_targets_outside_the_columns_are_refused(target):
    with pytest.raises(DataError, match=rf"target {target} of row 1 is outside the 3 score columns"):
        target_ranks(torch.zeros(2, 3), torch.tensor([0, target]))


def test_shapes_that_disagree_are_refused():
    # TypeError: jaxtyping's runtime checker, where the test session switches it on, is there first.
    with pytest.raises((DataError, TypeError)):
        target_ranks(torch.zeros(3, 4), torch.tensor([0, 1]))


def test_the_history_is_no_candidate_and_a_repeated_target_a_miss():
    scores = torch.tensor([[5.0, 4.0, 3.0, 2.0], [5.0, 4.0, 3.0, 2.0]])
    histories = torch.tensor([[1, 2, 0], [4, 1, 4]])
    assert ranks_without_history_(scores, histories, torch.tensor([3, 3])).tolist() == [2.0, INF]
    assert scores.tolist() == [[-INF, -INF, 3.0, 2.0], [-INF, 4.0, 3.0, -INF]]


@pytest.mark.parametrize("item", [-1, 5])
def test_masking_refuses_items_outside_the_catalogue(item):
    with pytest.raises(DataError, match=r"expected 1\.\.4"):
        ranks_without_history_(torch.zeros(1, 4), torch.tensor([[1, item]]), torch.tensor([0]))
