"""Cross-field mistakes of a config, all found before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from missrec_pl.errors import ConfigError

SETTINGS = ("inductive", "transductive")


def preflight(cfg: DictConfig) -> None:
    """Refuse a config whose values cannot work together.

    Raises:
        ConfigError: one line per mistake, each naming the flag.
    """
    mistakes = [message for check in _CHECKS for message in check(cfg)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _phase_and_setting(cfg: DictConfig) -> list[str]:
    found = []
    if cfg.setting.name not in SETTINGS:
        found.append(f"setting={cfg.setting.name}: choose one of {', '.join(SETTINGS)}.")
    if cfg.phase.name == "pretrain":
        if cfg.setting.name == "transductive":
            found.append("setting=transductive: pre-training knows no item IDs; use setting=inductive.")
        if cfg.data.candidates != "in_batch":
            found.append(
                f"data.candidates={cfg.data.candidates}: pre-training contrasts within the batch; "
                "use data.candidates=in_batch."
            )
    return found


def _start(cfg: DictConfig) -> list[str]:
    found = []
    if cfg.ckpt is not None and cfg.resume is not None:
        found.append(
            "ckpt and resume are both given: ckpt starts a new run from weights, resume continues a run; "
            "give one of them."
        )
    if cfg.resume is not None and not Path(cfg.resume).is_file():
        found.append(f"resume={cfg.resume}: there is no such file; give a run's checkpoints/last.ckpt.")
    if cfg.ckpt is not None and not Path(cfg.ckpt).is_file():
        found.append(f"ckpt={cfg.ckpt}: there is no such file.")
    return found


def _ranges(cfg: DictConfig) -> list[str]:
    found = []
    if cfg.objective.temperature <= 0:
        found.append(f"objective.temperature={cfg.objective.temperature}: must be positive.")
    if cfg.data.batch_size < 1:
        found.append(f"data.batch_size={cfg.data.batch_size}: must be at least 1.")
    if cfg.data.candidates == "in_batch" and cfg.data.batch_size == 1:
        found.append("data.batch_size=1: in-batch candidates need at least two rows.")
    if cfg.data.max_history < 1:
        found.append(f"data.max_history={cfg.data.max_history}: must be at least 1.")
    if cfg.interest.every_n_epochs < 1:
        found.append(f"interest.every_n_epochs={cfg.interest.every_n_epochs}: must be at least 1.")
    if cfg.model.hidden_size % cfg.model.num_heads:
        found.append(
            f"model.hidden_size={cfg.model.hidden_size} is no multiple of model.num_heads={cfg.model.num_heads}."
        )
    if not 0 <= cfg.model.dropout < 1:
        found.append(f"model.dropout={cfg.model.dropout}: must be in [0, 1).")
    return found


_CHECKS: tuple[Callable[[DictConfig], list[str]], ...] = (_phase_and_setting, _start, _ranges)
