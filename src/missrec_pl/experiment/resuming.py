"""Whether a run may go on from a checkpoint, and what a changed config means for it: applied, or refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from missrec_pl.checkpoints.reading import Checkpoint
from missrec_pl.checkpoints.transfer import modalities_of
from missrec_pl.checkpoints.versions import comparable
from missrec_pl.config.stored_values import StoredValues, raw_value
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.building import build_network, build_scorers, is_same_data
from missrec_pl.experiment.starting import check_architecture
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.resumed_options import SCHEDULE
from missrec_pl.nn.fitted import Fitted
from missrec_pl.system.files import RECOMMENDATIONS_NAME, RESULTS_NAME

log = logging.getLogger(__name__)

_DATA = (
    *("batch_size", "split", "eval_target", "refit", "max_history", "modalities", "overfit_rows", "example"),
    *("candidates", "num_negatives", "domain_sampling", "domain_temperature", "num_folds"),
)
_TRAINER = ("precision", "accumulate_grad_batches", "limit_train_batches", "gradient_clip_val")
"""Options of data and trainer, beside whole groups, that decide about the outcome of training."""
_GROUPS = ("model", "scorers", "objective", "interest", "optim.optimizer", "optim.scheduler", "phase.module")
_OF_RESULTS = ("metrics", "baselines")
"""Groups that decide about the results of a trained network."""

_OTHER_PARTS = "what was fitted before training belongs to the other parts of the data"
_OTHER_SCORE = "the best so far is of another score"
_OTHER_RATES = "a schedule knows nothing of the steps that another one, or none, has made"
_REFUSED = {
    "optim.optimizer._target_": "the state of one optimiser means nothing to another",
    "optim.scheduler": _OTHER_RATES,
    "optim.scheduler._target_": _OTHER_RATES,
    "finetune.parts": "the optimiser has state of the weights that trained",
    "data.split": _OTHER_PARTS,
    "data.refit": _OTHER_PARTS,
    "data.eval_target": _OTHER_SCORE,
    "data.num_folds": _OTHER_PARTS,
    "callbacks.weight_average": "an average of the weights begins with the first step",
}
"""Changes that a continued run cannot follow, and why."""
_SHOWN = ("progress", "epoch_lines", "last_checkpoint")
"""Callbacks that decide about nothing."""


def check_resume(
    cfg: DictConfig, checkpoint: Checkpoint, module: TrainingModule, datamodule: DomainDataModule
) -> dict[str, Any] | None:
    """Refuse to continue a run as another one, say which values changed, and have the module apply them.

    Returns:
        The results of a run that has ended: nothing is left to train, and they are written. Else None.

    Raises:
        CheckpointError: other phase, model, data or sizes than the checkpoint's; a changed value that cannot be
            applied; other settings than those of a run that has nothing left to train.
    """
    flag = f"resume={cfg.resume}"
    check_architecture(cfg, checkpoint, module, flag)
    theirs = StoredValues(comparable(checkpoint.config), flag)
    _check_same_run(cfg, checkpoint, theirs, datamodule, flag)
    _check_tensors(flag, checkpoint, module)
    changed = _differing(theirs, cfg, _names(theirs, cfg))
    for name in changed:
        reason = _REFUSED.get(name) or _why_not(cfg, name, theirs, module)
        if name.startswith("callbacks.") and name.endswith((".monitor", ".mode")):
            reason = _OTHER_SCORE
        if reason is not None:
            now = OmegaConf.select(cfg, name)
            raise CheckpointError(
                f"{flag} was trained with {name}={theirs.stated(name)}, this run has {now}: {reason}; repeat the "
                "command of that run, or start a new one with ckpt."
            )
    if _has_ended(cfg, checkpoint):
        return _stored_results(cfg, checkpoint, theirs, changed)
    for name in changed:
        log.warning("resume: %s was %s and is now %s", name, theirs.stated(name), OmegaConf.select(cfg, name))
    module.changed_options = frozenset(
        SCHEDULE if name.startswith("optim.scheduler.") else name.rpartition(".")[2]
        for name in changed
        if name.startswith("optim.")
    )
    return None


def _check_same_run(
    cfg: DictConfig, checkpoint: Checkpoint, theirs: StoredValues, datamodule: DomainDataModule, flag: str
) -> None:
    """Refuse another phase, setting or data, and fewer epochs than the checkpoint has."""
    for name in ("phase.name", "setting.name"):
        before, now = theirs.get(name), OmegaConf.select(cfg, name)
        if before != now:
            raise CheckpointError(
                f"{flag} is of a run with {name.removesuffix('.name')}={before}, this one has {now}: repeat the "
                "command of that run, or start a new one with ckpt."
            )
    if not is_same_data(checkpoint, datamodule):
        names = ", ".join(domain.name for domain in datamodule.catalogue.domains)
        raise CheckpointError(
            f"{flag} is of a run on {', '.join(checkpoint.data)}, this one reads {names} (or their content "
            "changed): repeat the command of that run, or start a new one with ckpt."
        )
    limit = cfg.trainer.max_epochs
    if limit is not None and 0 <= limit < checkpoint.epochs:
        raise CheckpointError(
            f"{flag} has trained for {checkpoint.epochs} epochs already and trainer.max_epochs={limit}: raise it."
        )


def bring_fitted(checkpoint: Checkpoint, module: TrainingModule) -> None:
    """Take what was fitted once from the checkpoint, so that nobody fits it again before Lightning loads it."""
    for name, part in module.model.fitted.items():
        if isinstance(part, Fitted) and part.every == "once" and part.saved:
            start = f"fitted.{name}."
            part.load_state_dict(
                {one.removeprefix(start): t for one, t in checkpoint.weights.items() if one.startswith(start)}
            )


def _has_ended(cfg: DictConfig, checkpoint: Checkpoint) -> bool:
    """Whether nothing is left to train: all epochs are done, or the patience of early stopping is used up."""
    patience = OmegaConf.select(cfg, "callbacks.early_stopping.patience")
    if checkpoint.is_whole_epoch and patience is not None and 0 < checkpoint.waited >= patience:
        return True
    limit, steps = cfg.trainer.max_epochs, OmegaConf.select(cfg, "trainer.max_steps")
    if steps is not None and 0 <= steps <= checkpoint.steps:
        return True
    return limit is not None and 0 <= limit <= checkpoint.epochs


def _stored_results(
    cfg: DictConfig, checkpoint: Checkpoint, theirs: StoredValues, changed: list[str]
) -> dict[str, Any] | None:
    folder = Path(cfg.paths.output_dir)
    results = None
    lacks_list = cfg.recommend.k is not None and not (folder / RECOMMENDATIONS_NAME).is_file()
    if not lacks_list and Path(cfg.resume).resolve().parent == (folder / "checkpoints").resolve():
        results = _read(folder / RESULTS_NAME, checkpoint, needs_test=cfg.test)
    if results is not None:
        names = [name for group in _OF_RESULTS for name in _keys(theirs, cfg, group)]
        changed = changed + _differing(theirs, cfg, names)
    if changed:
        name = changed[0]
        raise CheckpointError(
            f"resume={cfg.resume} has nothing left to train after {checkpoint.epochs} epochs, and {name} was "
            f"{theirs.stated(name)} and is now {OmegaConf.select(cfg, name)}: raise trainer.max_epochs (or the "
            "patience of early stopping) to go on with it, start a new run, or test this one with eval.py."
        )
    if results is None:
        log.info("resume: nothing is left to train after epoch %d, the test is", checkpoint.epochs - 1)
    else:
        log.info("resume: the run has ended, its results stay: %s", folder / RESULTS_NAME)
    return results


def _read(file: Path, checkpoint: Checkpoint, *, needs_test: bool) -> dict[str, Any] | None:
    """The results of the checkpoint's run; None where they are missing, or of fewer epochs."""
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        is_tested = any(name.startswith("test/") for name in results["metrics"])
        is_complete = len(results["timing"]["epoch_s"]) == checkpoint.epochs and (is_tested or not needs_test)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return results if is_complete else None


