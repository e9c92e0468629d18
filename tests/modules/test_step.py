"""A training step as losses see it: which candidates, where the target stands, what is taken out, corrections."""

import math

import pytest
import torch

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import BCE, Contrastive, Softmax, Step
from missrec_pl.nn import DataShape, Histories, Items, Users
from missrec_pl.nn.encoding import GroupedUsers
from missrec_pl.nn.sasrec import SASRec

IDS = [0, 2, 4, 5, 7, 9]  # of the batch's table; the catalogue has nine items
NUM_ITEMS = 9


def softmax_loss(logits: list[float], target: int) -> float:
    return -math.log(math.exp(logits[target]) / sum(math.exp(logit) for logit in logits))


def table_of(ids, *, is_whole=False):
    ids = torch.tensor(ids)
    return ItemTable(ids, torch.zeros(len(ids), 0, dtype=torch.bool), {}, {}, is_whole=is_whole)


def make_step(
    target, *, ids=IDS, is_whole=False, candidates=None, loss=None, max_logits=1 << 20, told=None, **batch
):
    """A step of random vectors and states, or of told logits ``[R, C]`` of the candidates."""
    random = torch.Generator().manual_seed(0)
    target = torch.tensor(target)
    rows = len(target)
    batch.setdefault("history", torch.ones(rows, 1, dtype=torch.long))
    batch.setdefault("length", torch.ones(len(batch["history"]), dtype=torch.long))
    made = SequenceBatch(
        target=target,
        domain=torch.zeros(len(batch["history"]), dtype=torch.long),
        items=table_of(ids, is_whole=is_whole),
        candidates=candidates,
        **batch,
    )
    vectors = torch.randn(len(ids), 3, generator=random, dtype=torch.float64).requires_grad_()
    state = torch.randn(rows, 3, generator=random, dtype=torch.float64).requires_grad_()
    asked = []

    def scores(state, rows, items, candidates):
        asked.append(candidates.ids.shape[-1])
        if told is None:
            return step.network.score(Users(state), candidates)
        start = sum(asked[:-1]) % told.shape[1]
        return told[:, start : start + candidates.ids.shape[-1]]

    histories = Histories(made.history, made.length)
    loss, shape = loss or Softmax(), DataShape(NUM_ITEMS, {})
    step = Step(
        network=SASRec(shape, hidden_size=2),
        data=shape,
        histories=histories,
        items=Items(vectors, made.items.ids),
        users=GroupedUsers([Users(state)], state=state),
        views=None,
        batch=made,
        rows=histories,
        scores=scores,
        max_logits=max_logits,
        mask_duplicates=loss.mask_duplicates,
        padding_candidate=loss.padding_candidate,
    )
    return step, asked


def losses_of(told, ids, loss=None):
    """In-batch losses of rows whose targets are the given items, from told logits."""
    known = sorted({0, *ids})
    step, _ = make_step([known.index(i) for i in ids], ids=known, loss=loss or Contrastive(), told=told)
    return -step.log_prob(step.candidates)


def test_a_masked_duplicate_may_keep_a_logit():
    told = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.2], [0.0, 1.0, 4.0]])
    loss = Contrastive(duplicate_logit=0.0)
    step, _ = make_step([1, 2, 1], loss=loss, told=told)
    step.duplicate_logit = loss.duplicate_logit
    logits, _ = step.logits(step.candidates)
    assert logits.tolist() == [[1.0, 2.0, 0.0], told[1].tolist(), [0.0, 1.0, 4.0]]
    assert Contrastive().duplicate_logit == -math.inf


def test_the_last_target_of_each_history():
    step, _ = make_step([1, 2, 4], history=torch.ones(2, 3, dtype=torch.long), place=torch.tensor([0, 1, 3]))
    assert step.last_target.tolist() == [IDS[2], IDS[4]]
    step, _ = make_step([1, 2, 4])
    assert step.last_target.tolist() == [IDS[1], IDS[2], IDS[4]]


