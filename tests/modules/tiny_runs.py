"""Small Lightning modules on small data, and a stand-in for the trainer where none is needed."""

from types import SimpleNamespace

import numpy as np
import torch

from missrec_pl.data.batch import TrainingPrefixes
from missrec_pl.data.sampled_prefixes import SampledPrefixes
from missrec_pl.data.samplers import SharedBatch
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Objective
from missrec_pl.modules import FinetuneModule, PretrainModule
from missrec_pl.nn import MISSRec, MISSRecReleased, SequenceModel

MODELS = {"missrec": MISSRec, "released": MISSRecReleased}
NUM_PROTOTYPES = 6


def fill_interests(model: SequenceModel, is_missing: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(5)
    width = model.interests.prototypes.shape[1]
    assignment = torch.randint(NUM_PROTOTYPES, (int((~is_missing).sum()),), generator=random)
    model.interests.update(torch.randn(NUM_PROTOTYPES, width, generator=random), assignment, is_missing)


def make_model(kind: str, catalogue, **options) -> SequenceModel:
    """A network with an interest table, the same for the same arguments; no dropout."""
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 10, "dropout": 0.0}
    torch.manual_seed(7)
    model = MODELS[kind](catalogue.feature_dims, catalogue.num_items, NUM_PROTOTYPES, **{**sizes, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if model.id_embedding is not None:
        torch.nn.init.zeros_(model.id_embedding.weight[0].detach())
    fill_interests(
        model, torch.nn.functional.pad(catalogue.is_missing, (0, bool(model.collaborative)), value=True)
    )
    return model


def optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2)


def make_module(
    phase: str, model: SequenceModel, objective: Objective | None = None, **options
) -> FinetuneModule | PretrainModule:
    module = {"finetune": FinetuneModule, "pretrain": PretrainModule}[phase]
    return module(model, objective or Objective(), optimizer, **{"ks": (1, 5, 10), **options})


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
    batch = prefixes[samples]
    return batch.with_items(catalogue.whole(torch.device("cpu")) if whole else catalogue.fill(batch.items))


def sampled_batch(datamodule: DomainDataModule, samples: np.ndarray, rank=0, processes=1, *, negatives=7, seed=0):
    """One process's rows of a global batch, with its candidates."""
    catalogue = datamodule.catalogue
    prefixes = _prefixes(datamodule, deduplicate=True)
    shared = SharedBatch(samples[rank::processes], samples, (seed, 0, 0))
    batch = SampledPrefixes(prefixes, negatives)[shared]
    return batch.with_items(catalogue.fill(batch.items))
