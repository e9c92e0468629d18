"""The items of one or several domains under global ids, and where their features live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from missrec_pl.data.domain import Domain
from missrec_pl.errors import ConfigError, DataError

RESIDENCIES = ("device", "host", "memmap")
DTYPES = {"float32": torch.float32, "float16": torch.float16}
VIEWS = {"text_worddrop": "text"}  # other features of the items that have a modality: material for augmentation


@dataclass(frozen=True)
class ItemTable:
    """The items that a step touches; row 0 is the padding item.

    Attributes:
        ids: ``[U]`` global item ids.
        is_missing: ``[U, M]``, True where an item lacks a modality.
        rows: per modality ``[P]``, the table rows that have it, ascending.
        features: per modality ``[P, F]``, their features; empty until they are filled in.
        is_whole: True if these are all items of the catalogue, so that rows are global ids by design.
        views: per view ``[P, F]``, other features of the rows of its modality; see :meth:`Catalogue.with_views`.
    """

    ids: Tensor
    is_missing: Tensor
    rows: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    is_whole: bool = False
    views: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ItemTable:
        """The table on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, non_blocking=non_blocking) for name, tensor in tensors.items()}

        return ItemTable(
            self.ids.to(device, non_blocking=non_blocking),
            self.is_missing.to(device, non_blocking=non_blocking),
            move(self.rows),
            move(self.features),
            self.is_whole,
        )

    def pin_memory(self) -> ItemTable:
        """The table in page-locked memory, for asynchronous copies to a GPU."""
        return ItemTable(
            self.ids.pin_memory(),
            self.is_missing.pin_memory(),
            {name: rows.pin_memory() for name, rows in self.rows.items()},
            {name: features.pin_memory() for name, features in self.features.items()},
            self.is_whole,
        )


