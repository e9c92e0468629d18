"""The co-occurrence scorer against plain loops over the same definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_scorers import NUM_ITEMS, counted, many_users, padded

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.data.plans import planned
from missrec_pl.fitting.sequence_pairs import item_pairs
from missrec_pl.nn.scorers import ScoredRows, cooccurrence, pair_planner, sparse_product
from missrec_pl.system.shapes import fixed_shapes


def counts_of(users):
    """``{(j, i): [R]}`` by definition."""
    found = {}
    for line in users:
        for p, j in enumerate(line):
            for q, i in enumerate(line):
                gap = abs(p - q)
                if 1 <= gap <= PAIR_WINDOW and i != j:
                    found.setdefault((j, i), [0] * 2 * PAIR_WINDOW)[gap - 1 + (PAIR_WINDOW if q < p else 0)] += 1
    return found


def expected(term, history, users, frequency, candidates, pairs=None):
    """The term of one row from the sequences that may be counted, and the pairs that may, if not all."""
    strength, decay = term.log_strength.exp(), term.decay_logit.sigmoid().item()
    counts = {pair: count for pair, count in counts_of(users).items() if pairs is None or pair in pairs}
    row = []
    for i in candidates:
        if i in history:
            row.append(0.0)
            continue
        total = 0.0
        for p, j in enumerate(history):
            age = len(history) - 1 - p
            if (j, i) in counts:
                pair = sum(s.item() * c for s, c in zip(strength, counts[j, i], strict=True))
                total += decay**age * pair / math.sqrt(frequency[j])
        row.append(term.weight.item() * math.log1p(term.log_gain.exp().item() * total))
    return row


def stored(pairs):
    """``{(j, i): [R]}`` of a table."""
    found = {}
    for j in range(1, NUM_ITEMS + 1):
        for entry in range(pairs.offsets[j], pairs.offsets[j + 1]):
            found[j, int(pairs.neighbours[entry])] = pairs.counts[entry].tolist()
    return found


@given(many_users)
def test_pairs_are_counted_by_gap_and_direction(users):
    _, pairs = counted(users)
    assert stored(pairs) == counts_of(users)
    assert not pairs.is_cut.any()


@given(many_users, many_users)
@settings(deadline=None)
def test_evaluation_counts_all_training_sequences(users, histories):
    term, pairs = counted(users)
    candidates = [7, 2, 9, 2]
    rows = ScoredRows(padded(histories), torch.tensor([len(h) for h in histories]), torch.tensor(candidates))
    found = rows.of_candidates(term.of_rows(rows))
    wanted = [expected(term, h, users, pairs.frequency, candidates) for h in histories]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


@given(many_users, many_users)
@settings(deadline=None)
def test_a_sparse_product_over_a_whole_catalogue_gives_the_same(users, histories):
    term, _ = counted(users)
    every = torch.arange(1, NUM_ITEMS + 1)
    rows = ScoredRows(padded(histories), torch.tensor([len(h) for h in histories]), every)
    found = []
    for met in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(cooccurrence, "_MET", met)
            assert term._is_product(rows) == (
                met > 0 and bool(term.pairs.degree(rows.history_ids.flatten()).any())
            )
            found.append(term.of_rows(rows))
    torch.testing.assert_close(*found)
    assert not term._is_product(rows)  # gradients go another way


def test_without_a_sparse_product_pairs_are_placed(monkeypatch):
    """As in a torch without MKL."""
    monkeypatch.setattr(torch, "addmm", lambda *_: (_ for _ in ()).throw(RuntimeError("no MKL")))
    sparse_product.is_available.cache_clear()
    assert not sparse_product.is_available()
    sparse_product.is_available.cache_clear()


@given(many_users, many_users)
@settings(deadline=None)
def test_items_that_recur_are_counted_the_same_way(users, histories):
    """Placing every pair by itself, and a product with each item's candidates, agree in values and gradients."""
    found = []
    for products, fixed in ((0, False), (10**9, False), (0, True), (10**9, True)):
        with pytest.MonkeyPatch.context() as patch, fixed_shapes(fixed):
            patch.setattr(pair_planner, "_PRODUCTS_PER_PAIR", products)
            term, _ = counted(users)
            ids, lengths = padded(histories), torch.tensor([len(h) for h in histories])
            batch = planned(SequenceBatch(ids, lengths, ids[:, 0], lengths), [term.planner()] * fixed)
            assert ("pairs.place" in batch.plans) <= (fixed and products > 0)  # not where there are no pairs
            value = term.of_rows(ScoredRows(ids, lengths, torch.tensor([2, 7, 9]), plans=batch.plans))
            (value * torch.arange(1, value.numel() + 1).view_as(value)).sum().backward()
            found.append([value.detach(), *(parameter.grad for parameter in term.parameters())])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


@given(many_users, st.sampled_from([None, 1, 2, 4]), st.data())
@settings(deadline=None)
def test_a_training_row_is_scored_by_what_others_did(users, row_limit, data):
    """Rows cut from the sequences that were counted; the reference counts the other users alone."""
    term, pairs = counted(users, row_limit)
    kept, everyone = stored(pairs), pairs.frequency
    ends = [data.draw(st.integers(1, len(line) - 1)) for line in users]
    future = padded([line[end : end + PAIR_WINDOW] for line, end in zip(users, ends, strict=True)], PAIR_WINDOW)
    histories = [line[:end] for line, end in zip(users, ends, strict=True)]
    candidates = list(range(1, NUM_ITEMS + 1))
    found = term.of_rows(ScoredRows(padded(histories), torch.tensor(ends), torch.tensor(candidates), future))
    for u, (line, end) in enumerate(zip(users, ends, strict=True)):
        others = users[:u] + users[u + 1 :]
        wanted = torch.tensor(expected(term, line[:end], others, everyone, candidates, kept), dtype=torch.float64)
        if line[end + PAIR_WINDOW :] and set(line[:end]) & set(line[end:]):
            # An item of the history recurs where its pairs are out of sight: some of its user's own may stay.
            whole = torch.tensor(
                expected(term, line[:end], users, everyone, candidates, kept), dtype=torch.float64
            )
            assert ((wanted - 1e-6 <= found[u]) & (found[u] <= whole + 1e-6)).all()
            continue
        torch.testing.assert_close(found[u], wanted, atol=1e-6, rtol=1e-6)


def test_the_strongest_pairs_are_kept():
    users = [[1, 2], [1, 2], [1, 3], [1, 4], [1, 4], [1, 4]]
    flat, bounds = torch.tensor(users).flatten().numpy(), torch.arange(0, 13, 2).numpy()
    pairs = item_pairs(flat, bounds, 4, row_limit=2)
    assert pairs.neighbours[pairs.offsets[1] : pairs.offsets[2]].tolist() == [2, 4]
    assert pairs.is_cut.tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("block_pairs", [1, 60, 1 << 20])
def test_pairs_do_not_depend_on_blocks(block_pairs):
    generator = torch.Generator().manual_seed(0)
    flat = torch.randint(1, 30, (400,), generator=generator).numpy()
    bounds = torch.arange(0, 401, 8).numpy()
    whole = item_pairs(flat, bounds, 29)
    parts = item_pairs(flat, bounds, 29, block_pairs=block_pairs)
    for name in ("offsets", "neighbours", "counts", "frequency"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))
