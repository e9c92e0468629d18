"""Checkpoint files that appear whole or not at all, and the best one of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from missrec_pl.system.files import whole_file

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, waits for the disk, then renames: a killed process leaves the old file whole.

    Lightning writes to the system's temporary folder and moves; across file systems a move is a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it cannot be written (disk full, read-only); the file that was there is as it was.
        """
        with whole_file(Path(path), to_disk=True) as part, part.open("wb") as stream:
            torch.save(checkpoint, stream)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, whose knowledge of the best epoch survives ``resume`` into another folder.

    Lightning forgets the best score where the folder changed: the first epoch after a resume would then count as
    the best, whatever came before. Here the best checkpoint so far is copied along.

    Args:
        **kwargs: as of :class:`lightning.pytorch.callbacks.ModelCheckpoint`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._copies: list[Path] = []

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state with bare file names: a checkpoint does not say where its run lay."""
        state = super().state_dict()
        state |= {name: Path(state[name]).name for name in ("dirpath", *_PATHS)}
        return {**state, "best_k_models": {Path(path).name: one for path, one in state["best_k_models"].items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state with its paths moved to this run's folder."""

        def moved(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        state = {**state_dict, "dirpath": self.dirpath, **{name: moved(state_dict[name]) for name in _PATHS}}
        state["best_k_models"] = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        self._copies = [Path(path) for path in {*state["best_k_models"], *map(state.get, _PATHS)} if path]
        super().load_state_dict(state)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy the checkpoints that the state names, wherever the resumed run lies now."""
        if trainer.is_global_zero and trainer.ckpt_path is not None:
            for target in self._copies:
                source = Path(str(trainer.ckpt_path)).with_name(target.name)
                if source.is_file() and not target.exists():
                    with whole_file(target) as part:
                        shutil.copyfile(source, part)
        self._copies.clear()
