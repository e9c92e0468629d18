"""What ``resume`` names: a checkpoint, a run's folder, or ``last``, this run's own newest whole checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

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
