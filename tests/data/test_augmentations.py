import pytest
import torch

from missrec_pl.data.augmentations import FeatureDropout, ItemDrop, drop_items
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.catalogue import ItemTable

HISTORY = torch.tensor([[4, 2, 7, 2, 9], [3, 0, 0, 0, 0], [5, 6, 8, 0, 0]])
LENGTH = torch.tensor([5, 1, 3])


@pytest.fixture
def batch():
    ids = torch.arange(10)
    rows = {"text": torch.arange(1, 10)}
    items = ItemTable(ids, ids[:, None] == 0, rows, {"text": torch.ones(9, 400)})
    return SequenceBatch(HISTORY, LENGTH, torch.tensor([1, 2, 3]), torch.zeros(3, dtype=torch.long), items)


def test_feature_dropout_makes_two_views_of_the_same_histories(batch):
    torch.manual_seed(0)
    first, second = FeatureDropout(0.25)(batch)
    for view in (first, second):
        assert view.history is batch.history
        assert view.target is batch.target
        values = view.items.features["text"]
        assert sorted(set(values.flatten().tolist())) == pytest.approx([0, 1 / 0.75])
        assert (values == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert not torch.equal(first.items.features["text"], second.items.features["text"])
    assert (batch.items.features["text"] == 1).all()


def test_no_feature_dropout_changes_nothing(batch):
    for view in FeatureDropout(0.0)(batch):
        assert torch.equal(view.items.features["text"], batch.items.features["text"])


def test_dropped_items_leave_the_others_in_order(batch):
    keep = torch.tensor([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    dropped = drop_items(batch, keep)
    assert dropped.history.tolist() == [[4, 7, 2], [3, 0, 0], [5, 6, 0]]
    assert dropped.length.tolist() == [3, 1, 2]
    assert dropped.target is batch.target
    assert dropped.items is batch.items
    assert batch.history is HISTORY
    assert LENGTH.tolist() == [5, 1, 3]


def test_the_first_item_always_stays(batch):
    dropped = drop_items(batch, torch.zeros_like(HISTORY).bool())
    assert dropped.history.tolist() == [[4], [3], [5]]
    assert dropped.length.tolist() == [1, 1, 1]


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_item_drop_keeps_the_first_view_and_drops_from_the_second(batch, probability):
    torch.manual_seed(0)
    first, second = ItemDrop(probability)(batch)
    assert first is batch
    for before, after, length in zip(
        HISTORY.tolist(), second.history.tolist(), second.length.tolist(), strict=True
    ):
        assert after[0] == before[0]
        assert all(after[:length])
        assert not any(after[length:])
        rest = iter(before)
        assert all(item in rest for item in after[:length])  # a subsequence
    if probability in (0.0, 1.0):
        assert second.length.tolist() == (LENGTH.tolist() if probability == 0 else [1, 1, 1])


def test_item_drop_drops_its_share():
    torch.manual_seed(1)
    history = torch.ones(2000, 11, dtype=torch.long)
    zeros = torch.zeros(2000, dtype=torch.long)
    _, second = ItemDrop(0.2)(SequenceBatch(history, zeros + 11, zeros, zeros))
    assert (second.length - 1).double().mean().item() == pytest.approx(8, abs=0.1)