def test_in_batch_candidates_are_the_targets():
    step, _ = make_step([3, 1, 3, 5])
    assert step.target.tolist() == [5, 2, 5, 9]
    assert step.candidates.ids.tolist() == [5, 2, 5, 9]
    assert (step.num_rows, step.num_histories) == (4, 4)
    assert step.valid.all()
    assert step.own.tolist() == step.own_histories.tolist() == [0, 1, 2, 3]
    logits, column = step.logits(step.candidates)
    assert column.tolist() == [0, 1, 2, 3]
    plain = step.users.state @ step.items.vectors[[3, 1, 3, 5]].T
    assert logits.isneginf().nonzero().tolist() == [[0, 2], [2, 0]]
    kept = ~logits.isneginf()
    torch.testing.assert_close(logits[kept], plain[kept])


def test_in_batch_by_hand():
    logits = [[1.0, 2.0], [0.5, -1.0]]
    losses = losses_of(torch.tensor(logits), [7, 9])
    assert losses.tolist() == pytest.approx([softmax_loss(logits[0], 0), softmax_loss(logits[1], 1)])


def test_a_negative_that_is_the_positive_again_leaves_the_softmax():
    """Rows 0 and 2 have the same target; masked it adds nothing, not even exp(0), to the denominator."""
    logits = torch.tensor([[0.2, -3.0, 5.0], [1.0, 0.3, 2.0], [4.0, 0.1, -0.7]])
    expected = [softmax_loss([0.2, -3.0], 0), softmax_loss([1.0, 0.3, 2.0], 1), softmax_loss([0.1, -0.7], 1)]
    assert losses_of(logits, [7, 9, 7]).tolist() == pytest.approx(expected)


def test_the_released_code_keeps_duplicates_as_negatives():
    logits = torch.tensor([[0.2, -3.0, 5.0], [1.0, 0.3, 2.0], [4.0, 0.1, -0.7]])
    expected = [softmax_loss(row, i) for i, row in enumerate(logits.tolist())]
    assert losses_of(logits, [7, 9, 7], Contrastive(mask_duplicates=False)).tolist() == pytest.approx(expected)


