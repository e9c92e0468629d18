"""The released second views against the authors' transform, given the draw that it made."""

import pytest
import torch
from golden_files import THEIRS, arrays, assert_same, catalogue_of, files, shape_of, tables, transformed

from missrec_pl.data.augmentations import drop_items, drop_words
from missrec_pl.data.augmentations_released import drop_predecessors
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRecReleased

KINDS = {"itemdrop": drop_predecessors, "worddrop": drop_words}
FILES = files("transform_*.npz")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    return {"kind": request.param.stem.partition("_")[2].partition("_")[0], **arrays(request.param)}


@pytest.fixture
def catalogue(memory_domain):
    shared = tables()
    features = {name: shared[f"{theirs}_w"] for name, theirs in THEIRS.items()}
    return catalogue_of(memory_domain, features, text_worddrop=shared["plm_aug_w"])


@pytest.fixture
def model(catalogue):
    """Only its interest table counts here."""
    shared = tables()
    prototypes = shared["interest_embeddings"]
    model = MISSRecReleased(
        shape_of(catalogue, shared["item_seq"].shape[1]),
        interests=InterestSettings(len(prototypes) - 1),
        hidden_size=prototypes.shape[1],
        compat=True,
    )
    model.interests.prototypes.copy_(prototypes)
    lookups = [shared[f"{theirs}_interest_lookup_table"] for theirs in THEIRS.values()]
    model.interests.assignment.copy_(torch.stack(lookups, dim=1))
    return model


def batch_of(golden, catalogue) -> SequenceBatch:
    target = golden["in.item_id"]
    table = catalogue.with_views(catalogue.whole(torch.device("cpu")), ["text_worddrop"])
    return SequenceBatch(
        golden["in.item_id_list"], golden["in.item_length"], target, torch.zeros_like(target), table
    )


def test_there_is_a_file_of_each_kind():
    assert {path.stem.partition("_")[2].partition("_")[0] for path in FILES} >= set(KINDS)


def test_every_array_of_the_file(golden, catalogue, model):
    batch = batch_of(golden, catalogue)
    found = transformed(model, batch, KINDS[golden["kind"]](batch, golden["keep_mask"]))
    names = [name for name in golden if name.startswith(("in.", "out."))]
    assert names
    for name in names:
        assert_same(name, found[name.partition(".")[2]], golden[name])


def test_the_mended_drop_leaves_as_many_items_but_others(golden, catalogue):
    """What the fault amounts to."""
    batch, keep = batch_of(golden, catalogue), golden["keep_mask"]
    faulty, mended = drop_predecessors(batch, keep), drop_items(batch, keep)
    assert torch.equal(faulty.length, mended.length)
    for row, items in enumerate(batch.history):
        is_kept = keep[row] & (items != 0)
        is_kept[0] = True
        assert mended.history[row][: mended.length[row]].tolist() == items[is_kept].tolist()
    differ = (faulty.history[:, : mended.history.shape[1]] != mended.history).any(1)
    assert torch.equal(differ, faulty.length < batch.length)
