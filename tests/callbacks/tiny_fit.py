"""Lightning modules that train within milliseconds."""

import torch

from missrec_pl.clustering.methods import KMeans
from missrec_pl.losses import Contrastive
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRec
from missrec_pl.nn.scorers import Content, Cooccurrence, Scorers, SeenItems

NUM_PROTOTYPES = 5
SCORERS = {"seen": SeenItems, "cooccurrence": Cooccurrence, "content": Content}


def optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2)


def make_module(datamodule, method=None, every_n_epochs=1, *, scorers=("seen",), **options) -> TrainingModule:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 10}
    interests = InterestSettings(NUM_PROTOTYPES, KMeans() if method is None else method, every_n_epochs)
    shape = datamodule.shape
    model = MISSRec(shape, interests=interests, **{**sizes, **options})
    made = Scorers({name: SCORERS[name](shape) for name in scorers})
    return TrainingModule(model, Contrastive(), optimizer, data=shape, scorers=made, ks=(1, 5))
