"""Processes that a run uses, and those that a launcher has started for it."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from missrec_pl.system.launched import launched_processes

_ALL = ("None", "auto", "-1")


def used_processes(cfg: DictConfig) -> int:
    """How many processes the trainer uses; at least 2 where it has several nodes."""
    nodes = OmegaConf.select(cfg, "trainer.num_nodes")
    return processes_of_node(cfg) * (nodes if isinstance(nodes, int) else 1 if nodes is None else 2)


def processes_of_node(cfg: DictConfig) -> int:
    """How many processes the trainer uses on each machine."""
    devices = OmegaConf.select(cfg, "trainer.devices")
    named = list(devices) if isinstance(devices, ListConfig) else str(devices).split(",")
    count = int(named[0]) if len(named) == 1 and str(named[0]).isdigit() else len(named)
    if str(devices) in _ALL:  # as many as there are; of processors Lightning takes one
        is_cpu = str(OmegaConf.select(cfg, "trainer.accelerator")) == "cpu"
        count = 1 if is_cpu else max(1, torch.accelerator.device_count())
    return count


def launch_mistakes(cfg: DictConfig) -> list[str]:
    """One line if a launcher has started more processes than the trainer uses: each would be a run of its own."""
    count, by = launched_processes()
    used = used_processes(cfg)
    takes_all = str(OmegaConf.select(cfg, "trainer.devices")) in _ALL and "ddp" in str(
        OmegaConf.select(cfg, "trainer.strategy")
    )
    if takes_all or count <= used:
        return []
    return [
        f"{by} has started {count} processes and the trainer uses {used}: say trainer=ddp (on CPUs "
        f"trainer=ddp_sim) with trainer.devices={count}, or leave {by} away."
    ]
