"""A shop of a few items with an untrained network, as a bundle: no training, no data on disk."""

import numpy as np
import torch
from torch import nn

from missrec_pl.data.items.table import ItemTable
from missrec_pl.fitting.sequence_pairs import item_pairs
from missrec_pl.nn.contract import DataShape, ItemInputs, Items, Recommender, Users
from missrec_pl.nn.missrec import MISSRecReleased
from missrec_pl.nn.sasrec import SASRec
from missrec_pl.nn.scorers import Content, Cooccurrence, Scorers, SeenItems, Words
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.manifest import BundleManifest

ITEMS = 12
DIMS = {"text": 5, "image": 4}
SMALL = {"hidden_size": 8, "num_heads": 2, "inner_size": 8}
SHAPE = {
    "num_items": ITEMS,
    "feature_dims": DIMS,
    "num_present": {"text": ITEMS, "image": ITEMS - 1},
    "attributes": {},
    "max_history": 5,
    "num_folds": 0,
}
IDS = [f"i{number}" for number in range(1, ITEMS + 1)]


class Clock(Recommender):
    """Reads when items were met, and fills in a hidden place: what no network of one family does."""

    reads = frozenset({"ids", "timestamps"})
    example = "cloze"
    item_bound = ("table.",)

    def __init__(self, data: DataShape, *, width: int = 4) -> None:
        super().__init__()
        self.table = nn.Embedding(data.num_items + 1, width)

    def encode_items(self, inputs: ItemInputs) -> Items:
        return Items(self.table(inputs.ids), inputs.ids, {"twice": 2 * self.table(inputs.ids)})

    def encode_histories(self, history, items):
        assert history.is_masked is not None
        age = history.times.gather(1, history.length[:, None] - 1) - history.times[:, :-1]
        weight = (age.clamp_min(0) + 1.0).reciprocal() * (history.rows > 0)
        state = (items.extra["twice"][history.rows] * weight[:, :, None]).sum(1)
        return Users(state[:, None].expand(-1, history.rows.shape[1], -1))


def features(seed=0, count=ITEMS):
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, width, generator=random) for name, width in DIMS.items()}


def table():
    """All items; the last one lacks its picture."""
    dense, ids = features(), torch.arange(ITEMS + 1)
    rows = {"text": ids[1:], "image": ids[1:-1]}
    missing = torch.zeros(ITEMS + 1, 2, dtype=torch.bool)
    missing[0], missing[-1, 1] = True, True
    return ItemTable(ids, missing, rows, {"text": dense["text"], "image": dense["image"][:-1]})


def make(kind="tuned", domains=("shop",) * ITEMS):
    """A bundle in memory: ``tuned`` (all that a network of content can have), ``ids``, or ``clock``."""
    torch.manual_seed(1)
    data = DataShape(**SHAPE)
    scorers = {}
    if kind == "tuned":
        arguments = {**SMALL, "item_ids": True, "fusion_concentration": None}
        network = MISSRecReleased(data, **arguments)
        settle(network)
        scorers = {"seen": SeenItems(data), "cooccurrence": Cooccurrence(data), "content": Content(data)}
        scorers["words"] = Words(data)
        walks = np.array([1, 2, 3, 4, 2, 3, 5, 6, 7, 8, 9, 10], dtype=np.int32)
        scorers["cooccurrence"].pairs.take(item_pairs(walks, np.array([0, 4, 8, 12]), ITEMS))
        for name, part in scorers["content"].fitted.items():
            whiten(part, features()[name], name)
        ring = torch.arange(ITEMS + 1)
        scorers["words"].fitted["words"].neighbours = (ring % ITEMS + 1)[:, None].repeat(1, 2)
        scorers["words"].fitted["words"].cosines = (ring > 0)[:, None] / torch.tensor([2.0, 3.0])
    elif kind == "ids":
        arguments, network = dict(SMALL), SASRec(data, **SMALL)
    else:
        arguments, network = {"width": 4}, Clock(data, width=4)
    network.eval()
    items = network.encode_items(ItemInputs(table()))
    manifest = BundleManifest(
        network={"name": type(network).__name__, "arguments": arguments},
        scorers={name: {"name": type(one).__name__, "arguments": {}} for name, one in scorers.items()},
        shape=SHAPE,
        temperature=0.1,
        encoders={"text": ["lsa"], "image": ["clip"]},
        domains={"shop": "0" * 64},
    )
    titles = [f"Title of {one}" for one in IDS]
    names = ItemNames(IDS, list(domains), titles, np.arange(ITEMS, 0, -1))
    return Bundle(manifest, network, Scorers(scorers), items, names)


def settle(network):
    """Prototypes as if interests had been discovered."""
    interests = network.interests
    interests.prototypes[1:] = torch.randn(interests.prototypes[1:].shape)
    interests.assignment[1:] = torch.randint(1, interests.num_prototypes + 1, interests.assignment[1:].shape)
    interests.assignment[-1, 1:] = 0
    interests.num_refreshes += 1


def whiten(part, dense, name):
    present = torch.ones(ITEMS + 1, dtype=torch.bool)
    present[0] = False
    if name == "image":
        present[-1] = False
    vectors = nn.functional.normalize(dense[present[1:]], dim=1)
    part.items = present.nonzero()[:, 0]
    part.row_of = torch.where(present, present.cumsum(0), 0)
    part.vectors = torch.cat([torch.zeros(1, dense.shape[1]), vectors])
    part.mean, part.axes = torch.zeros(dense.shape[1]), torch.eye(dense.shape[1])


def written(folder, kind="tuned", **changes):
    """The folder of a bundle."""
    folder.mkdir(parents=True)
    make(kind, **changes).write(folder)
    return folder
