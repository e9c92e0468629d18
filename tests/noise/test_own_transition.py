"""A training row is scored as if its own transition had never happened, whatever was fitted to it."""

import itertools

import pytest
import torch
from noisy_data import with_other_item
from prepared_runs import epoch_of, logits_of, prepared

USER, PLACES = 13, {"first target": 1, "last target": 6}  # of seven items to train on
NETWORKS = [
    ("model=missrec_released",),
    ("model=sasrec", "objective=softmax"),
    ("model=sasrec", "objective=softmax", "data.example=prefix"),
]


@pytest.fixture
def pairs(truths, tmp_path):
    """Prepared twice: as the data is, and with another item at a place of one user's training part."""

    def of(said, place):
        other = with_other_item(truths.clean, tmp_path / "other", USER, place)
        return [prepared(said, one, tmp_path / str(number)) for number, one in enumerate((truths.clean, other))]

    return of


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("said", NETWORKS, ids=" ".join)
def test_scores_of_a_row_do_not_know_its_target(said, place, pairs):
    (one, module), (other, second) = pairs((*said, "scorers=rich"), place)
    num_rows, num_changed = 0, 0
    for batch, changed in zip(epoch_of(one), epoch_of(other), strict=True):
        is_own = batch.items.ids[batch.target] != changed.items.ids[changed.target]
        before, after = logits_of(module, batch), logits_of(second, changed)
        torch.testing.assert_close(before[is_own], after[is_own], atol=1e-4, rtol=1e-4)
        num_rows += int(is_own.sum())
        num_changed += int((before - after)[~is_own].abs().amax(1).gt(1e-3).sum())
    assert num_rows == 1
    assert num_changed  # others learn from it


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_is_fitted_by_folds_knows_nothing_of_the_rows_that_see_it(place, pairs):
    """Up to a rotation: the tables are turned towards that of all users."""
    (one, module), (other, second) = pairs(("model=missrec_tuned",), place)
    (own,) = one.fold_of_user[[USER]]
    is_changed = []
    for fold in range(one.num_folds):
        tables = [
            member.model.fitted["collaborative"](every(data), fold)[0]
            for data, member in ((one, module), (other, second))
        ]
        cosines = [table @ table.T for table in tables]
        is_changed.append(not torch.allclose(*cosines, atol=1e-4))
    assert is_changed == [fold != own for fold in range(one.num_folds)]


def test_training_rows_see_the_table_without_their_fold(truths, tmp_path, monkeypatch):
    datamodule, module = prepared(("model=missrec_tuned",), truths.clean, tmp_path)
    part, seen = module.model.fitted["collaborative"], []
    look_up = part.forward
    monkeypatch.setattr(part, "forward", lambda ids, fold=None: seen.append(fold) or look_up(ids, fold))
    rows_of_fold = {fold: rows_of(datamodule, fold) for fold in range(datamodule.num_folds)}
    for batch in epoch_of(datamodule):
        seen.clear()
        module.training_step(batch, 0)
        assert set(seen) == {batch.fold}
        ids = batch.items.ids
        history, target = ids[batch.history].tolist(), ids[batch.target].tolist()
        rows = {(*(item for item in line if item), last) for line, last in zip(history, target, strict=True)}
        assert rows <= rows_of_fold[batch.fold]
    assert not rows_of_fold[0] <= rows_of_fold[1]


def every(datamodule):
    return torch.arange(1, datamodule.catalogue.num_items + 1)


def rows_of(datamodule, fold):
    """All prefixes of the training parts of a fold's users."""
    items, offsets = datamodule.sequences.training_parts()
    parts = [items[start:stop].tolist() for start, stop in itertools.pairwise(offsets)]
    chosen = [part for part, own in zip(parts, datamodule.fold_of_user, strict=True) if own == fold]
    return {tuple(part[: end + 1]) for part in chosen for end in range(1, len(part))}
