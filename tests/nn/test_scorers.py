"""Auxiliary scorers, ours and those of others, against plain loops over the same definitions."""

import pytest
import torch
from contexts import context_of
from hypothesis import given, settings
from tiny_scorers import NUM_ITEMS, SHAPE, counted, fitted_content, many_users, padded

from missrec_pl.fitting.sequence_pairs import item_pairs
from missrec_pl.nn import Histories, Items
from missrec_pl.nn.fitted import refit
from missrec_pl.nn.scorers import Content, Cooccurrence, ScoredRows, Scorer, Scorers, SeenItems, content


@pytest.fixture(scope="module")
def context(memory_domain):
    rows = torch.eye(NUM_ITEMS).tolist()
    return context_of(memory_domain("nine", features={"text": rows, "image": rows}), [[1, 2, 3], [2, 4]])


@pytest.fixture(scope="module")
def vectors():
    torch.manual_seed(1)
    made = {}
    for modality in SHAPE.feature_dims:
        rows = torch.nn.functional.normalize(torch.randn(NUM_ITEMS + 1, 5).double(), dim=1)
        rows[[0, 3, 5] if modality == "image" else [0, 3]] = 0  # item 3 lacks both, 5 the image
        made[modality] = rows
    return made


@given(many_users)
@settings(deadline=None)
def test_content_is_the_decayed_sum_of_cosines(context, vectors, histories):
    term = fitted_content(context, vectors)
    candidates = [5, 1, 3, 5]
    rows = ScoredRows(padded(histories), torch.tensor([len(h) for h in histories]), torch.tensor(candidates))
    found = rows.of_candidates(term.of_rows(rows))
    for b, history in enumerate(histories):
        for c, i in enumerate(candidates):
            wanted = 0.0
            for m, modality in enumerate(term.modalities):
                decay = term.decay_logit[m].sigmoid()
                for p, j in enumerate(history):
                    cosine = vectors[modality][j] @ vectors[modality][i] * (i not in history)
                    wanted += (term.weight[m] * decay ** (len(history) - 1 - p) * cosine).item()
            assert found[b, c].item() == pytest.approx(wanted, abs=1e-9)


def test_a_stretch_of_the_catalogue_is_compared_without_a_copy(context, vectors):
    """The values are those of every block of users by itself, and of the candidates one by one."""
    full = {**vectors, "text": vectors["text"].clone()}
    full["text"][[3]] = 1.0
    term = fitted_content(context, full)
    rows = ScoredRows(padded([[1, 2], [4, 5]]), torch.tensor([2, 2]), torch.arange(1, NUM_ITEMS + 1))
    text, image = (term.fitted[name] for name in ("text", "image"))
    columns, found = content._candidates(text, rows)
    assert columns is None
    assert found.data_ptr() == text.vectors[1:].data_ptr()
    columns, found = content._candidates(image, rows)
    assert columns.tolist() == [0, 1, 3, 5, 6, 7, 8]
    assert found.data_ptr() == image.vectors[1:].data_ptr()
    first = term.of_rows(rows)
    again = ScoredRows(rows.history_ids[1:], rows.length[1:], rows.candidate_ids)
    torch.testing.assert_close(term.of_rows(again), first[1:], rtol=1e-12, atol=1e-14)
    some = torch.tensor([2, 3, 5, 9])
    apart = ScoredRows(rows.history_ids, rows.length, some)
    torch.testing.assert_close(term.of_rows(apart), first[:, some - 1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [Cooccurrence, Content])
def test_scorers_without_fitted_statistics_say_so(kind):
    rows = ScoredRows(torch.tensor([[1]]), torch.tensor([1]), torch.tensor([1, 2]))
    with pytest.raises(RuntimeError, match=r"fit\(\) them first"):
        kind(SHAPE).of_rows(rows)


def test_fitting_a_scorer_is_counting_the_training_parts(context):
    scorer = Cooccurrence(SHAPE)
    assert scorer.pairs.is_empty
    refit(scorer.pairs, context)
    assert not scorer.pairs.is_empty
    expected = item_pairs(*context.training_parts(), NUM_ITEMS)
    for name in ("offsets", "neighbours", "counts", "frequency", "is_cut"):
        assert torch.equal(getattr(scorer.pairs, name), getattr(expected, name))


class Popular(Scorer):
    """A user's own: how often an item is named, read from what the framework hands over."""

    def __init__(self, data):
        super().__init__(data)
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, history, items, candidates):
        ids = items.ids[history.rows]
        return self.weight * (ids[:, :, None] == candidates.ids.expand(len(ids), -1)[:, None]).sum(1)


