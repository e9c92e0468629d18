"""Weights from one run to another, by an explicit map of names, with a report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from missrec_pl.errors import CheckpointError
from missrec_pl.nn.contract import Recommender
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE
from missrec_pl.nn.scorers import Scorers

_PREFIX = "scorers."


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
class _Rules:
    """What a network, or the scorers, say of their tensors: prefixes of names."""

    item_bound: tuple[str, ...]
    may_differ: tuple[str, ...]
    by_modality: tuple[str, ...]


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
    rules = _Rules(model.item_bound, (*model.may_differ, *model.item_bound), model.by_modality)
    own = model.state_dict()
    new = _fresh(own, source, rules, same_items)
    for modality, why in (other_encoders or {}).items():
        new.update({name: why for name in own if name.startswith(f"item_adapters.linear.{modality}.")})
    _start_whole_units_fresh(new, own, rules)
    report = _report(own, source, new)
    misfits = [f"{name} ({why})" for name, why in new.items() if not name.startswith(rules.may_differ)]
    misfits += [
        f"{name} (only in the checkpoint)"
        for name in report.left
        if name not in own and not name.startswith(rules.may_differ)
    ]
    if misfits:
        raise CheckpointError(
            f"the checkpoint does not fit this model: {len(misfits)} tensors differ, e.g. "
            f"{'; '.join(misfits[:3])}. Choose the model and the sizes that the checkpoint was trained with."
        )
    _copy(own, source, report.loaded, rules, modalities_of(own), modalities_of(source))
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
    names = tuple(f"{name}.{one}" for name, scorer in scorers.items() for one in _by_modality(scorer))
    rules = _Rules((), ("",), names)
    own, columns = scorers.state_dict(), (list(own_modalities), list(their_modalities))
    new = _fresh(own, source, rules, same_items=True, columns=columns)
    report = _report(own, source, new)
    _copy(own, source, report.loaded, rules, *columns)
    return TransferReport(
        [_PREFIX + name for name in report.loaded],
        {_PREFIX + name: why for name, why in report.new.items()},
        {_PREFIX + name: why for name, why in report.left.items()},
    )


def _by_modality(scorer: nn.Module) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(scorer, "by_modality", ())
    return names


def _report(own: Mapping[str, Tensor], source: Mapping[str, Tensor], new: Mapping[str, str]) -> TransferReport:
    return TransferReport(
        loaded=[name for name in own if name not in new],
        new=dict(new),
        left={
            name: new.get(name, "not part of this network") for name in source if name in new or name not in own
        },
    )


def _copy(
    own: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    names: Iterable[str],
    rules: _Rules,
    ours: Sequence[str],
    theirs: Sequence[str],
) -> None:
    order = [theirs.index(one) for one in ours if one in theirs]
    with torch.no_grad():
        for name in names:
            tensor = source[name]
            own[name].copy_(tensor[..., order] if name in rules.by_modality else tensor)


def modalities_of(weights: Iterable[str]) -> list[str]:
    """The modalities that a network has adapters for, in the order of its modality axis."""
    return [m[1] for name in weights if (m := re.fullmatch(r"item_adapters\.linear\.(.+)\.weight", name))]


def feature_modalities_of(weights: Iterable[str]) -> list[str]:
    """Those of them that are features of the data."""
    return [name for name in modalities_of(weights) if name != COLLABORATIVE]


def _fresh(
    own: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    rules: _Rules,
    same_items: bool,
    columns: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, str]:
    """Which tensors start fresh, and why."""
    ours, theirs = columns or (modalities_of(own), modalities_of(source))
    found: dict[str, str] = {}
    for name, tensor in own.items():
        if name.startswith(rules.item_bound) and not same_items:
            found[name] = "belongs to the items of the data"
        elif name not in source:
            found[name] = "not in the checkpoint"
        elif name in rules.by_modality and set(theirs) != set(ours):
            found[name] = f"of {', '.join(theirs) or 'no modality'} in the checkpoint, of {', '.join(ours)} here"
        elif source[name].shape != tensor.shape:
            found[name] = f"{tuple(source[name].shape)} in the checkpoint, {tuple(tensor.shape)} here"
    return found


def _start_whole_units_fresh(new: dict[str, str], own: Iterable[str], rules: _Rules) -> None:
    """Half an adapter or half an interest table is worth nothing: what goes with a fresh tensor is fresh too."""
    units = {_unit(name): name for name in new if name.startswith(rules.may_differ)}
    for name in own:
        if name not in new and _unit(name) in units:
            new[name] = f"goes with {units[_unit(name)]}"


def _unit(name: str) -> str:
    return name.rpartition(".")[0]
