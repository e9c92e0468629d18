"""Items that came after training: content alone, recommended at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.fitting.whitening import Whitening
from missrec_pl.nn.contract import ItemInputs, Items
from missrec_pl.nn.fitted import Fitted, NewItems
from missrec_pl.serving.bundle import Bundle

Encoder = Callable[[Sequence[Any]], Any]
"""Makes features ``[K, F]`` of ``K`` texts or pictures."""


def given_features(
    bundle: Bundle,
    count: int,
    features: Mapping[str, Any],
    raw: Mapping[str, Any],
    encoders: Mapping[str, Encoder],
) -> dict[str, Tensor]:
    """Features ``[K, F]`` of each modality of the network, zeros where an item lacks it.

    Args:
        bundle: says which modalities there are, and how wide they are.
        count: number ``K`` of new items.
        features: per modality rows as the encoder gives them; a row may be None.
        raw: per modality texts or pictures, for ``encoders``; an entry may be None.
        encoders: per modality what makes features of them.

    Raises:
        ConfigError: the network reads no content, or has nothing that encodes what is given.
        DataError: rows that do not fit, or an item without any modality.
    """
    dims = bundle.manifest.data.feature_dims
    if "features" not in bundle.network.reads:
        raise ConfigError("the network reads item IDs alone, and a new item has none that it knows: train again.")
    if "attributes" in bundle.network.reads:
        raise ConfigError("the network reads attributes, which new items cannot bring yet: train again.")
    if unknown := sorted(features.keys() - dims.keys()):
        raise DataError(f"features of {unknown[0][:80]!a}: the network reads {', '.join(dims)}.")
    found = {}
    for modality, width in dims.items():
        given = features.get(modality)
        if given is None and raw.get(modality) is not None:
            given = _encoded(modality, raw[modality], count, encoders, bundle)
        found[modality] = _rows(modality, given, count, width)
    is_empty = ~torch.stack([rows.any(1) for rows in found.values()]).any(0)
    if bool(is_empty.any()):
        raise DataError(f"new item number {int(is_empty.int().argmax()) + 1} has features of no modality.")
    return found


def grow(bundle: Bundle, features: Mapping[str, Tensor]) -> Items:
    """Make room for new items in the network and the scorers.

    Args:
        bundle: its network and scorers are changed; what they say of earlier items stays as it was.
        features: see :func:`given_features`.

    Returns:
        The new items as the network encodes them, row 0 padding.

    Raises:
        ConfigError: a fitted part cannot take them.
    """
    before, device = len(bundle.names), bundle.items.vectors.device
    count = len(next(iter(features.values())))
    ids = torch.arange(before + 1, before + 1 + count, device=device)
    table = _table(bundle, ids, features)
    given = {name: rows.to(device) for name, rows in features.items()}
    new = NewItems(ids, given, table, lambda: _encode(bundle, table))
    parts = [*bundle.network.fitted_parts(), *bundle.scorers.fitted_parts()]
    for part in parts:
        if type(part).grow is Fitted.grow:  # may say that it cannot: before anything is changed
            part.grow(new)
    with torch.no_grad():
        _pad_tables(bundle.network, bundle.network.item_bound, before + 1, new)
        for part in parts:
            part.grow(new)
        return new.encode()


def _pad_tables(network: nn.Module, item_bound: tuple[str, ...], rows: int, new: NewItems) -> None:
    """Rows of zeros for new items in what belongs to the catalogue and is learned.

    A row behind those of the items, such as the one that hides an item, stays the last.
    """
    for prefix, owner in network.named_modules():
        if isinstance(owner, Fitted):
            continue
        for leaf, tensor in [*owner._parameters.items(), *owner._buffers.items()]:
            name = f"{prefix}.{leaf}" if prefix else leaf
            if (
                tensor is None
                or not name.startswith(item_bound)
                or not tensor.dim()
                or len(tensor) not in (rows, rows + 1)
            ):
                continue
            padded = new.padded(tensor.data)
            is_weight = isinstance(tensor, nn.Parameter)
            setattr(owner, leaf, nn.Parameter(padded, requires_grad=False) if is_weight else padded)


def _table(bundle: Bundle, ids: Tensor, features: Mapping[str, Tensor]) -> ItemTable:
    rows, dense, missing = {}, {}, []
    for modality, given in features.items():
        if modality in bundle.whitening:
            given = torch.where(given.any(1)[:, None], Whitening.of(**bundle.whitening[modality])(given), given)
        present = given.any(1)
        rows[modality] = (present.nonzero()[:, 0] + 1).to(ids.device)
        dense[modality] = given[present].to(ids.device)
        missing.append(torch.cat([torch.ones(1, dtype=torch.bool), ~present]))
    every = torch.cat([ids.new_zeros(1), ids])
    return ItemTable(every, torch.stack(missing, 1).to(ids.device), rows, dense)


def _encode(bundle: Bundle, table: ItemTable) -> Items:
    with torch.no_grad():
        return bundle.network.encode_items(ItemInputs(table))


def _encoded(modality: str, raw: Any, count: int, encoders: Mapping[str, Encoder], bundle: Bundle) -> list[Any]:
    if modality not in encoders:
        made = ", ".join(bundle.manifest.encoders.get(modality, [])) or "an encoder that nobody noted"
        raise ConfigError(
            f"{modality}: nothing here encodes it (the catalogue's features were made by {made}); give features, "
            f"or load(..., encoders={{{modality!r}: ...}})."
        )
    if len(raw) != count:
        raise DataError(f"{modality}: {len(raw)} given for {count} new items.")
    there = [place for place, one in enumerate(raw) if one is not None and one != ""]
    made = encoders[modality]([raw[place] for place in there]) if there else []
    rows: list[Any] = [None] * count
    for place, row in zip(there, made, strict=True):
        rows[place] = row
    return rows


def _rows(modality: str, given: Any, count: int, width: int) -> Tensor:
    found = torch.zeros(count, width)
    if given is None:
        return found
    if len(given) != count:
        raise DataError(f"features of {modality}: {len(given)} rows for {count} new items.")
    for place, row in enumerate(given):
        if row is None:
            continue
        try:
            values = torch.from_numpy(np.asarray(row, dtype=np.float32).copy())
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"features of {modality}, row {place}: no numbers.") from error
        if values.shape != (width,) or not bool(values.isfinite().all()):
            raise DataError(
                f"features of {modality}, row {place}: {width} finite numbers are needed, found shape "
                f"{tuple(values.shape)}."
            )
        found[place] = values
    return found
