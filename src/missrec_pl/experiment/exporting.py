"""From a checkpoint to a bundle: the network of its run, what was fitted, and the encoded catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from missrec_pl.checkpoints.reading import Checkpoint, read_checkpoint
from missrec_pl.config.stored import current, with_paths
from missrec_pl.config.stored_values import escaped
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, DataError
from missrec_pl.experiment import building
from missrec_pl.experiment.bundling import bundle_of, classes_of, names_of
from missrec_pl.experiment.starting import load_weights
from missrec_pl.experiment.stored_runs import complete_config
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import Histories
from missrec_pl.nn.encoding import encode_users, with_masked_place
from missrec_pl.nn.fitted import FittingContext, refit
from missrec_pl.serving.bundle import Bundle, new_folder
from missrec_pl.serving.recommender import ServedRecommender
from missrec_pl.system.processes import Share

log = logging.getLogger(__name__)

_TRIED = 64  # users whose ranking is compared before a bundle is given out
_UNUSED: dict[str, Any] = {"trainer": None, "logger": None, "callbacks": {}, "resume": None, "compile": False}
_TRUST = "--trust {}"


def export_checkpoint(
    file: Path,
    out: Path,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    trust: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write a bundle of a checkpoint, whole or not at all.

    Args:
        file: the checkpoint.
        out: the bundle's folder.
        data_dir: where the run's data lies now; None for where the run found it.
        cache_dir: the same for conversions and generated data.
        trust: the user's own packages that the checkpoint's config may name classes of.
        overwrite: whether a bundle that is there is replaced.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder is taken.
        CheckpointError: no checkpoint of this project, or one whose network a bundle cannot hold.
        DataError: the run's data is missing, damaged or no longer the same.
    """
    checkpoint = read_checkpoint(file, "CKPT")
    with new_folder(out, overwrite=overwrite) as folder, torch.no_grad():
        places = {"data_dir": data_dir, "cache_dir": cache_dir}
        with complete_config(str(file)):
            run = _run_of(checkpoint, file, places, trust)
            datamodule = _data_of(run, checkpoint, file)
            module = building.build_module(run, datamodule, for_training=False).eval()
            load_weights(run, checkpoint, module, datamodule, is_tested=True)
            _fit_the_rest(run, module, datamodule)
            bundle = bundle_of(run, checkpoint, file, module, datamodule)
        bundle.write(folder)
        built = [type(module.model), *(type(one) for one in module.scorers.values())]
        _check(folder, module, datamodule, bundle, [*classes_of(run), *built])
    return out


def history_of_user(
    file: Path,
    user: str,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    trust: Sequence[str] = (),
) -> list[str]:
    """The item ids of a user in the data of a checkpoint's run, newest last, as its bundle calls them.

    Args:
        file: the checkpoint.
        user: the source's id.
        data_dir, cache_dir, trust: see :func:`export_checkpoint`.

    Raises:
        DataError: nobody of that id, or what :func:`export_checkpoint` says of the data.
    """
    checkpoint = read_checkpoint(file, "CKPT")
    with complete_config(str(file)):
        run = _run_of(checkpoint, file, {"data_dir": data_dir, "cache_dir": cache_dir}, trust)
        datamodule = _data_of(run, checkpoint, file)
    names, sequences = names_of(datamodule), datamodule.sequences
    for number, domain in enumerate(datamodule.catalogue.domains):
        if user in (users := domain.raw_user_ids()):
            place = int(sequences.first_user[number]) + users.index(user)
            start = int(sequences.starts[place])
            items = sequences.items[start : start + int(sequences.lengths[place])]
            return [names.keys[item - 1] for item in items]
    known = domain.raw_user_ids()
    raise DataError(f"--user {user[:80]!a}: the data has no such user; it has {', '.join(known[:3])}, ...")


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


def _check(
    folder: Path, module: TrainingModule, datamodule: DomainDataModule, bundle: Bundle, classes: Sequence[type]
) -> None:
    """Refuse a bundle that does not rank as the training code does, on the newest items of a few users.

    Raises:
        CheckpointError: it does not.
    """
    sequences, width = datamodule.sequences, datamodule.max_history
    user = np.flatnonzero(sequences.lengths > 0)[:_TRIED]
    end = sequences.lengths[user]
    length = np.minimum(end, width)
    rows = torch.from_numpy(sequences.spans(user, end - length, length))
    times = sequences.clock(user, end - length, length, end - 1)
    histories = Histories(
        rows, torch.from_numpy(length.astype(np.int64)), times=None if times is None else torch.from_numpy(times)
    )
    asked = with_masked_place(histories) if module.model.example == "cloze" else histories
    state = encode_users(module.model, asked, bundle.items).state
    wanted = module.logits(state, histories, bundle.items, bundle.items.span(1))
    served = ServedRecommender(Bundle.read(folder, classes))
    found = served.scores(histories)
    largest = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1))
    if not largest < 1e-4:
        raise CheckpointError(
            f"the bundle scores otherwise than the checkpoint (by {largest:.2g} of the largest score): the "
            "network keeps something that is neither weight nor buffer; see docs/serving.md."
        )
    log.info("bundle: %d users ranked alike, scores differ by %.1g of the largest at most", len(user), largest)
