"""A data module and Lightning modules that train within milliseconds."""

import torch

from missrec_pl.losses import Objective
from missrec_pl.modules import FinetuneModule
from missrec_pl.nn import MISSRec

NUM_PROTOTYPES = 5


def optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2)


def make_module(catalogue, **options) -> FinetuneModule:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 10}
    model = MISSRec(catalogue.feature_dims, catalogue.num_items, NUM_PROTOTYPES, **{**sizes, **options})
    return FinetuneModule(model, Objective(), optimizer, ks=(1, 5))
