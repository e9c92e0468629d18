"""Checkpoint files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from missrec_pl.system.files import whole_file


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
