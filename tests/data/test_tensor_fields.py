"""What moves to a device moves whole: views and attributes of items, candidates, whatever else holds tensors."""

from dataclasses import fields, is_dataclass

import pytest
import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable

ROWS = torch.arange(3)
TABLE = ItemTable(
    ids=ROWS,
    is_missing=torch.zeros(3, 1, dtype=torch.bool),
    rows={"text": ROWS[1:]},
    features={"text": torch.ones(2, 4)},
    is_whole=True,
    views={"text_worddrop": torch.zeros(2, 4)},
    attributes={"brand": torch.ones(3, 2, dtype=torch.long)},
)
BATCH = SequenceBatch(
    **dict.fromkeys(("history", "length", "target", "domain", "user", "row", "future", "place", "times"), ROWS),
    items=TABLE,
    candidates=Candidates(ROWS, torch.zeros(3)),
    fold=2,
    is_masked=ROWS > 1,
    plans={"pairs.source": ROWS},
)


def leaves(value, name=""):
    """Tensors by where they are; everything else as it is."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, one in value.items() for path, leaf in leaves(one, f"{name}.{key}").items()}


@pytest.mark.parametrize("whole", [TABLE, BATCH], ids=["item table", "batch"])
def test_every_tensor_moves_and_everything_else_stays(whole):
    before, after = leaves(whole), leaves(whole.to("meta"))
    assert before.keys() == after.keys()
    assert not any(leaf is None for leaf in before.values())  # a field that is new belongs in this test
    for path, leaf in after.items():
        if isinstance(leaf, Tensor):
            assert leaf.device.type == "meta", path
            assert (leaf.shape, leaf.dtype) == (before[path].shape, before[path].dtype)
        else:
            assert leaf == before[path]
    assert {".views.text_worddrop", ".attributes.brand"} <= {path.removeprefix(".items") for path in after}
