import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from missrec_pl.nn.scorers import HistoryBias, ScoredRows

SEEN, LAST = 0.7, -1.9


@pytest.fixture(scope="module")
def history_bias():
    return make_bias()


def make_bias() -> HistoryBias:
    module = HistoryBias().double()
    with torch.no_grad():
        module.seen.fill_(SEEN)
        module.last.fill_(LAST)
    return module


def dense(histories: list[list[int]], candidates: list[int]) -> torch.Tensor:
    rows = [
        [SEEN * (item in history) + LAST * (item == history[-1]) for item in candidates] for history in histories
    ]
    return torch.tensor(rows, dtype=torch.float64)


def padded(histories, extra=0):
    width = max(map(len, histories)) + extra
    history = torch.tensor([one + [0] * (width - len(one)) for one in histories])
    return history, torch.tensor([len(one) for one in histories])


items = st.integers(1, 8)
histories = st.lists(st.lists(items, min_size=1, max_size=6), min_size=1, max_size=4)


@given(histories, st.lists(items, min_size=1, max_size=9), st.integers(0, 2))
def test_equals_the_dense_reference(histories, candidates, extra):
    """Repeated items in the history, repeated candidates in any order, histories outside of the candidates."""
    rows = ScoredRows(*padded(histories, extra), torch.tensor(candidates))
    torch.testing.assert_close(rows.of_candidates(make_bias()(rows)), dense(histories, candidates))


@given(histories)
def test_the_whole_catalogue_as_candidates(histories):
    rows = ScoredRows(*padded(histories), torch.arange(1, 9))
    torch.testing.assert_close(make_bias()(rows), dense(histories, list(range(1, 9))))


def test_gradients_count_the_candidates_that_were_met(history_bias):
    history, length = padded([[1, 2, 1], [3], [4, 5]])
    history_bias(ScoredRows(history, length, torch.tensor([1, 2, 5]))).sum().backward()
    assert history_bias.seen.grad.item() == 3  # user 0 met 1 and 2, user 2 met 5
    assert history_bias.last.grad.item() == 2  # 1 and 5 were the last ones


def test_starts_as_no_bias():
    assert not HistoryBias()(ScoredRows(*padded([[1, 2]]), torch.tensor([1, 2, 3]))).any()
