"""The run of a checkpoint, built again to be asked: its config, its data, its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from missrec_pl.checkpoints.reading import Checkpoint, read_checkpoint
from missrec_pl.config.stored import current, with_paths
from missrec_pl.config.stored_values import escaped
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, DataError, MissrecError
from missrec_pl.experiment import building
from missrec_pl.experiment.starting import load_weights
from missrec_pl.experiment.stored_runs import complete_config
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.fitted import FittingContext, refit
from missrec_pl.system.processes import Share

_CHUNK = 16384  # items encoded at a time
_UNUSED: dict[str, Any] = {"trainer": None, "logger": None, "callbacks": {}, "resume": None, "compile": False}
_TRUST = "--trust {}"


@dataclass(frozen=True)
class StoredRun:
    """A checkpoint's run; its network is in eval mode, has the weights, and what it fits is fitted."""

    file: Path
    config: DictConfig
    checkpoint: Checkpoint
    datamodule: DomainDataModule
    module: TrainingModule


def rebuilt(
    file: Path, *, data_dir: Path | None = None, cache_dir: Path | None = None, trust: Sequence[str] = ()
) -> StoredRun:
    """Build the run of a checkpoint again.

    Args:
        file: the checkpoint.
        data_dir: where the run's data lies now; None for where the run found it.
        cache_dir: the same for conversions and generated data.
        trust: the user's own packages that the checkpoint's config may name classes of.

    Raises:
        CheckpointError: no checkpoint of this project, or one that names other classes.
        DataError: the run's data is missing, damaged or no longer the same.
    """
    checkpoint = read_checkpoint(file, "CKPT")
    with _by_this_version(file), complete_config(str(file)), torch.no_grad():
        run = _run_of(checkpoint, file, {"data_dir": data_dir, "cache_dir": cache_dir}, trust)
        datamodule = _data_of(run, checkpoint, file)
        module = building.build_module(run, datamodule, for_training=False).eval()
        load_weights(run, checkpoint, module, datamodule, is_tested=True)
        _fit_the_rest(run, module, datamodule)
    return StoredRun(file, run, checkpoint, datamodule, module)


@contextmanager
def _by_this_version(file: Path) -> Iterator[None]:
    """Say what Hydra and OmegaConf say of a stored config as a :class:`CheckpointError`."""
    try:
        yield
    except (InstantiationException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, MissrecError):
            raise error.__cause__ from error
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{file} was written by another version of this project ({reason}).") from error


def data_of(
    file: Path, *, data_dir: Path | None = None, cache_dir: Path | None = None, trust: Sequence[str] = ()
) -> DomainDataModule:
    """The data of a checkpoint's run alone; see :func:`rebuilt`."""
    checkpoint = read_checkpoint(file, "CKPT")
    with complete_config(str(file)):
        run = _run_of(checkpoint, file, {"data_dir": data_dir, "cache_dir": cache_dir}, trust)
        return _data_of(run, checkpoint, file)


def _run_of(
    checkpoint: Checkpoint, file: Path, places: Mapping[str, Path | None], trust: Sequence[str]
) -> DictConfig:
    here = {name: None if path is None else str(path.resolve()) for name, path in places.items()}
    stored = with_paths(checkpoint.config, {**here, "output_dir": str(file.parent)})
    known = current(stored, flag=str(file), trust=trust, trust_as=_TRUST)
    run: DictConfig = OmegaConf.create({**known, **_UNUSED, "ckpt": escaped(str(file))})
    return run


def _data_of(run: DictConfig, checkpoint: Checkpoint, file: Path) -> DomainDataModule:
    try:
        datamodule = building.build_datamodule(run)
    except DataError as error:
        raise DataError(
            f"{str(error).rstrip('.')} (the run had data={run.data.name}; --data-dir says where it lies now)."
        ) from error
    if not building.is_same_data(checkpoint, datamodule):
        raise DataError(
            f"{file} was trained on {', '.join(checkpoint.data)} as it was then; its content has changed. Name "
            "the folder of the old data by --data-dir, or train again."
        )
    return datamodule


def _fit_the_rest(run: DictConfig, module: TrainingModule, datamodule: DomainDataModule) -> None:
    """Fit what the checkpoint does not carry, as an evaluation does."""
    for part in sorted(module.fitted_parts, key=lambda part: part.every == "epoch"):
        if part.is_empty:
            context = FittingContext(
                catalogue=datamodule.catalogue,
                training_parts=datamodule.sequences.training_parts,
                fold_of_user=datamodule.fold_of_user,
                items=lambda: module.encoded_chunks(datamodule.catalogue),
                seed=int(run.seed),
                share=Share(),
            )
            refit(part, context)
