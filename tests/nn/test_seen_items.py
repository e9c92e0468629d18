import torch
from hypothesis import given
from hypothesis import strategies as st

from missrec_pl.nn import DataShape, Histories, Items
from missrec_pl.nn.scorers import ScoredRows, SeenItems

SEEN, LAST = 0.7, -1.9
SHAPE = DataShape(8, {})


def make_bias() -> SeenItems:
    module = SeenItems(SHAPE).double()
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
    torch.testing.assert_close(rows.of_candidates(make_bias().of_rows(rows)), dense(histories, candidates))


@given(histories)
def test_the_whole_catalogue_as_candidates(histories):
    rows = ScoredRows(*padded(histories), torch.arange(1, 9))
    torch.testing.assert_close(make_bias().of_rows(rows), dense(histories, list(range(1, 9))))


@given(histories, st.data(), st.integers(1, 5))
def test_candidates_of_each_row_alone(histories, data, count):
    candidates = [data.draw(st.lists(items, min_size=count, max_size=count)) for _ in histories]
    rows = ScoredRows(*padded(histories), torch.tensor(candidates))
    expected = torch.cat([dense([one], own) for one, own in zip(histories, candidates, strict=True)])
    torch.testing.assert_close(rows.of_candidates(make_bias().of_rows(rows)), expected)


@given(histories, st.lists(items, min_size=1, max_size=9))
def test_reads_what_the_framework_hands_it(histories, candidates):
    """Histories of rows of a table in another order than that of the ids."""
    table = Items(torch.zeros(9, 1), torch.tensor([0, *range(8, 0, -1)]))
    rows, length = padded([[9 - item for item in one] for one in histories])
    asked = table.take(torch.tensor([9 - item for item in candidates]))
    found = make_bias()(Histories(rows, length), table, asked)
    torch.testing.assert_close(found, dense(histories, candidates))


def test_gradients_count_the_candidates_that_were_met():
    bias = make_bias()
    history, length = padded([[1, 2, 1], [3], [4, 5]])
    bias.of_rows(ScoredRows(history, length, torch.tensor([1, 2, 5]))).sum().backward()
    assert bias.seen.grad.item() == 3  # user 0 met 1 and 2, user 2 met 5
    assert bias.last.grad.item() == 2  # 1 and 5 were the last ones


def test_starts_as_no_bias():
    rows = ScoredRows(*padded([[1, 2]]), torch.tensor([1, 2, 3]))
    assert not SeenItems(SHAPE).of_rows(rows).any()
