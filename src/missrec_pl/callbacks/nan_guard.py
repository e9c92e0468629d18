"""Ends a run whose loss or gradients are no numbers any more, and says at which step and with which items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.errors import RunError
from missrec_pl.system.files import whole_file
from missrec_pl.system.processes import any_process
from missrec_pl.system.shapes import are_fixed


class NanGuard(L.Callback):
    """Looks at loss and gradients before every optimiser step; the weights stay as they were.

    Processes see the same averaged gradients, so all of them stop. Under a gradient scaler (``16-mixed``) infinite
    gradients are part of the method, and the loss alone is looked at.

    On an accelerator the answer is waited for at every n-th step alone, and before anything is saved: until then
    the device adds up what it finds. The weights of up to n steps are then lost; the checkpoint is from before.

    Attributes:
        norm: of the latest step's gradients, on the device; None under a gradient scaler.

    Args:
        folder: where ``nan_batch.json`` is written: the rows of the batch by their source's ids.
        every_n_steps: how often the answer is waited for; None for every step on CPU, else for every 16th.
    """

    def __init__(self, folder: str, every_n_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.norm: Tensor | None = None
        self._norms: Tensor | None = None
        self._steps = 0
        self._batch: SequenceBatch | None = None
        self._loss: Tensor | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: SequenceBatch, batch_idx: int
    ) -> None:
        """Keep the batch in sight."""
        self._batch = batch

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Keep the loss in sight."""
        self._loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """End the run if the step would take NaN or infinity into the weights.

        Raises:
            RunError: it would.
        """
        gradients = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            is_broken = any_process(not _is_finite(self._loss))[0]
        else:
            self.norm = nn.utils.get_total_norm(list(gradients.values()))
            is_broken = self._adds_up_to_none(self.norm)
        if is_broken:
            wrong = [name for name, gradient in gradients.items() if not _is_finite(gradient)]
            raise RunError(self._report(trainer, wrong))

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Nothing broken is saved.

        Raises:
            RunError: a step since the last look took NaN or infinity into the weights.
        """
        if self._norms is not None and not _is_finite(self._norms):
            wrong = [name for name, parameter in pl_module.named_parameters() if not _is_finite(parameter)]
            raise RunError(self._report(trainer, wrong))
        self._norms = None

    def _adds_up_to_none(self, norm: Tensor) -> bool:
        """Whether a sum of norms since the last look is no number; looks at every n-th step."""
        self._norms = norm if self._norms is None else self._norms + norm
        self._steps += 1
        every = (16 if are_fixed(norm.device) else 1) if self.every_n_steps is None else self.every_n_steps
        if self._steps % every:
            return False
        norms, self._norms = self._norms, None
        return not _is_finite(norms)

    def _report(self, trainer: L.Trainer, parameters: list[str]) -> str:
        """Write ``nan_batch.json``, and say in short what it holds."""
        loss = float("nan") if self._loss is None else float(self._loss)
        batch_idx = trainer.fit_loop.epoch_loop.batch_idx
        where = f"epoch {trainer.current_epoch}, batch {batch_idx}, step {trainer.global_step}"
        assert self._batch is not None
        rows = _rows(trainer.datamodule.catalogue, self._batch)  # type: ignore[attr-defined]
        content = {"where": where, "loss": str(loss), "parameters": parameters, "rows": rows}
        mark = "" if trainer.world_size == 1 else f"_{trainer.global_rank}"
        file = self.folder / f"nan_batch{mark}.json"
        with whole_file(file) as part:
            part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        first = ", ".join(f"{row['domain']}/{row['target']}" for row in rows[:3])
        return (
            f"{where}: the loss is {loss} and the gradients of {len(parameters)} parameters hold NaN or infinity "
            f"(e.g. {', '.join(parameters[:2])}); {len(rows)} rows, targets {first}, ...: all in {file}. "
            "Lower optim.optimizer.lr or optim.scorer_lr, or look for odd features among these items."
        )


def _is_finite(tensor: Tensor | None) -> bool:
    return tensor is None or bool(tensor.isfinite().all())


def _rows(catalogue: Any, batch: SequenceBatch) -> list[dict[str, Any]]:
    """Domain, target and history of every row, by the ids of the data's source."""
    raw = [domain.raw_item_ids() if hasattr(domain, "raw_item_ids") else None for domain in catalogue.domains]

    def name(item: int, domain: int) -> str:
        local, ids = item - int(catalogue.offsets[domain]), raw[domain]
        return str(local) if ids is None else ids[local]

    history, length, target, domain = (
        tensor.cpu() for tensor in (batch.history, batch.length, batch.target, batch.domain)
    )
    if batch.items is not None:
        ids = batch.items.ids.cpu()
        history, target = ids[history], ids[target]
    if batch.place is not None:  # several targets a history: what stands at and before the place of each
        row, position = batch.place.cpu() // history.shape[1], batch.place.cpu() % history.shape[1]
        history, length, domain = history[row], position + 1, domain[row]
    return [
        {
            "domain": catalogue.domains[d].name,
            "target": name(item, d),
            "history": [name(one, d) if one else "hidden" for one in items[:many]],
        }
        for items, many, item, d in zip(
            history.tolist(), length.tolist(), target.tolist(), domain.tolist(), strict=True
        )
    ]
