"""Hydra's callback that refuses a config before the run has a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from missrec_pl.errors import ConfigError
from missrec_pl.experiment.cli import user_mistakes
from missrec_pl.experiment.keops_start import FLAG, settle_keops
from missrec_pl.experiment.sweep import settle


class ValidationCallback(Callback):
    """Hydra callback: refuses a config before Hydra makes the run folder; a failed job does not end a sweep."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the config of a single run; the jobs of a sweep are checked as they start."""
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with user_mistakes():
            settle_keops(own)  # before torch is loaded
            from missrec_pl.config.run_folder import refuse_taken_folder
            from missrec_pl.config.validation import validate_config

            validate_config(own)
            folder = Path(config.hydra.run.dir)
            refuse_taken_folder(folder, config.hydra.overrides.task, config.resume)
            _make_folder(folder)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Settle what all jobs of a sweep share, while the program may still start itself again."""
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        words = [word for word in config.hydra.overrides.task if word.startswith(f"{FLAG}=")]
        if words and "keops" in words[-1]:  # one of several values
            OmegaConf.update(own, FLAG, "keops")
        with user_mistakes():
            settle_keops(own)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep a failed job of a sweep from ending the sweep."""
        settle(config, job_return)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"hydra.run.dir={folder}: cannot be made ({error.strerror}); choose a folder that can be written."
        ) from error
