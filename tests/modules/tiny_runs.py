"""Small Lightning modules on small data, and a stand-in for the trainer where none is needed."""

from types import SimpleNamespace

import numpy as np
import torch

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.data.candidates import SharedNegatives
from missrec_pl.data.datasets import TrainingBatches
from missrec_pl.data.examples.kinds import TrainingPrefixes
from missrec_pl.data.samplers import SharedBatch
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive, Loss
from missrec_pl.modules import TrainingModule
from missrec_pl.nn import DataShape, Recommender
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRec, MISSRecReleased
from missrec_pl.nn.scorers import Content, Cooccurrence, Scorers, SeenItems

MODELS = {"missrec": MISSRec, "released": MISSRecReleased}
SCORERS = {"seen": SeenItems, "cooccurrence": Cooccurrence, "content": Content}
NUM_PROTOTYPES, NUM_FOLDS = 6, 3


def shape_of(catalogue, **changes) -> DataShape:
    present = (~catalogue.is_missing).sum(0).tolist()
    num_present = dict(zip(catalogue.feature_dims, present, strict=True))
    return DataShape(catalogue.num_items, catalogue.feature_dims, num_present, **changes)


def fill_interests(model: Recommender, is_missing: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(5)
    width = model.interests.prototypes.shape[1]
    assignment = torch.randint(NUM_PROTOTYPES, (int((~is_missing).sum()),), generator=random)
    model.interests.update(torch.randn(NUM_PROTOTYPES, width, generator=random), assignment, is_missing)


def make_model(kind: str, catalogue, *, method=None, max_history: int = 50, **options) -> Recommender:
    """A network with an interest table, the same for the same arguments; no dropout."""
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 10, "dropout": 0.0}
    interests = InterestSettings(NUM_PROTOTYPES) if method is None else InterestSettings(NUM_PROTOTYPES, method)
    has_folds = bool(options.get("collaborative"))
    shape = shape_of(catalogue, max_history=max_history, num_folds=NUM_FOLDS if has_folds else 0)
    torch.manual_seed(7)
    model = MODELS[kind](shape, interests=interests, **{**sizes, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if model.id_embedding is not None:
        torch.nn.init.zeros_(model.id_embedding.weight[0].detach())
    fill_interests(model, torch.nn.functional.pad(catalogue.is_missing, (0, has_folds), value=True))
    return model


def make_scorers(catalogue, names=("seen",)) -> Scorers:
    """Auxiliary scorers whose scalars are none of the usual ones."""
    torch.manual_seed(8)
    scorers = Scorers({name: SCORERS[name](shape_of(catalogue)) for name in names})
    with torch.no_grad():
        for parameter in scorers.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return scorers


def optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2)


def make_module(
    model: Recommender, catalogue, loss: Loss | None = None, *, scorers=("seen",), **options
) -> TrainingModule:
    return TrainingModule(
        model,
        Contrastive() if loss is None else loss,
        optimizer,
        data=shape_of(catalogue),
        scorers=make_scorers(catalogue, scorers),
        **{"ks": (1, 5, 10), **options},
    )


def fit_once(module: TrainingModule, datamodule: DomainDataModule) -> None:
    """Fit what is fitted once, as a run does; training batches do not mix folds from now on."""
    datamodule.choose(with_folds=any(part.folds for part in module.fitted_parts))
    InterestRefresh().setup(SimpleNamespace(datamodule=datamodule), module, "fit")


def detach_from_trainer(module, datamodule):
    """The module as if in training, with losses kept in ``module.losses`` instead of logged."""
    module.trainer = SimpleNamespace(datamodule=datamodule)
    module.losses = {}
    module.log_losses = lambda batch, losses: module.losses.update(losses)
    return module


def _prefixes(datamodule: DomainDataModule, *, deduplicate: bool) -> TrainingPrefixes:
    return TrainingPrefixes(
        datamodule.sequences,
        datamodule.catalogue,
        datamodule.max_history,
        deduplicate,
        datamodule.fold_of_user,
    )


def training_batch(datamodule: DomainDataModule, samples: np.ndarray, *, whole: bool):
    """A batch with its features, as the data module hands it to a training step."""
    catalogue = datamodule.catalogue
    prefixes = _prefixes(datamodule, deduplicate=not whole)
    batch, _ = prefixes.build(prefixes.locate(samples, np.random.default_rng(0)))
    return batch.with_items(catalogue.whole(torch.device("cpu")) if whole else catalogue.fill(batch.items))


def sampled_batch(datamodule: DomainDataModule, samples: np.ndarray, rank=0, processes=1, *, negatives=7, seed=0):
    """One process's rows of a global batch, with its candidates."""
    catalogue = datamodule.catalogue
    prefixes = _prefixes(datamodule, deduplicate=True)
    shared = SharedBatch(samples, slice(rank, None, processes), (seed, 0, 0))
    batch = TrainingBatches(prefixes, SharedNegatives(prefixes.target_counts(), negatives))[shared]
    return batch.with_items(catalogue.fill(batch.items))