def _check_tensors(flag: str, checkpoint: Checkpoint, module: TrainingModule) -> None:
    ours = {**module.model.state_dict(), **{f"scorers.{n}": t for n, t in module.scorers.state_dict().items()}}
    theirs = {**checkpoint.weights, **{f"scorers.{n}": t for n, t in checkpoint.scorers.items()}}
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    differing = [name for name, tensor in theirs.items() if shapes.pop(name, None) != tuple(tensor.shape)]
    if differing := differing + list(shapes):
        raise CheckpointError(
            f"{flag} has other sizes than this run: {len(differing)} tensors differ, e.g. {differing[0]}; repeat "
            "the command of that run."
        )
    before, now = modalities_of(theirs), modalities_of(ours)
    if before != now:
        raise CheckpointError(
            f"{flag} is of a run with data.modalities=[{','.join(before)}], this one has [{','.join(now)}]: "
            "repeat the command of that run."
        )


def _names(theirs: StoredValues, ours: DictConfig) -> list[str]:
    """Flags that decide about the outcome of training."""
    names = ["seed", *(f"data.{name}" for name in _DATA), *(f"trainer.{name}" for name in _TRAINER)]
    names += ["optim.scorer_lr", "optim.fused", "finetune.parts"]
    if OmegaConf.select(ours, "optim.scheduler"):
        names.append("trainer.max_epochs")
    if (theirs.stated("optim.scheduler") is None) != (OmegaConf.select(ours, "optim.scheduler") is None):
        names.append("optim.scheduler")
    names += _callback_options(theirs, ours)
    return names + [name for group in _GROUPS for name in _keys(theirs, ours, group)]