class Catalogue:
    """All items of the given domains. Global ids: padding 0, then the items of each domain in turn.

    Only the features of items that have a modality are stored ("compact rows").

    Args:
        domains: the domains, in the order of their global ids.
        modalities: names of the modalities to use; a domain may lack some of them, not all.
        residency: ``"device"`` keeps the features beside the model, ``"host"`` in main memory, ``"memmap"`` in
            their files.
        dtype: ``"float32"`` or ``"float16"``, how resident features are stored.

    Raises:
        ConfigError: unknown residency or dtype, or no modality.
        DataError: no domain has a modality, or a modality has different widths in two domains.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        modalities: Sequence[str],
        *,
        residency: str = "device",
        dtype: str = "float32",
    ) -> None:
        if residency not in RESIDENCIES:
            raise ConfigError(f"features.residency={residency!r}: choose one of {', '.join(RESIDENCIES)}.")
        if dtype not in DTYPES:
            raise ConfigError(f"features.dtype={dtype!r}: choose one of {', '.join(DTYPES)}.")
        self.domains = list(domains)
        self.residency = residency
        self.modalities = list(modalities)
        self.feature_dims = _feature_dims(self.domains, self.modalities)
        self.offsets = np.cumsum([0] + [domain.num_items for domain in self.domains])
        self.is_missing = self._missing()
        self._compact_row = {name: _compact_rows(~self.is_missing[:, m]) for m, name in enumerate(self.modalities)}
        self._dtype = DTYPES[dtype]
        self._resident: dict[str, Tensor] = {}
        if residency != "memmap":
            self._resident = {name: self._load(name) for name in self.modalities}

    @property
    def num_items(self) -> int:
        """Number ``N`` of real items."""
        return int(self.offsets[-1])

    @property
    def num_tokens(self) -> int:
        """Number of item tokens that exist."""
        return int((~self.is_missing).sum())

    def domain_of(self, index: int) -> slice:
        """Global ids of the items of the given domain."""
        return slice(int(self.offsets[index]) + 1, int(self.offsets[index + 1]) + 1)

    def to(self, device: torch.device) -> None:
        """Move what is resident on the device there (``residency="device"``)."""
        if self.residency == "device":
            self._resident = {name: rows.to(device) for name, rows in self._resident.items()}
            self._compact_row = {name: rows.to(device) for name, rows in self._compact_row.items()}

    def table(self, ids: Tensor, *, with_features: bool = True) -> ItemTable:
        """The item table of the given global ids (the first must be 0, the padding item).

        Args:
            ids: ``[U]`` global item ids.
            with_features: False leaves the features out, to be filled in later by :meth:`fill`.
        """
        is_missing = self.is_missing[ids.cpu()].to(ids.device)
        rows = {name: (~is_missing[:, m]).nonzero().squeeze(1) for m, name in enumerate(self.modalities)}
        table = ItemTable(ids, is_missing, rows, {})
        return self.fill(table) if with_features else table

    def fill(self, table: ItemTable) -> ItemTable:
        """The same table with the features of its items, on the table's device."""
        features = {name: self._gather(name, table.ids[rows]) for name, rows in table.rows.items()}
        return replace(table, features=features)

    def with_views(self, table: ItemTable, names: Sequence[str]) -> ItemTable:
        """The same table with views of its items, read when they are first asked for.

        Raises:
            ConfigError: a view of a modality that is not used.
            DataError: a domain lacks a view.
        """
        for name in set(names).difference(self._compact_row):
            self._open_view(name)
        return replace(
            table, views={name: self._gather(name, table.ids[table.rows[VIEWS[name]]]) for name in names}
        )

    def whole(self, device: torch.device) -> ItemTable:
        """The table of all items: row = global id."""
        is_missing = self.is_missing.to(device)
        rows = {name: (~is_missing[:, m]).nonzero().squeeze(1) for m, name in enumerate(self.modalities)}
        ids = torch.arange(self.num_items + 1, device=device)
        if self.residency == "memmap":
            return self.fill(ItemTable(ids, is_missing, rows, {}, is_whole=True))
        # Compact rows are the present items in ascending id: the resident tensor is the answer, uncopied.
        features = {name: self._resident[name][1:].to(device) for name in self.modalities}
        return ItemTable(ids, is_missing, rows, features, is_whole=True)

    def chunks(self, size: int, device: torch.device) -> Iterator[ItemTable]:
        """The whole catalogue in tables of at most ``size`` real items each, padding row first."""
        for start in range(1, self.num_items + 1, size):
            ids = torch.arange(start, min(start + size, self.num_items + 1))
            yield self.table(torch.cat([ids.new_zeros(1), ids]).to(device))

    def _open_view(self, name: str) -> None:
        modality = VIEWS[name]
        if modality not in self.modalities:
            raise ConfigError(
                f"objective.augmentation needs {name}, but data.modalities={self.modalities} has no {modality}: "
                "add it, or choose another augmentation."
            )
        for domain in self.domains:
            if modality in domain.modalities and name not in domain.views:
                raise DataError(
                    f"{domain.path} has no view {name} (a released folder's .feat2CLS), which "
                    "objective.augmentation needs: prepare the domain with it, or drop items only "
                    "(+objective.augmentation.item_drop_share=1.0)."
                )
        if self.residency != "memmap":
            self._resident[name] = self._load(name).to(self._resident[modality].device)
        self._compact_row[name] = self._compact_row[modality]

    def _gather(self, name: str, ids: Tensor) -> Tensor:
        if self.residency == "memmap":
            return self._read(name, ids.cpu().numpy()).to(ids.device)
        resident = self._resident[name]
        rows = self._compact_row[name][ids.to(self._compact_row[name].device)]
        return resident[rows.to(resident.device)].to(ids.device)

    def _read(self, name: str, ids: np.ndarray) -> Tensor:
        """Features of the given present items from the files, domain by domain."""
        out = np.zeros((len(ids), self.feature_dims[VIEWS.get(name, name)]), dtype=np.float32)
        owner = np.searchsorted(self.offsets, ids, side="left") - 1
        for d in np.unique(owner):
            mine = owner == d
            out[mine] = _finite_features(self.domains[d], name, ids[mine] - self.offsets[d])
        return torch.from_numpy(out)

    def _load(self, name: str) -> Tensor:
        """Compact rows of a modality (or view) of all domains; row 0 is zeros."""
        modality = VIEWS.get(name, name)
        present = ~self.is_missing[:, self.modalities.index(modality)]
        out = torch.zeros(int(present.sum()) + 1, self.feature_dims[modality], dtype=self._dtype)
        start = 1
        for domain in self.domains:
            if modality not in domain.modalities:
                continue
            rows = np.flatnonzero(domain.present(modality))
            out[start : start + len(rows)] = torch.from_numpy(_finite_features(domain, name, rows))
            start += len(rows)
        return out

    def _missing(self) -> Tensor:
        present = np.zeros((self.num_items + 1, len(self.modalities)), dtype=bool)
        for d, domain in enumerate(self.domains):
            for m, name in enumerate(self.modalities):
                if name in domain.modalities:
                    present[self.domain_of(d), m] = domain.present(name)[1:]
        return torch.from_numpy(~present)


def _finite_features(domain: Domain, name: str, rows: np.ndarray) -> np.ndarray:
    features = np.asarray(domain.features(name)[rows])
    if not (is_finite := np.isfinite(features).all(1)).all():
        raise DataError(
            f"{domain.path}: {name} features of item {rows[int(np.argmin(is_finite))]} hold NaN or infinity: "
            "extract them again (`python -m missrec_pl.prepare check` lists all damage)."
        )
    return features


def _compact_rows(present: Tensor) -> Tensor:
    return torch.where(present, present.cumsum(0), 0)


def _feature_dims(domains: Sequence[Domain], modalities: Sequence[str]) -> dict[str, int]:
    if not modalities:
        raise ConfigError("data.modalities is empty: name at least one, e.g. data.modalities=[text].")
    dims: dict[str, int] = {}
    for name in modalities:
        having = [domain for domain in domains if name in domain.modalities]
        if not having:
            known = sorted({known for domain in domains for known in domain.modalities})
            raise DataError(
                f"data.modalities names {name!r}, which none of the domains "
                f"{[domain.name for domain in domains]} has: they have {known}."
            )
        widths = {domain.name: domain.modalities[name].dim for domain in having}
        if len(set(widths.values())) > 1:
            raise DataError(
                f"modality {name!r} has different widths in the domains of one run ({widths}): "
                "extract it with one encoder for all of them, or leave a domain out."
            )
        dims[name] = next(iter(widths.values()))
    return dims
