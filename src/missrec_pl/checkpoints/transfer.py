"""Weights from one run to another, by an explicit map of names, with a report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from missrec_pl.errors import CheckpointError
from missrec_pl.nn.contract import Recommender
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE
from missrec_pl.nn.scorers import Scorers

# Weights of the adapter of a modality, whatever the adapter is: item_adapters.linear.text.weight.
_ADAPTER = re.compile(r"item_adapters\.\w+\.([^.]+)\.")


@dataclass
class TransferReport:
    """Names of the tensors that were loaded, that start fresh, and that the checkpoint holds in vain."""

    loaded: list[str] = field(default_factory=list)
    new: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: TransferReport) -> TransferReport:
        return TransferReport(
            [*self.loaded, *other.loaded], {**self.new, **other.new}, {**self.left, **other.left}
        )

    def lines(self) -> list[str]:
        """The report, a line per fact."""
        return [
            f"loaded {len(self.loaded)} tensors of the checkpoint",
            *(f"new    {name}: {why}" for name, why in self.new.items()),
            *(f"left   {name}: {why}" for name, why in self.left.items()),
        ]


@dataclass(frozen=True)
class _Tensors:
    """Tensors to be filled from those of a checkpoint.

    Attributes:
        own: what is filled, by name.
        source: the checkpoint's, by name.
        ours: the modalities here, in the order of their axis.
        theirs: those of the checkpoint.
        by_modality: names of what has a column per modality.
        left_behind: prefixes of names of what belongs to other items.
    """

    own: Mapping[str, Tensor]
    source: Mapping[str, Tensor]
    ours: Sequence[str]
    theirs: Sequence[str]
    by_modality: tuple[str, ...]
    left_behind: tuple[str, ...] = ()

    def fresh(self) -> dict[str, str]:
        """Which tensors start fresh, and why."""
        found: dict[str, str] = {}
        ours, theirs = ", ".join(self.ours), ", ".join(self.theirs) or "no modality"
        for name, tensor in self.own.items():
            if name.startswith(self.left_behind):
                found[name] = "belongs to the items of the data"
            elif name not in self.source:
                found[name] = "not in the checkpoint"
            elif name in self.by_modality and set(self.theirs) != set(self.ours):
                found[name] = f"of {theirs} in the checkpoint, of {ours} here"
            elif self.source[name].shape != tensor.shape:
                found[name] = f"{tuple(self.source[name].shape)} in the checkpoint, {tuple(tensor.shape)} here"
        return found

    def report(self, fresh: Mapping[str, str], prefix: str = "") -> TransferReport:
        """What becomes of all tensors; the prefix stands before their names."""
        why = {name: fresh.get(name, "not part of this network") for name in self.source}
        return TransferReport(
            [prefix + name for name in self.own if name not in fresh],
            {prefix + name: reason for name, reason in fresh.items()},
            {prefix + name: why[name] for name in self.source if name in fresh or name not in self.own},
        )

    def copy(self, fresh: Mapping[str, str]) -> None:
        """Fill what does not start fresh, columns in the order of our modalities."""
        order = [self.theirs.index(one) for one in self.ours if one in self.theirs]
        with torch.no_grad():
            for name in self.own.keys() - fresh.keys():
                tensor = self.source[name]
                self.own[name].copy_(tensor[..., order] if name in self.by_modality else tensor)


def transfer_weights(
    model: Recommender,
    source: Mapping[str, Tensor],
    *,
    same_items: bool = False,
    other_encoders: Mapping[str, str] | None = None,
) -> TransferReport:
    """Copy the weights of a checkpoint into a network for other items, modalities or settings.

    Adapters of modalities, feature widths or encoders that the checkpoint does not know start fresh. What a
    network declares ``item_bound`` is taken only if the items are the same. What has a column per modality is
    brought into the network's order of them, and starts fresh where they are others.

    Args:
        model: the network to start.
        source: ``state_dict`` of the checkpoint's network.
        same_items: True if the checkpoint was trained on the very same catalogue.
        other_encoders: modalities whose features other encoders made than the checkpoint's, and how to say so.

    Raises:
        CheckpointError: the checkpoint is of another architecture or of other sizes; nothing was copied.
    """
    own = model.state_dict()
    left_behind = () if same_items else model.item_bound
    tensors = _Tensors(own, source, modalities_of(own), modalities_of(source), model.by_modality, left_behind)
    may_differ = (*model.may_differ, *model.item_bound)
    fresh = tensors.fresh()
    for modality, why in (other_encoders or {}).items():
        fresh.update({name: why for name in own if modalities_of([name]) == [modality]})
    # Half an adapter or half an interest table is worth nothing: what goes with a fresh tensor is fresh too.
    units = {_unit(name): name for name in fresh if name.startswith(may_differ)}
    fresh |= {n: f"goes with {units[_unit(n)]}" for n in own if n not in fresh and _unit(n) in units}
    report = tensors.report(fresh)
    misfits = [f"{name} ({why})" for name, why in fresh.items() if not name.startswith(may_differ)]
    misfits += [
        f"{name} (only in the checkpoint)"
        for name in report.left
        if name not in own and not name.startswith(may_differ)
    ]
    if misfits:
        raise CheckpointError(
            f"the checkpoint does not fit this model: {len(misfits)} tensors differ, e.g. "
            f"{'; '.join(misfits[:3])}. Choose the model and the sizes that the checkpoint was trained with."
        )
    tensors.copy(fresh)
    return report


def transfer_scorers(
    scorers: Scorers,
    source: Mapping[str, Tensor],
    own_modalities: Sequence[str],
    their_modalities: Sequence[str],
) -> TransferReport:
    """Copy the scalars of auxiliary scorers; what the checkpoint lacks starts fresh.

    Args:
        scorers: the scorers to start.
        source: ``state_dict`` of the checkpoint's scorers.
        own_modalities: the modalities of the data, in order.
        their_modalities: those of the checkpoint's data.
    """
    names = [f"{name}.{one}" for name, scorer in scorers.items() for one in getattr(scorer, "by_modality", ())]
    tensors = _Tensors(scorers.state_dict(), source, own_modalities, their_modalities, tuple(names))
    fresh = tensors.fresh()
    tensors.copy(fresh)
    return tensors.report(fresh, "scorers.")


def modalities_of(weights: Iterable[str]) -> list[str]:
    """The modalities that a network has adapters for, in the order of its modality axis."""
    found = (_ADAPTER.match(name) for name in weights)
    return list(dict.fromkeys(match[1] for match in found if match))


def feature_modalities_of(weights: Iterable[str]) -> list[str]:
    """Those of them that are features of the data."""
    return [name for name in modalities_of(weights) if name != COLLABORATIVE]


def _unit(name: str) -> str:
    """The module that a tensor belongs to; the network's own tensors are for themselves."""
    return name.rpartition(".")[0] or name
