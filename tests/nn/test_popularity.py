"""The popularity scorer against plain loops over the same definition."""

import itertools
import math

import pytest
import torch
from contexts import context_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_scorers import NUM_ITEMS, many_users, padded

from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.nn import DataShape
from missrec_pl.nn.fitted import refit
from missrec_pl.nn.scorers import Popularity, ScoredRows

NEAR = {"atol": 1e-5, "rtol": 1e-5}  # logarithms of whole numbers are taken in float32


@pytest.fixture(scope="module")
def domain(memory_domain):
    return memory_domain("nine", features={"text": torch.eye(NUM_ITEMS).tolist()})


def counted(domain, users):
    scorer = Popularity(DataShape(NUM_ITEMS, {"text": NUM_ITEMS}))
    for part in scorer.fitted.values():
        refit(part, context_of(domain, users))
    scorer.double()
    with torch.no_grad():
        for parameter, value in zip(scorer.parameters(), (0.7, -0.3, 0.2), strict=True):
            parameter.fill_(value)
    return scorer


def expected(history, items, candidates):
    trust = 0.7 - 0.3 * math.log1p(len(history)) + 0.2 * math.log1p(items.count(history[-1]))
    return [0.0 if i in history else trust * math.log1p(items.count(i)) for i in candidates]


@given(many_users, many_users)
@settings(deadline=None, max_examples=30)
def test_evaluation_counts_everybody(domain, users, histories):
    candidates, items = [7, 2, 9, 2], list(itertools.chain(*users))
    rows = ScoredRows(padded(histories), torch.tensor([len(h) for h in histories]), torch.tensor(candidates))
    found = rows.of_candidates(counted(domain, users).of_rows(rows))
    wanted = [expected(history, items, candidates) for history in histories]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), **NEAR)


@given(many_users, st.data())
@settings(deadline=None, max_examples=30)
def test_a_training_row_counts_the_others(domain, users, data):
    """Users of no more items than a row shows."""
    users = [line[:PAIR_WINDOW] for line in users]
    ends = [data.draw(st.integers(1, len(line) - 1)) for line in users]
    future = padded([line[end:] for line, end in zip(users, ends, strict=True)], PAIR_WINDOW)
    histories = [line[:end] for line, end in zip(users, ends, strict=True)]
    candidates = data.draw(st.lists(st.integers(1, NUM_ITEMS), min_size=1, unique=True).map(sorted))
    rows = ScoredRows(padded(histories), torch.tensor(ends), torch.tensor(candidates), future)
    found = counted(domain, users).of_rows(rows)
    for u, history in enumerate(histories):
        others = list(itertools.chain(*users[:u], *users[u + 1 :]))
        wanted = torch.tensor(expected(history, others, candidates), dtype=torch.float64)
        torch.testing.assert_close(found[u], wanted, **NEAR)


def test_unfitted_it_says_so():
    with pytest.raises(RuntimeError, match=r"fit\(\) them first"):
        Popularity(DataShape(9, {})).of_rows(ScoredRows(torch.tensor([[1]]), torch.tensor([1]), torch.tensor([1])))
