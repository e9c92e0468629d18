"""What S3-Rec's pre-training draws, and how its tasks are averaged."""

import pytest
import torch

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import S3Rec, Step
from missrec_pl.losses.s3rec import _others, _stretches
from missrec_pl.nn import DataShape
from missrec_pl.nn.contract import Histories, ItemInputs
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.s3rec import S3Rec as Network

ROWS = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 8, 9, 0, 0, 0], [10, 0, 0, 0, 0, 0], [2, 9, 2, 9, 0, 0]])
LENGTH = torch.tensor([6, 3, 1, 4])
HIDDEN = torch.tensor([[0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]).bool()


@pytest.fixture
def step():
    """Cloze rows of 12 items with attributes; item 5 has none."""
    torch.manual_seed(0)
    shape = DataShape(12, {}, attributes={"attributes": 4}, max_history=5)
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 10, "num_layers": 1, "dropout": 0.0}
    network = Network(shape, phase="pretrain", **sizes)
    values = torch.stack([torch.arange(13) % 5, torch.zeros(13, dtype=torch.long)], 1)
    table = ItemTable(
        torch.arange(13), torch.zeros(13, 0, dtype=torch.bool), {}, {}, True, {}, {"attributes": values}
    )
    place = HIDDEN.flatten().nonzero()[:, 0]
    batch = SequenceBatch(
        ROWS * ~HIDDEN, LENGTH, ROWS.flatten()[place], torch.zeros(4, dtype=torch.long), table,
        place=place, is_masked=HIDDEN,
    )  # fmt: skip
    histories = Histories(batch.history, LENGTH, HIDDEN)
    items = network.encode_items(ItemInputs(table))
    users = encode_users(network, histories, items, places=place)
    return Step(
        network=network, data=shape, histories=histories, items=items, users=users, views=None, batch=batch,
        rows=histories, scores=lambda *_: None, max_logits=1, mask_duplicates=False, padding_candidate=False,
    )  # fmt: skip


def test_negatives_are_items_that_the_sequence_has_not():
    torch.manual_seed(0)
    for _ in range(30):
        drawn = _others(ROWS, 40)
        assert drawn.min() > 0
        assert drawn.max() < 40
        for row, own in zip(drawn, ROWS, strict=True):
            assert not set(row.tolist()) & set(own.tolist())


def test_where_every_item_is_the_sequences_own_nothing_is_compared():
    assert not _others(torch.tensor([[1, 2, 3]]), 4).any()


def test_stretches_are_hidden_alone_and_replaced():
    torch.manual_seed(0)
    sizes = set()
    for _ in range(50):
        context, stretch, other = _stretches(ROWS, LENGTH)
        is_in, is_item = context.is_masked, ROWS > 0
        assert torch.equal(context.rows, ROWS * ~is_in)
        assert torch.equal(stretch.rows, ROWS * is_in)
        assert torch.equal(stretch.is_masked, is_item & ~is_in)
        assert torch.equal(other.is_masked, stretch.is_masked)
        assert (is_in <= is_item).all()
        sizes |= set(zip(LENGTH.tolist(), is_in.sum(1).tolist(), strict=True))
        for number, row in enumerate(other.rows):
            items = set(row[row > 0].tolist())
            assert any(items <= set(ROWS[one].tolist()) for one in range(4) if one != number)
        inside = is_in.int()
        starts = (inside[:, 0] + (inside[:, 1:] - inside[:, :-1]).clamp_min(0).sum(1)).tolist()
        assert starts == [1] * 4  # in one piece
    assert sizes == {(6, 1), (6, 2), (6, 3), (3, 1), (1, 1), (4, 1), (4, 2)}


def test_each_task_is_a_mean_over_what_it_predicts(step):
    loss = S3Rec()
    drawn = loss.draw(step)
    assert drawn.counts.tolist() == [True, True, False, True]
    found = {name: rows.mean() for name, rows in loss.compare(step, drawn).items()}
    sums = {name: rows.mean() for name, rows in _published(loss).compare(step, drawn).items()}
    shown, hidden = int(LENGTH.sum() - HIDDEN.sum()), int(HIDDEN.sum())
    for name, count in (("aap", shown * 4), ("map", hidden * 4), ("mip", hidden), ("sp", 3)):
        torch.testing.assert_close(found[name] * count, sums[name])
    total = 0.2 * found["aap"] + found["mip"] + found["map"] + 0.5 * found["sp"]
    torch.testing.assert_close(found["loss"], total)


def _published(loss):
    """Sums of the same costs."""
    loss.reference = True
    loss._pair = lambda positive, negative: torch.nn.functional.softplus(negative - positive)
    return loss


def test_clamped_costs_are_the_others_where_nothing_is_sure(step):
    drawn = S3Rec().draw(step)
    one, other = S3Rec().compare(step, drawn), S3Rec(clamped=True).compare(step, drawn)
    torch.testing.assert_close(one, other)


def test_equal_seeds_draw_equally(step):
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(S3Rec()(step)["loss"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_gradients_reach_all_that_pretraining_learns(step):
    S3Rec()(step)["loss"].sum().backward()
    for name, weight in step.network.named_parameters():
        assert weight.grad is not None, name
