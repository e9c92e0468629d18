import numpy as np
import pytest
import torch

from missrec_pl.data.augmentations import FeatureDropout, ItemDrop, WordDrop, drop_items, drop_words
from missrec_pl.data.augmentations_released import ReleasedViews, TornBatch, drop_predecessors
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError, DataError

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


@pytest.fixture
def wordy(memory_domain):
    """A catalogue of 9 items, text of 1..8 and image of 2..9, with word-dropped text; and a batch of it."""

    def make(placement="device", **changes):
        text, image = (
            [[float(i), first] if has(i) else None for i in range(1, 10)]
            for first, has in ((0.5, lambda i: i < 9), (0.7, lambda i: i > 1))
        )
        domain = memory_domain("wordy", features={"text": text, "image": image})
        domain.views = {"text_worddrop": None}
        domain._rows["text_worddrop"] = np.array(
            [[0, 0]] + [[10.0 * i, 0.5] for i in range(1, 10)], dtype=np.float32
        )
        return Catalogue([domain], **{"modalities": ["text", "image"], "placement": placement, **changes})

    return make


def batch_of(catalogue) -> SequenceBatch:
    zeros = torch.zeros(3, dtype=torch.long)
    return SequenceBatch(HISTORY, LENGTH, torch.tensor([1, 2, 3]), zeros, catalogue.table(torch.arange(10)))


@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
def test_a_table_gets_the_views_of_its_rows(wordy, placement):
    catalogue = wordy(placement)
    table = catalogue.table(torch.tensor([0, 3, 9, 5]))
    assert table.views == {}
    with_views = catalogue.with_views(table, ["text_worddrop"])
    assert with_views.views["text_worddrop"][:, 0].tolist() == [30, 50]  # item 9 has no text
    assert with_views.features is table.features
    again = catalogue.with_views(catalogue.whole(torch.device("cpu")), ["text_worddrop"])
    assert again.views["text_worddrop"][:, 0].tolist() == [10.0 * i for i in range(1, 9)]
    assert set(again.features) == {"text", "image"}


def test_views_that_are_not_there_are_named(wordy, memory_domain):
    catalogue = wordy(modalities=["image"])
    with pytest.raises(ConfigError, match=r"needs text_worddrop, but data.modalities=\['image'\] has no text"):
        catalogue.with_views(catalogue.table(torch.arange(3)), ["text_worddrop"])
    catalogue = wordy()
    catalogue.domains[0].views = {}
    with pytest.raises(DataError, match=r"wordy has no view text_worddrop .*feat2CLS"):
        catalogue.with_views(catalogue.table(torch.arange(3)), ["text_worddrop"])


def text_of(batch, place: tuple[int, int]) -> float:
    table, row = batch.items, batch.history[place]
    return float(table.features["text"][(table.rows["text"] == row).nonzero()[0, 0], 0])


def test_words_are_dropped_where_an_item_is_not_kept(wordy):
    catalogue = wordy()
    batch = batch_of(catalogue)
    batch = batch.with_items(catalogue.with_views(batch.items, WordDrop.views))
    keep = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1]]).bool()
    dropped = drop_words(batch, keep)
    assert torch.equal(dropped.items.ids[dropped.history], HISTORY)
    assert torch.equal(dropped.history == 0, HISTORY == 0)
    assert dropped.length is batch.length
    found = {place: text_of(dropped, place) for place in ((0, 0), (0, 1), (0, 3), (1, 0), (2, 1), (2, 2))}
    assert found == {(0, 0): 4, (0, 1): 20, (0, 3): 2, (1, 0): 30, (2, 1): 6, (2, 2): 80}
    missing = dropped.items.is_missing[dropped.history]
    assert torch.equal(missing, batch.items.is_missing[HISTORY])
    assert missing[0, 4].tolist() == [True, False]  # item 9 has an image only, dropped words or not


def test_word_drop_drops_its_share(wordy):
    torch.manual_seed(2)
    catalogue = wordy()
    history = torch.full((500, 8), 3)
    zeros = torch.zeros(500, dtype=torch.long)
    table = catalogue.with_views(catalogue.table(torch.arange(10)), WordDrop.views)
    first, second = WordDrop(0.3)(SequenceBatch(history, zeros + 8, zeros, zeros, table))
    assert first.items is table
    assert (second.history != 3).double().mean().item() == pytest.approx(0.3, abs=0.03)


def test_the_released_fault_drops_the_item_before(wordy):
    batch = batch_of(wordy())
    keep = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 1]]).bool()
    torn = drop_predecessors(batch, keep)
    assert isinstance(torn, TornBatch)
    assert torn.history.tolist() == [[2, 7, 9, 0, 0], [3, 0, 0, 0, 0], [5, 8, 0, 0, 0]]
    assert torn.length.tolist() == [3, 1, 2]
    assert torch.equal(torn.modality_history[0], torn.history)
    assert torch.equal(torn.modality_history[1], HISTORY)  # images stay where they were
    assert keep[1].sum() == 0  # the caller's draw is not changed


@pytest.mark.parametrize(("share", "is_torn"), [(1.0, True), (0.0, False)])
def test_the_released_views_are_of_one_kind_per_batch(wordy, share, is_torn):
    torch.manual_seed(0)
    augmentation = ReleasedViews(0.5, item_drop_share=share)
    catalogue = wordy()
    batch = batch_of(catalogue)
    assert augmentation.views == (() if is_torn else ("text_worddrop",))
    first, second = augmentation(batch.with_items(catalogue.with_views(batch.items, augmentation.views)))
    assert first.history is batch.history
    assert isinstance(second, TornBatch) is is_torn
    assert (len(second.items.ids) == 20) is not is_torn


def test_most_released_batches_drop_items(wordy):
    torch.manual_seed(3)
    catalogue = wordy()
    batch = batch_of(catalogue)
    batch = batch.with_items(catalogue.with_views(batch.items, WordDrop.views))
    kinds = [isinstance(ReleasedViews()(batch)[1], TornBatch) for _ in range(300)]
    assert sum(kinds) / 300 == pytest.approx(0.9, abs=0.06)