def _callback_options(theirs: StoredValues, ours: DictConfig) -> list[str]:
    """Options of the callbacks that both runs have, and the names of those that one of them lacks."""
    found = []
    for name in _keys(theirs, ours, "callbacks"):
        one, other = theirs.stated(name), OmegaConf.select(ours, name)
        is_on = [node is not None and node.get("_target_") is not None for node in (one, other)]
        if name.rpartition(".")[2] in _SHOWN or not any(is_on):
            continue
        options = _keys(theirs, ours, name) if all(is_on) else [name]
        found += [option for option in options if not option.endswith(".dirpath")]
    return found


def _keys(theirs: StoredValues, ours: DictConfig, group: str) -> list[str]:
    keys = {*(theirs.stated(group) or ()), *(OmegaConf.select(ours, group) or ())}
    return [f"{group}.{key}" for key in sorted(map(str, keys))]


def _differing(theirs: StoredValues, ours: DictConfig, names: Iterable[str]) -> list[str]:
    texts = OmegaConf.to_container(ours, resolve=False)
    return [
        name
        for name in names
        # What stands there alike is alike, where the checkpoint's cannot be filled in.
        if (before := theirs.stated(name)) != OmegaConf.select(ours, name) and before != raw_value(texts, name)
    ]


def _why_not(cfg: DictConfig, name: str, theirs: StoredValues, module: TrainingModule) -> str | None:
    """Why a changed option of network or scorers would do nothing: the checkpoint's weights take its place."""
    if not name.startswith(("model.", "scorers.")) or name.endswith("._target_"):
        return None
    group, _, key = name.rpartition(".")
    if not _is_plain((theirs.stated(group) or {}).get(key)):
        return None  # nothing that a checkpoint names is built here; this run builds what its own config says
    states = []
    for values in (theirs.stated(group) or {}, OmegaConf.select(cfg, group) or {}):
        run = cfg.copy()
        with open_dict(run):
            OmegaConf.select(run, group).pop(key, None)  # what nobody has said is the default
            if key in values:
                OmegaConf.update(run, name, values[key], merge=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network, scorers = build_network(run, module.data), build_scorers(run, module.data)
        states.append({**network.state_dict(), **{f"scorers.{n}": t for n, t in scorers.state_dict().items()}})
    one, other = states
    if one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one):
        return None
    return "it says where training starts, and a continued run has its checkpoint's weights"


def _is_plain(value: Any) -> bool:
    """Whether a stored value is a number, a text without an interpolation, nothing, or a list of these."""
    if isinstance(value, list | ListConfig):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "${" not in value)
