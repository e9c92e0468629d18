"""From a checkpoint to a bundle: the network of its run, what was fitted, and the encoded catalogue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, DataError
from missrec_pl.experiment.bundling import bundle_of, classes_of, names_of
from missrec_pl.experiment.rebuilding import data_of, rebuilt
from missrec_pl.experiment.stored_runs import complete_config
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import Histories
from missrec_pl.nn.encoding import encode_users, with_masked_place
from missrec_pl.serving.bundle import Bundle, new_folder
from missrec_pl.serving.recommender import ServedRecommender

log = logging.getLogger(__name__)

_TRIED = 64  # users whose ranking is compared before a bundle is given out


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
    with new_folder(out, overwrite=overwrite) as folder, torch.no_grad():
        stored = rebuilt(file, data_dir=data_dir, cache_dir=cache_dir, trust=trust)
        run, module, datamodule = stored.config, stored.module, stored.datamodule
        with complete_config(str(file)):
            bundle = bundle_of(run, stored.checkpoint, file, module, datamodule)
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
    datamodule = data_of(file, data_dir=data_dir, cache_dir=cache_dir, trust=trust)
    names, sequences = names_of(datamodule), datamodule.sequences
    for number, domain in enumerate(datamodule.catalogue.domains):
        if user in (users := domain.raw_user_ids()):
            place = int(sequences.first_user[number]) + users.index(user)
            start = int(sequences.starts[place])
            items = sequences.items[start : start + int(sequences.lengths[place])]
            return [names.keys[item - 1] for item in items]
    known = domain.raw_user_ids()
    raise DataError(f"--user {user[:80]!a}: the data has no such user; it has {', '.join(known[:3])}, ...")


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
