"""The best checkpoint of a run, also of one that goes on in another folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from missrec_pl.system.files import whole_file

_PATHS = ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path")


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, whose knowledge of the best epoch survives ``resume`` into another folder.

    Lightning forgets the best score where the folder changed: the first epoch after a resume would then count as
    the best, whatever came before. Here the best checkpoint so far is copied along.

    Args:
        **kwargs: as of :class:`lightning.pytorch.callbacks.ModelCheckpoint`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._copies: dict[str, Path] = {}

    def state_dict(self) -> dict[str, Any]:
        """Lightning's state with bare file names: a checkpoint does not say where its run lay."""
        state = super().state_dict()
        for name in _PATHS:
            state[name] = Path(state[name]).name
        state["best_k_models"] = {Path(path).name: score for path, score in state["best_k_models"].items()}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state with its paths moved to this run's folder."""

        def moved(path: str) -> str:
            if not path:
                return path
            target = Path(str(self.dirpath)) / Path(path).name
            self._copies[target.name] = target
            return str(target)

        state = {**state_dict, "dirpath": self.dirpath}
        for name in _PATHS[1:]:
            state[name] = moved(state[name])
        state["best_k_models"] = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy the checkpoints that the state names, wherever the resumed run lies now."""
        if trainer.is_global_zero and trainer.ckpt_path is not None:
            beside = Path(str(trainer.ckpt_path)).parent
            for name, target in self._copies.items():
                if (beside / name).is_file() and not target.exists():
                    with whole_file(target) as part:
                        shutil.copyfile(beside / name, part)
        self._copies.clear()
