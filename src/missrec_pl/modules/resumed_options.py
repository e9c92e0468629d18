"""What a continued run's optimiser and schedule take from the config, where the config changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from missrec_pl.errors import CheckpointError

SCHEDULE = "schedule"
"""Among the changed names: an option of the schedule."""
RATES = ("lr", "scorer_lr")
"""Among the changed names: the rate of the network's group, and that of the scorers' group."""


def configured_values(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The values of each parameter group as the config has made them, without the parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def apply_values(
    optimizer: Optimizer,
    configured: Sequence[dict[str, Any]],
    names: Collection[str],
    make: Callable[[list[dict[str, Any]]], Optimizer],
) -> None:
    """Give the groups the configured values of the changed names; the state of the weights stays.

    Args:
        optimizer: as restored from a checkpoint, which brings its own values of the groups.
        configured: see :func:`configured_values`; the network's group comes first, then the scorers'.
        names: names of values that changed.
        make: builds an optimiser of that kind.

    Raises:
        CheckpointError: the changed optimiser needs state that the checkpoint does not have.
    """
    for index, (group, values) in enumerate(zip(optimizer.param_groups, configured, strict=True)):
        rate = {"lr"} if RATES[min(index, 1)] in names else set()
        group |= {name: values[name] for name in (set(names) - {"lr"}) | rate if name in values}
        if rate and "initial_lr" in group:  # what a schedule multiplies
            group["initial_lr"] = values["lr"]
    if set(names) - {*RATES, SCHEDULE}:
        _check_state(optimizer, make)
        optimizer.load_state_dict(optimizer.state_dict())  # a fused kernel wants its step counts elsewhere


def _check_state(optimizer: Optimizer, make: Callable[[list[dict[str, Any]]], Optimizer]) -> None:
    """Refuse options that need state which was never kept (amsgrad, centered, momentum)."""
    for group in optimizer.param_groups:
        if not group["params"]:
            continue
        weight = min(group["params"], key=torch.Tensor.numel)
        twin = nn.Parameter(torch.zeros_like(weight))
        twin.grad = torch.zeros_like(weight)
        trial = make([{**group, "params": [twin]}])
        trial.step(lambda: 0.0)
        kept = optimizer.state.get(weight, {}).keys()
        if missing := trial.state[twin].keys() - kept:
            raise CheckpointError(
                f"optim.optimizer: with its changed options it needs {', '.join(sorted(missing))} of each weight, "
                "which the checkpoint lacks; resume with the options of that run, or start a new one with ckpt."
            )


def repeat_schedule(
    scheduler: LRScheduler, configured: Sequence[dict[str, Any]], make: Callable[[Optimizer], LRScheduler]
) -> None:
    """Bring rates and schedule to where a run with the configured values would be after as many steps.

    Args:
        scheduler: as restored from a checkpoint, which brings its own options.
        configured: see :func:`configured_values`.
        make: builds the schedule with the configured options.
    """
    optimizer = scheduler.optimizer
    for group, values in zip(optimizer.param_groups, configured, strict=True):
        group["lr"] = group["initial_lr"] = values["lr"]
    again = make(optimizer)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*lr_scheduler.step.*optimizer.step.*")
        for _ in range(scheduler.last_epoch):
            again.step()
    scheduler.load_state_dict(again.state_dict())
