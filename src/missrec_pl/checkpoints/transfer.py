"""Weights from one run to another, by an explicit map of names, with a report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from missrec_pl.errors import CheckpointError
from missrec_pl.nn import SequenceModel
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE

# What belongs to the items of the data that a checkpoint was trained on.
_BOUND_TO_ITEMS = ("interests.", "id_embedding.", "collaborative.", f"adapters.linear.{COLLABORATIVE}.")
# What a network may have or lack beside its architecture: it starts fresh, or is left.
_MAY_DIFFER = ("adapters.", "history_bias.", "cooccurrence.", "content.", "fusion.", *_BOUND_TO_ITEMS)
# What has one entry or column per modality, in the order of the adapters.
_BY_MODALITY = ("content.weight", "content.decay_logit", "interests.assignment")


@dataclass
class TransferReport:
    """Names of the tensors that were loaded, that start fresh, and that the checkpoint holds in vain."""

    loaded: list[str] = field(default_factory=list)
    new: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report, a line per fact."""
        return [
            f"loaded {len(self.loaded)} tensors of the checkpoint",
            *(f"new    {name}: {why}" for name, why in self.new.items()),
            *(f"left   {name}: {why}" for name, why in self.left.items()),
        ]


def transfer_weights(
    model: SequenceModel,
    source: Mapping[str, Tensor],
    *,
    same_items: bool = False,
    other_encoders: Mapping[str, str] | None = None,
) -> TransferReport:
    """Copy the weights of a checkpoint into a network for other items, modalities or settings.

    Adapters of modalities, feature widths or encoders that the checkpoint does not know start fresh. Interest
    tables and ID embeddings belong to the checkpoint's items and are taken only if the items are the same. What
    has a column per modality is brought into the network's order of them, and starts fresh where they are others.

    Args:
        model: the network to start.
        source: ``state_dict`` of the checkpoint's network.
        same_items: True if the checkpoint was trained on the very same catalogue.
        other_encoders: modalities whose features other encoders made than the checkpoint's, and how to say so.

    Raises:
        CheckpointError: the checkpoint is of another architecture or of other sizes; nothing was copied.
    """
    own = model.state_dict()
    reasons = {n: _reason_to_start_fresh(n, tensor, own, source, same_items) for n, tensor in own.items()}
    for modality, why in (other_encoders or {}).items():
        reasons.update({name: why for name in own if name.startswith(f"adapters.linear.{modality}.")})
    new = {name: why for name, why in reasons.items() if why is not None}
    _start_whole_units_fresh(new, own)
    report = TransferReport(
        loaded=[name for name in own if name not in new],
        new=new,
        left={
            name: new.get(name, "not part of this network") for name in source if name in new or name not in own
        },
    )
    misfits = [f"{name} ({why})" for name, why in new.items() if not name.startswith(_MAY_DIFFER)]
    misfits += [
        f"{name} (only in the checkpoint)"
        for name in report.left
        if name not in own and not name.startswith(_MAY_DIFFER)
    ]
    if misfits:
        raise CheckpointError(
            f"the checkpoint does not fit this model: {len(misfits)} tensors differ, e.g. "
            f"{'; '.join(misfits[:3])}. Choose the model and the sizes that the checkpoint was trained with."
        )
    with torch.no_grad():
        for name in report.loaded:
            tensor = source[name]
            own[name].copy_(tensor[..., _order(name, own, source)] if name in _BY_MODALITY else tensor)
    return report


def modalities_of(weights: Iterable[str]) -> list[str]:
    """The modalities that a network has adapters for, in the order of its token axis."""
    return [m[1] for name in weights if (m := re.fullmatch(r"adapters\.linear\.(.+)\.weight", name))]


def _columns(name: str, weights: Iterable[str]) -> list[str]:
    """The modalities that a tensor has columns of: score terms are of features alone."""
    is_of_features = name.startswith("content.")
    return [one for one in modalities_of(weights) if not (is_of_features and one == COLLABORATIVE)]


def _order(name: str, own: Iterable[str], source: Iterable[str]) -> list[int]:
    """Where the checkpoint's tensor has each modality of the network's."""
    theirs = _columns(name, source)
    return [theirs.index(one) for one in _columns(name, own)]


def _reason_to_start_fresh(
    name: str, tensor: Tensor, own: Iterable[str], source: Mapping[str, Tensor], same_items: bool
) -> str | None:
    if name.startswith(_BOUND_TO_ITEMS) and not same_items:
        return "belongs to the items of the data"
    if name not in source:
        return "not in the checkpoint"
    if name in _BY_MODALITY:
        theirs, ours = _columns(name, source), _columns(name, own)
        if set(theirs) != set(ours):
            return f"of {', '.join(theirs) or 'no modality'} in the checkpoint, of {', '.join(ours)} here"
    if source[name].shape != tensor.shape:
        return f"{tuple(source[name].shape)} in the checkpoint, {tuple(tensor.shape)} here"
    return None


def _start_whole_units_fresh(new: dict[str, str], own: Iterable[str]) -> None:
    """Half an adapter or half an interest table is worth nothing: what goes with a fresh tensor is fresh too."""
    units = {_unit(name): name for name in new if name.startswith(("adapters.", "interests."))}
    for name in own:
        if name not in new and _unit(name) in units:
            new[name] = f"goes with {units[_unit(name)]}"


def _unit(name: str) -> str:
    return name.rpartition(".")[0]
