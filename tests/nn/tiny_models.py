"""Small networks with large random weights, and a small catalogue in which things are missing."""

from dataclasses import dataclass

import torch

from missrec_pl.data.items.table import ItemTable
from missrec_pl.nn import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRec, MISSRecReleased

DIMS = {"text": 6, "image": 5, "audio": 4}
MODALITIES = [("text",), ("image",), ("text", "image"), ("text", "image", "audio")]
KINDS = {
    "missrec": (MISSRec, {}),
    "missrec-start": (MISSRec, {"positions_from": "start"}),
    "released": (MISSRecReleased, {}),
    "released-contextual": (MISSRecReleased, {"sequence_fusion": "contextual"}),
}
NUM_ITEMS, NUM_PROTOTYPES, HIDDEN, MAX_HISTORY = 14, 5, 8, 10
BARE_ITEMS = (6, 13)  # items that lack every modality


@dataclass
class Features:
    """Features of all items: ``features[name] [N+1, F]``, ``is_missing [N+1, M]``."""

    features: dict[str, torch.Tensor]
    is_missing: torch.Tensor

    def inputs(self) -> ItemInputs:
        """What a network encodes for the whole catalogue."""
        rows = {name: (~self.is_missing[:, m]).nonzero().squeeze(1) for m, name in enumerate(self.features)}
        features = {name: self.features[name][rows[name]] for name in self.features}
        return ItemInputs(ItemTable(torch.arange(NUM_ITEMS + 1), self.is_missing, rows, features, is_whole=True))


def make_items(modalities: tuple[str, ...], *, seed: int = 0) -> Features:
    random = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(NUM_ITEMS + 1, DIMS[name], generator=random) for name in modalities}
    is_missing = torch.rand(NUM_ITEMS + 1, len(modalities), generator=random) < 0.3
    is_missing[1:4] = False
    is_missing[list(BARE_ITEMS)] = True
    is_missing[0] = True
    return Features(features, is_missing)


def shape_of(modalities: tuple[str, ...] = tuple(DIMS), **changes) -> DataShape:
    """Sizes of the small catalogue; without cross-fitting folds."""
    dims = {name: DIMS[name] for name in modalities}
    return DataShape(**{"num_items": NUM_ITEMS, "feature_dims": dims, "max_history": MAX_HISTORY, **changes})


def prototypes(count: int = NUM_PROTOTYPES) -> InterestSettings:
    return InterestSettings(count)


def make_model(kind: str, modalities: tuple[str, ...], items: Features, **changes) -> Recommender:
    """A float64 network in eval mode with an interest table; its weights are large: every path matters."""
    architecture, options = KINDS[kind]
    sizes = {"hidden_size": HIDDEN, "num_heads": 2, "inner_size": 11, "interests": prototypes()}
    model = architecture(shape_of(modalities), **{**sizes, **options, **changes})
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=random))
            if "norm.weight" in name:
                parameter.add_(1.5)
        if model.id_embedding is not None:
            model.id_embedding.weight[0] = 0
    tokens = int((~items.is_missing).sum())
    model.double()
    model.interests.update(
        torch.randn(NUM_PROTOTYPES, HIDDEN, generator=random),
        torch.randint(NUM_PROTOTYPES, (tokens,), generator=random),
        items.is_missing,
    )
    return model.eval()


def embed(model: Recommender, items: Features) -> Items:
    return model.encode_items(items.inputs())


def users_of(model: Recommender, histories: list[list[int]], embedded: Items, width: int | None = None) -> Users:
    return model.encode_histories(pad(histories, width), embedded)


def score(model: Recommender, state: torch.Tensor, candidates: Items) -> torch.Tensor:
    return model.score(Users(state), candidates)


def pad(histories: list[list[int]], width: int | None = None) -> Histories:
    """``rows [B, L]`` of the whole catalogue, and ``length [B]``."""
    width = width or max(map(len, histories))
    history = torch.tensor([one + [0] * (width - len(one)) for one in histories])
    return Histories(history, torch.tensor([len(one) for one in histories]))


def interests_of(users: Users) -> torch.Tensor:
    return users.extra["interests"]


def is_interest_padding(users: Users) -> torch.Tensor:
    return users.extra["is_interest_padding"]
