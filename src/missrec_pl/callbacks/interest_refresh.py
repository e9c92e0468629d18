"""Interest discovery before training epochs (paper, 3.3.1)."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning as L
import torch
from torch import Tensor

from missrec_pl.clustering.methods import InterestMethod
from missrec_pl.nn.interests import InterestTable
from missrec_pl.system.precision import exact_float32
from missrec_pl.system.processes import Share

log = logging.getLogger(__name__)


class InterestRefresh(L.Callback):
    """Embeds all items, clusters their tokens and renews the network's interest table.

    Runs on train epoch start; before evaluation too if there is no table yet (Lightning's sanity check, and
    zero-shot evaluation). Processes share the search for neighbours, or the first clusters alone, as the method
    wants it; the table of the first is everybody's.

    Args:
        method: discovers the interests.
        every_n_epochs: refresh before every n-th epoch.
        seed: given to the method.
    """

    def __init__(self, method: InterestMethod, *, every_n_epochs: int = 1, seed: int = 0) -> None:
        self.method = method
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self.seconds: list[float] = []
        self._has_fitted = False

    def state_dict(self) -> dict[str, list[float]]:
        """The refreshes' seconds so far, for a resumed run."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, list[float]]) -> None:
        """Take over the seconds before the interruption; testing the best epoch's checkpoint changes nothing."""
        if not self._has_fitted:
            self.seconds = list(state_dict["seconds"])

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From now on a checkpoint is loaded to be tested."""
        self._has_fitted = True

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refresh before every n-th epoch."""
        if trainer.current_epoch % self.every_n_epochs == 0:
            health = self.refresh(trainer, pl_module)
            pl_module.log_dict(health, on_step=False, on_epoch=True, rank_zero_only=True, batch_size=1)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refresh before an evaluation that has no table to look interests up in."""
        self._refresh_if_empty(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refresh before an evaluation that has no table to look interests up in."""
        self._refresh_if_empty(trainer, pl_module)

    @torch.no_grad()
    def refresh(self, trainer: L.Trainer, module: Any) -> dict[str, float]:
        """Renew the table.

        Returns:
            Its health: prototypes in use, largest and singleton prototypes, share of tokens reassigned since the
            last refresh, seconds.
        """
        start = time.perf_counter()
        table = module.model.interests
        with exact_float32(module.device):
            tokens, is_missing = _present_tokens(module)
            assignment, prototypes = self._discover(tokens, table)
        before = None if table.is_empty else table.assignment[~is_missing] - 1
        table.update(prototypes, assignment, is_missing)
        self.seconds.append(time.perf_counter() - start)
        return {**_health(assignment, before), "interest/seconds": self.seconds[-1]}

    def _discover(self, tokens: Tensor, table: InterestTable) -> tuple[Tensor, Tensor]:
        """Assignment ``[P]`` and prototypes ``[K, D]``, the same bits in every process."""
        share = Share.mine()
        assignment = torch.empty(len(tokens), dtype=torch.long, device=tokens.device)
        prototypes = torch.empty_like(table.prototypes[1:])
        if self.method.is_sharded or share.index == 0:
            found = self.method(tokens, table.num_prototypes, self.seed)
            assignment, prototypes = found.assignment.to(assignment), found.prototypes.to(prototypes)
        return share.from_first(assignment), share.from_first(prototypes)

    def _refresh_if_empty(self, trainer: L.Trainer, module: Any) -> None:
        if module.model.interests.is_empty:
            health = self.refresh(trainer, module)
            log.info("first interest table: %s", {name: round(value, 4) for name, value in health.items()})


def _present_tokens(module: Any) -> tuple[Tensor, Tensor]:
    """Tokens ``[P, D]`` that exist, in row-major order of the catalogue, and ``is_missing [N + 1, M]``."""
    tokens, missing = [], [torch.ones_like(module.model.interests.assignment[:1], dtype=torch.bool)]
    for items in module.embedded_chunks():
        tokens.append(items.tokens[1:][~items.is_missing[1:]])
        missing.append(items.is_missing[1:])
    return torch.cat(tokens), torch.cat(missing)


def _health(assignment: Tensor, before: Tensor | None) -> dict[str, float]:
    sizes = assignment.bincount()
    sizes = sizes[sizes > 0]
    health = {
        "interest/used": float(len(sizes)),
        "interest/largest": float(sizes.max()),
        "interest/singletons": float((sizes == 1).sum()),
    }
    if before is not None:
        health["interest/reassigned"] = _share_reassigned(before, assignment)
    return health


def _share_reassigned(before: Tensor, after: Tensor) -> float:
    """Share of tokens that did not follow the majority of their old prototype's tokens.

    Prototypes carry no identity from one refresh to the next; a mere renumbering counts as no change.
    """
    pairs, counts = torch.stack([before, after]).unique(dim=1, return_counts=True)
    followers = torch.zeros(int(before.max()) + 1, dtype=counts.dtype, device=counts.device)
    followers = followers.scatter_reduce(0, pairs[0], counts, reduce="amax")
    return 1.0 - float(followers.sum()) / len(before)
