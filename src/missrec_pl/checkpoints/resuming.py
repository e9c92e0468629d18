"""What ``resume`` names: a checkpoint, a run's folder, or ``last``, this run's own newest whole checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from missrec_pl.checkpoints.files import LAST, PREVIOUS, damage_of
from missrec_pl.errors import CheckpointError

log = logging.getLogger(__name__)

OWN = "last"


def find_checkpoint(resume: str, output_dir: str) -> str | None:
    """The file to continue from.

    Args:
        resume: ``last``, the folder of a run, or a checkpoint file.
        output_dir: the folder of this run.

    Returns:
        The file; None if ``last`` finds no checkpoint yet, so that one command both starts and continues a run.

    Raises:
        CheckpointError: a folder without checkpoints, or none that is whole.
    """
    if resume != OWN and not Path(resume).is_dir():
        return resume
    run = Path(output_dir if resume == OWN else resume)
    folder = run / "checkpoints" if (run / "checkpoints").is_dir() else run
    present = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    if not present:
        if resume == OWN:
            log.info("resume=last: there is no checkpoint in %s yet, the run starts from the beginning", folder)
            return None
        raise CheckpointError(f"resume={resume}: there is no {LAST} in {folder}; name a run's folder.")
    for file in present:
        reason = damage_of(file)
        if reason is None:
            log.info("resume: continuing from %s", file)
            return str(file)
        log.warning("resume: %s is damaged (%s) and skipped", file, reason)
    raise CheckpointError(
        f"resume={resume}: {' and '.join(map(str, present))} are damaged; start again without resume, or from "
        f"{folder / 'best.ckpt'} with ckpt."
    )


def logged_steps(progress: dict[str, Any]) -> int:
    """Number of the first step that a run repeats when it is continued: its curves end before it.

    Args:
        progress: the ``fit_loop`` entry of a checkpoint.
    """
    return int(progress.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", 0))


def whole_epochs(content: dict[str, Any]) -> int:
    """Number of epochs whose every batch was trained on before a checkpoint.

    Args:
        content: the checkpoint.
    """
    progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
    return int(content["epoch"]) + bool(progress.get("is_last_batch", True))
