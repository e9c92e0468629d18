"""The interest table of a checkpoint beside the item tokens that it divides, rebuilt from the checkpoint alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch import Tensor

from missrec_pl.clustering import DPCKNNResult
from missrec_pl.clustering.methods import DPCKNN, InterestMethod, NoInterests
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.rebuilding import StoredRun
from missrec_pl.nn.contract import ItemInputs, Recommender
from missrec_pl.nn.interests import InterestTable

_CHUNK = 16384  # items embedded at a time


@dataclass(frozen=True)
class StoredInterests:
    """Interests as the network of a checkpoint uses them. P tokens exist, K prototypes divide them.

    Attributes:
        checkpoint: the file.
        method: what found the interests.
        seed: the run's seed.
        tokens: ``[P, D]`` as the checkpoint's adapters make them: an epoch younger than the table, as a rule.
        item: ``[P]`` global item of each token, 1..N.
        modality: ``[P]`` position in ``modalities``.
        domain: ``[P]`` position in ``domains``.
        assignment: ``[P]`` prototype of each token, 0..K-1.
        prototypes: ``[K, D]``.
        modalities: names.
        domains: names.
        titles: ``[N + 1]`` item texts on one line each; the raw id where there is none.
    """

    checkpoint: Path
    method: InterestMethod
    seed: int
    tokens: Tensor
    item: Tensor
    modality: Tensor
    domain: Tensor
    assignment: Tensor
    prototypes: Tensor
    modalities: list[str]
    domains: list[str]
    titles: list[str]


def read_interests(run: StoredRun) -> StoredInterests:
    """Read the interests of a checkpoint's run and embed its items.

    Raises:
        CheckpointError: the run has no interests.
    """
    file = run.file
    if int(run.checkpoint.weights.get("fitted.interests.num_refreshes", 0)) == 0:
        raise CheckpointError(
            f"{file}: its interest table is empty, for the run never discovered any (callbacks.interest_refresh)."
        )
    method: InterestMethod = instantiate(run.config.interest.method)
    if isinstance(method, NoInterests):
        raise CheckpointError(
            f"{file} is of a run with interest=none: its prototype is a constant, there is nothing to show."
        )
    catalogue, seed = run.datamodule.catalogue, int(run.config.seed)
    return interests_of(run.module.model, catalogue, checkpoint=file, method=method, seed=seed)


def decision_graph(stored: StoredInterests) -> DPCKNNResult | None:
    """Densities and deltas of the tokens under the run's options; None if its interests have another origin."""
    if not isinstance(stored.method, DPCKNN):
        return None
    found = stored.method(stored.tokens, len(stored.prototypes), stored.seed)
    return found if isinstance(found, DPCKNNResult) else None


@torch.no_grad()
def interests_of(
    model: Recommender, catalogue: Catalogue, *, checkpoint: Path, method: InterestMethod, seed: int
) -> StoredInterests:
    """The interests of a network that has them, and its tokens of all items, on the CPU."""
    table = model.fitted["interests"]
    assert isinstance(table, InterestTable)
    parts: list[Any] = []
    for chunk in catalogue.chunks(_CHUNK, table.prototypes.device):
        items = model.encode_items(ItemInputs(chunk)).span(1)
        present = ~(items.extra["is_missing"] | items.extra["no_interest"])
        parts.append((items.vectors[present].cpu(), present.cpu(), items.extra["interest"][present].cpu()))
    tokens, present, interest = (torch.cat(part) for part in zip(*parts, strict=True))
    item, modality = present.nonzero().T
    return StoredInterests(
        checkpoint=checkpoint,
        method=method,
        seed=seed,
        tokens=tokens,
        item=item + 1,
        modality=modality,
        domain=torch.from_numpy(np.searchsorted(catalogue.offsets, item.numpy(), side="right") - 1),
        assignment=interest - 1,
        prototypes=table.prototypes[1:].cpu(),
        modalities=catalogue.modalities,
        domains=[domain.name for domain in catalogue.domains],
        titles=titles_of(catalogue),
    )


def titles_of(catalogue: Catalogue) -> list[str]:
    """One line per item: its domain if there are several, then its text or, without one, its raw id."""
    titles = [""]
    for domain in catalogue.domains:
        prefix = f"[{domain.name}] " if len(catalogue.domains) > 1 else ""
        for text, raw_id in zip(domain.texts()[1:], domain.raw_item_ids()[1:], strict=True):
            titles.append(prefix + (" ".join(text.split()) or f"item {raw_id} (no text)"))
    return titles
