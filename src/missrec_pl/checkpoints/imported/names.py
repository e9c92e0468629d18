"""Tensors of the released program under our names and back, with a report; the map is in ``released_rows``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from missrec_pl.checkpoints.imported.rows import MODALITIES, name_rows
from missrec_pl.errors import CheckpointError

_LOOKUP = {"text": "plm_interest_lookup_table", "image": "img_interest_lookup_table"}
_FEATURES = {"text": "plm_embedding", "image": "img_embedding"}
_PROTOTYPES, _ASSIGNMENT, _REFRESHES = (
    f"fitted.interests.{n}" for n in ("prototypes", "assignment", "num_refreshes")
)


@dataclass(frozen=True)
class Translation:
    """What became of a released ``state_dict``.

    Attributes:
        weights: tensors under our names.
        loaded: our names by theirs.
        left: why a tensor of theirs is not taken, by its name.
        sizes: the sizes that the shapes say, by axis letter.
    """

    weights: dict[str, Tensor]
    loaded: dict[str, tuple[str, ...]]
    left: dict[str, str]
    sizes: dict[str, int]

    def lines(self) -> list[str]:
        """The report, a line per fact."""
        return [
            *(f"loaded {theirs} as {', '.join(ours)}" for theirs, ours in self.loaded.items()),
            *(f"left   {theirs}: {why}" for theirs, why in self.left.items()),
        ]


def translate_released(state: Mapping[str, Tensor]) -> Translation:
    """Bring a released ``state_dict`` under our names.

    Args:
        state: the ``state_dict`` of a released network of any of its stages.

    Raises:
        CheckpointError: a tensor is missing, is not part of the map, or has a shape that does not fit the others.
    """
    sizes: dict[str, int] = {}
    weights: dict[str, Tensor] = {}
    loaded: dict[str, tuple[str, ...]] = {}
    for row in name_rows(_depth(state, "encoder"), _depth(state, "decoder")):
        if row.theirs not in state:
            if row.optional:
                continue
            raise CheckpointError(
                f"the released state_dict lacks {row.theirs}: it is not a whole MISSRec network."
            )
        tensor = _checked(row.theirs, state, row.shape, sizes)
        cuts = tensor.tensor_split([len(tensor) // 3]) if len(row.ours) == 2 else (tensor,)
        weights |= {name: part.clone() for name, part in zip(row.ours, cuts, strict=True)}
        loaded[row.theirs] = row.ours
    modalities = [name for name, theirs in MODALITIES.items() if f"{theirs}.weight" in loaded]
    if not modalities:
        raise CheckpointError(
            f"the released state_dict has none of the adapters {', '.join(MODALITIES.values())}."
        )
    _take_interests(state, modalities, sizes, weights, loaded)
    left = {}
    for name in modalities:
        for theirs in (f"{_FEATURES[name]}.weight", f"{_FEATURES[name]}_empty_mask"):
            if theirs in state:
                _checked(theirs, state, ("N", f"F {name}") if theirs.endswith(".weight") else ("N",), sizes)
                left[theirs] = "features belong to the data"
    if unknown := [name for name in state if name not in loaded and name not in left]:
        raise CheckpointError(
            f"the released state_dict has {len(unknown)} tensors that no MISSRec network has, e.g. {unknown[0]}."
        )
    return Translation(weights, loaded, left, sizes)


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a released ``state_dict`` under our names; see :func:`translate_released`."""
    return translate_released(state).weights


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
    if _PROTOTYPES in weights:
        state["interest_embeddings"] = weights[_PROTOTYPES]
    if _ASSIGNMENT in weights:
        names = [name for name in MODALITIES if f"item_adapters.linear.{name}.weight" in weights] or list(
            MODALITIES
        )
        state |= {_LOOKUP[name]: weights[_ASSIGNMENT][:, m] for m, name in enumerate(names)}
    if unknown := set(weights) - used - {_PROTOTYPES, _ASSIGNMENT, _REFRESHES}:
        raise CheckpointError(f"the released network has no tensor for {', '.join(sorted(unknown))}.")
    return state


def model_kwargs_of_released(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a released ``state_dict`` says about the arguments of :class:`MISSRecReleased`.

    It does not say ``num_heads`` and ``sequence_fusion`` (their config: ``n_heads``, ``seq_mm_fusion``), and a
    pre-trained one nothing about items and prototypes (``num_items``, ``num_prototypes``).

    Raises:
        CheckpointError: see :func:`translate_released`.
    """
    found = translate_released(state)
    sizes = found.sizes
    kwargs: dict[str, Any] = {
        "feature_dims": {name: sizes[f"F {name}"] for name in MODALITIES if f"F {name}" in sizes},
        "transductive": "id_embedding.weight" in found.weights,
        "hidden_size": sizes["D"],
        "inner_size": sizes["I"],
        "num_encoder_layers": _depth(state, "encoder"),
        "num_decoder_layers": _depth(state, "decoder"),
        "max_history": sizes["L"],
        "fusion_concentration": 0.0 if "fusion.concentration" in found.weights else None,
    }
    if "N" in sizes:
        kwargs["num_items"] = sizes["N"] - 1
    if "K" in sizes:
        kwargs["num_prototypes"] = sizes["K"] - 1
    return kwargs


def _depth(state: Mapping[str, Tensor], stack: str) -> int:
    """Number of blocks, 1 at least: what is then missing is named."""
    found = [re.match(rf"trm_model\.{stack}\.layers\.(\d+)\.", name) for name in state]
    return max(len({match[1] for match in found if match}), 1)


def _checked(name: str, state: Mapping[str, Tensor], axes: tuple[str, ...], sizes: dict[str, int]) -> Tensor:
    """The tensor, whose axes must have the sizes known so far; new sizes become known."""
    tensor = state[name]
    fits = len(axes) == tensor.dim()
    for axis, size in zip(axes, tensor.shape, strict=False):
        fits &= size == (3 * sizes["D"] if axis == "3D" else sizes.setdefault(axis, size))
    if not fits:
        wanted = ", ".join(str(3 * sizes["D"] if axis == "3D" else sizes.get(axis, axis)) for axis in axes)
        raise CheckpointError(
            f"{name} of the released state_dict is {tuple(tensor.shape)}, but must be ({wanted})."
        )
    return tensor


def _take_interests(
    state: Mapping[str, Tensor],
    modalities: list[str],
    sizes: dict[str, int],
    weights: dict[str, Tensor],
    loaded: dict[str, tuple[str, ...]],
) -> None:
    """The interest tables, which only a fine-tuned network carries."""
    needed = ["interest_embeddings", *(_LOOKUP[name] for name in modalities)]
    present = [name for name in needed if name in state]
    if not present:
        return
    if present != needed:
        absent = next(name for name in needed if name not in state)
        raise CheckpointError(f"the released state_dict has {present[0]} without {absent}.")
    weights[_PROTOTYPES] = _checked("interest_embeddings", state, ("K", "D"), sizes).clone()
    assignment = torch.stack([_checked(name, state, ("N",), sizes) for name in needed[1:]], dim=1).long()
    if assignment.min() < 0 or assignment.max() >= sizes["K"]:
        raise CheckpointError(
            f"{needed[1]} of the released state_dict names interests beyond 0..{sizes['K'] - 1}."
        )
    weights[_ASSIGNMENT] = assignment
    weights[_REFRESHES] = torch.ones((), dtype=torch.long)
    loaded |= {"interest_embeddings": (_PROTOTYPES,), **dict.fromkeys(needed[1:], (_ASSIGNMENT,))}
