"""Tensors of ours under the names of the authors' program: the way back of ``translate_released``, for tests."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from missrec_pl.checkpoints.imported.names import MODALITIES, name_rows
from missrec_pl.errors import CheckpointError

LOOKUP = {"text": "plm_interest_lookup_table", "image": "img_interest_lookup_table"}
PROTOTYPES, ASSIGNMENT, REFRESHES = (
    f"fitted.interests.{name}" for name in ("prototypes", "assignment", "num_refreshes")
)


def to_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ours under the released names, the other way round; any part of a ``state_dict``, or gradients.

    Raises:
        CheckpointError: a tensor is not part of the map, or a half of a stacked projection is missing.
    """
    depths = [
        1 + max((int(i) for name in weights for i in re.findall(rf"^{stack}\.blocks\.(\d+)\.", name)), default=-1)
        for stack in ("encoder", "decoder")
    ]
    state, used = {}, set()
    for row in name_rows(*depths):
        present = [name for name in row.ours if name in weights]
        if present and len(present) < len(row.ours):
            raise CheckpointError(f"{row.theirs} needs all of {', '.join(row.ours)}; found {present[0]} alone.")
        if present:
            parts = [weights[name] for name in row.ours]
            state[row.theirs] = parts[0] if len(parts) == 1 else torch.cat(parts)
            used.update(present)
    if PROTOTYPES in weights:
        state["interest_embeddings"] = weights[PROTOTYPES]
    if ASSIGNMENT in weights:
        names = [name for name in MODALITIES if f"item_adapters.linear.{name}.weight" in weights] or list(
            MODALITIES
        )
        state |= {LOOKUP[name]: weights[ASSIGNMENT][:, m] for m, name in enumerate(names)}
    if unknown := set(weights) - used - {PROTOTYPES, ASSIGNMENT, REFRESHES}:
        raise CheckpointError(f"the released network has no tensor for {', '.join(sorted(unknown))}.")
    return state
