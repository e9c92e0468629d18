"""What changes while a network learns, beside its losses: gradient norm, rates, learned scalars, interests."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import lightning as L
from torch import Tensor

from missrec_pl.callbacks.nan_guard import NanGuard
from missrec_pl.nn.interests import InterestTable

_FEW = 4  # numbers of a parameter that are logged one by one


@runtime_checkable
class Histograms(Protocol):
    """A logger that shows distributions."""

    def log_histogram(self, name: str, values: list[int], step: int) -> None:
        """Log how often each size occurs."""
        ...


class Curves(L.Callback):
    """Logs ``optim/gradient_norm`` (before clipping) and ``optim/lr`` every ``trainer.log_every_n_steps`` steps.

    At the end of an epoch ``learned/...``, every parameter of a single number such as the concentration of the
    fusion and the weights of the scorers, and the sizes of the interest prototypes as a histogram.

    Args:
        guard: looks at the gradients before every step.
    """

    def __init__(self, guard: NanGuard) -> None:
        self._guard = guard
        self._due: dict[str, float] = {}
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """What is still to be logged: a resumed run drops the step that the checkpoint was written in."""
        return {"due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Log it then."""
        self._due = dict(state_dict["due"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The steps of before a resume were looked at."""
        self._steps = trainer.global_step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log what the step before has left."""
        self._flush(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the numbers of every n-th step."""
        step = trainer.global_step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not trainer.loggers or step == self._steps or every < 1 or step % every:
            return
        self._steps = step
        groups = trainer.optimizers[0].param_groups
        rates = {f"optim/lr{number or ''}": float(group["lr"]) for number, group in enumerate(groups)}
        norm = {} if self._guard.norm is None else {"optim/gradient_norm": float(self._guard.norm)}
        self._due = {"step": step - 1, **rates, **norm}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log scalars and sizes."""
        self._flush(trainer)
        pl_module.log_dict(learned_scalars(pl_module))
        for part in getattr(pl_module, "fitted_parts", ()):
            if isinstance(part, InterestTable) and trainer.is_global_zero and not part.is_empty:
                for logger in trainer.loggers:
                    if isinstance(logger, Histograms):
                        logger.log_histogram("interest/sizes", part.sizes.tolist(), trainer.global_step - 1)

    def _flush(self, trainer: L.Trainer) -> None:
        due, self._due = self._due, {}
        if due and trainer.is_global_zero:
            values = {name: value for name, value in due.items() if name != "step"}
            for logger in trainer.loggers:
                logger.log_metrics({**values, "epoch": trainer.current_epoch}, step=int(due["step"]))


def learned_scalars(module: L.LightningModule) -> dict[str, Tensor]:
    """Parameters of few numbers under ``learned/``, whatever network and scorers call them."""
    found: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        values = parameter.detach().flatten()
        short = f"learned/{name.removeprefix('model.')}"
        if len(values) == 1:
            found[short] = values[0]
        elif len(values) <= _FEW and parameter.dim() == 1:
            found |= {f"{short}.{number}": value for number, value in enumerate(values)}
    return found