class Bonus(torch.nn.Module):
    """Another, which derives from nothing of the framework."""

    def __init__(self):
        super().__init__()
        self.fitted = torch.nn.ModuleDict()

    def forward(self, history, items, candidates):
        return 0.25 * candidates.ids.expand(len(history), -1)


LINES = [[1, 2, 1], [4, 5], [9]]
TABLE = Items(torch.zeros(NUM_ITEMS + 1, 1), torch.arange(NUM_ITEMS + 1))
HISTORIES = Histories(padded(LINES), torch.tensor([3, 2, 1]))


@pytest.mark.parametrize(
    "rows", [torch.arange(1, 10), torch.tensor([9, 2, 9]), torch.tensor([[1, 2], [3, 3], [9, 8]])], ids=str
)
def test_scores_are_added_up_whoever_wrote_the_scorers(context, vectors, rows):
    pairs, seen = counted([[1, 2, 3], [2, 4], [5, 9, 4]])[0], SeenItems(SHAPE)
    with torch.no_grad():
        seen.seen.fill_(1.5)
        seen.last.fill_(-0.75)
    ours = {"seen": seen, "pairs": pairs, "content": fitted_content(context, vectors)}
    every = Scorers({**ours, "popular": Popular(SHAPE), "bonus": Bonus()}).double()
    candidates = TABLE.take(rows)
    logits = torch.randn(3, rows.shape[-1], generator=torch.Generator().manual_seed(0)).double()
    found = every.add(logits, HISTORIES, TABLE, candidates)
    expected = logits + sum(one(HISTORIES, TABLE, candidates) for one in every.values())
    torch.testing.assert_close(found, expected)
    ids = rows.expand(3, -1).tolist()
    by_hand = [[2.0 * line.count(i) + 0.25 * i for i in own] for line, own in zip(LINES, ids, strict=True)]
    own = Scorers({name: every[name] for name in ("popular", "bonus")}).add(logits, HISTORIES, TABLE, candidates)
    torch.testing.assert_close(own - logits, torch.tensor(by_hand).double())
    found.sum().backward()
    assert every["popular"].weight.grad == sum(row.count(i) for row, o in zip(LINES, ids, strict=True) for i in o)
    assert len(every.fitted_parts()) == 3


def test_candidates_of_each_row_alone_have_the_scores_of_shared_ones(context, vectors):
    scorers = Scorers(
        {"pairs": counted([[1, 2, 3], [2, 4], [5, 9, 4]])[0], "content": fitted_content(context, vectors)}
    )
    rows = torch.tensor([[3, 2, 4], [9, 9, 1], [5, 4, 1]])
    for scorer in scorers.values():
        shared = scorer(HISTORIES, TABLE, TABLE.span(1))
        found = scorer(HISTORIES, TABLE, TABLE.take(rows))
        assert found.abs().sum() > 0
        torch.testing.assert_close(found, shared.gather(1, rows - 1))


def test_no_scorers_add_nothing():
    logits = torch.randn(3, 9)
    assert Scorers().add(logits, HISTORIES, TABLE, TABLE.span(1)) is logits
    assert Scorers().fitted_parts() == []