def test_duplicates_get_no_gradient_and_huge_logits_stay_finite():
    logits = torch.tensor([[100.0, -100.0, 100.0], [88.0, 89.0, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
    losses = losses_of(logits, [7, 9, 7])
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] == logits.grad[2, 0] == 0
    assert losses[0].item() == 0


def test_only_duplicates_means_nothing_to_learn():
    assert losses_of(torch.tensor([[0.3, 0.9], [0.1, -2.0]]), [5, 5]).tolist() == [0, 0]


def test_own_column_may_lie_anywhere_in_the_global_batch(monkeypatch):
    """The second of two processes, with one row after the other's two, and one after it."""
    monkeypatch.setattr("missrec_pl.losses.rows.row_counts", lambda rows: [2, 1, 1])
    monkeypatch.setattr("missrec_pl.losses.rows.first_own_row", lambda counts: counts[0])
    everyone = Items(torch.zeros(4, 1), torch.tensor([3, 1, 3, 4]))
    step, _ = make_step([1], ids=[0, 3], loss=Contrastive(), told=torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    assert step.own.tolist() == [2]
    assert step.num_rows == 4
    assert (-step.log_prob(everyone)).item() == pytest.approx(softmax_loss([0.2, 0.3, 0.4], 1))


@pytest.mark.parametrize("padding", [False, True])
def test_all_items_are_candidates_without_padding_unless_the_loss_wants_it(padding):
    loss = Contrastive(padding_candidate=padding)
    step, _ = make_step([3, 1, 3], ids=list(range(10)), is_whole=True, loss=loss)
    assert step.candidates.ids.tolist() == list(range(0 if padding else 1, 10))
    logits, column = step.logits(step.candidates)
    assert column.tolist() == ([3, 1, 3] if padding else [2, 0, 2])
    expected = step.users.state @ step.items.vectors[0 if padding else 1 :].T
    torch.testing.assert_close(logits, expected)  # nobody is twice
    torch.testing.assert_close(step.log_prob(step.candidates), expected.log_softmax(1)[range(3), column])


def sampled(log_chance):
    return Candidates(torch.tensor([1, 3, 4, 5]), torch.tensor(log_chance, dtype=torch.float64))


def test_sampled_candidates_stand_for_those_that_were_not_drawn():
    chance = [0.5, 0.9, 0.25, 1.0]
    step, _ = make_step([3, 1, 3], candidates=sampled([math.log(one) for one in chance]))
    assert step.candidates.ids.tolist() == [2, 5, 7, 9]
    logits, column = step.logits(step.candidates)
    assert column.tolist() == [1, 0, 1]
    torch.testing.assert_close(logits, step.users.state @ step.items.vectors[[1, 3, 4, 5]].T)  # not corrected
    for row, found in enumerate(step.log_prob(step.candidates).tolist()):
        own = int(column[row])
        weights = [math.exp(x) / (1 if c == own else chance[c]) for c, x in enumerate(logits[row].tolist())]
        assert found == pytest.approx(math.log(weights[own] / sum(weights)))


def per_row():
    """Row 0 has drawn its own target again, row 1 an item twice."""
    return Candidates(torch.tensor([[3, 1, 3], [1, 4, 4], [3, 5, 2]]))


def test_candidates_of_each_row_have_the_target_in_front():
    step, _ = make_step([3, 1, 3], candidates=per_row(), loss=BCE())
    assert step.candidates.ids.tolist() == [[5, 2, 5], [2, 7, 7], [5, 9, 4]]
    logits, column = step.logits(step.candidates)
    assert column.tolist() == [0, 0, 0]
    assert logits.isneginf().nonzero().tolist() == [[0, 2]]
    expected = torch.einsum("rd,rkd->rk", step.users.state, step.items.vectors[per_row().rows])
    kept = ~logits.isneginf()
    torch.testing.assert_close(logits[kept], expected[kept])


def test_a_softmax_of_each_rows_own_draws_is_corrected_for_their_number():
    """Two draws stand for the eight other items of the catalogue, each four times."""
    step, _ = make_step([3, 1, 3], candidates=per_row())
    logits, _ = step.logits(step.candidates)
    weights = logits.exp() * torch.tensor([1.0, 4.0, 4.0])
    torch.testing.assert_close(step.log_prob(step.candidates), (weights[:, 0] / weights.sum(1)).log())


def test_drawing_every_other_item_once_is_the_whole_softmax():
    order = [3, 1, 2, 4, 5, 6, 7, 8, 9]
    ids = list(range(10))
    drawn, _ = make_step([3], ids=ids, candidates=Candidates(torch.tensor([order])))
    whole, _ = make_step([3], ids=ids, is_whole=True)
    torch.testing.assert_close(drawn.log_prob(drawn.candidates), whole.log_prob(whole.candidates))


CASES = {
    "all": {"ids": list(range(10)), "is_whole": True},
    "all with padding": {"ids": list(range(10)), "is_whole": True, "loss": Contrastive(padding_candidate=True)},
    "in_batch": {},
    "in_batch with duplicates": {"loss": Contrastive(mask_duplicates=False)},
    "sampled": {"candidates": sampled([-0.1, -2.0, -1.0, 0.0])},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("max_logits", [3, 9, 13])
def test_chunks_of_candidates_change_neither_losses_nor_gradients(case, max_logits):
    found = []
    for limit in (1 << 20, max_logits):
        step, asked = make_step([3, 1, 3, 5], max_logits=limit, **CASES[case])
        log_prob = step.log_prob(step.candidates)
        (log_prob * torch.arange(1, 5)).sum().backward()
        found.append((log_prob, step.users.state.grad, step.items.vectors.grad))
        assert max(asked) <= max(1, limit // 4)
    assert len(asked) > 1
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-14)


def test_values_of_histories_stand_at_their_last_target():
    """Three targets of one history and one of another: the means over targets and over histories agree."""
    batch = {"history": torch.ones(2, 4, dtype=torch.long), "length": torch.tensor([4, 2])}
    step, _ = make_step([3, 1, 3, 5], place=torch.tensor([0, 2, 3, 5]), **batch)
    assert (step.num_rows, step.num_histories) == (4, 2)
    assert step.own.tolist() == [0, 1, 2, 3]
    assert step.own_histories.tolist() == [0, 1]
    values = torch.tensor([2.0, 5.0])
    spread = step.of_rows(values)
    assert spread.tolist() == [0, 0, 4, 10]
    assert spread.mean() == values.mean()
    prefix, _ = make_step([3, 1])
    assert prefix.of_rows(values) is values
