"""The items of one or several domains under global ids, and where their features live."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import FeatureDtype
from missrec_pl.data.items.attributes import attribute_values
from missrec_pl.data.items.feature_rows import feature_dims_of, read_features
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError, DataError

Placement = Literal["device", "host", "memmap"]
PLACEMENTS: tuple[str, ...] = get_args(Placement)
_BLOCK_ROWS = 16_384  # read at a time into resident features
DTYPES = {"float32": torch.float32, "float16": torch.float16}
VIEWS = {"text_worddrop": "text"}  # other features of the items that have a modality: material for augmentation


class FeatureTransform(Protocol):
    """What features go through as they are read."""

    def __call__(self, rows: Tensor) -> Tensor:
        """``[R, F]`` features of items, transformed."""
        ...


MakeTransform = Callable[[Domain, str], FeatureTransform]
"""Fits a transform to a modality of a domain."""


class Catalogue:
    """All items of the given domains. Global ids: padding 0, then the items of each domain in turn.

    Only the features of items that have a modality are stored ("compact rows").

    Args:
        domains: the domains, in the order of their global ids.
        modalities: names of the modalities to use; a domain may lack some of them, not all.
        placement: ``"device"`` keeps the features beside the model, ``"host"`` in main memory, ``"memmap"`` in
            their files.
        dtype: ``"float32"`` or ``"float16"``, how resident features are stored.
        transform: what the features of a domain go through as they are read, such as whitening.

    Raises:
        ConfigError: unknown placement or dtype, or no modality.
        DataError: no domain has a modality, or a modality has different widths in two domains.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        modalities: Sequence[str],
        *,
        placement: Placement = "device",
        dtype: FeatureDtype = "float32",
        transform: MakeTransform | None = None,
    ) -> None:
        if placement not in PLACEMENTS:
            raise ConfigError(f"features.placement={placement!r}: choose one of {', '.join(PLACEMENTS)}.")
        if dtype not in DTYPES:
            raise ConfigError(f"features.dtype={dtype!r}: choose one of {', '.join(DTYPES)}.")
        self.domains = list(domains)
        self.placement = placement
        self.modalities = list(modalities)
        self.feature_dims = feature_dims_of(self.domains, self.modalities)
        self.offsets = np.cumsum([0] + [domain.num_items for domain in self.domains])
        self.is_missing = self._missing()
        self.attributes, self.num_attribute_values = attribute_values(self.domains)
        present = (~self.is_missing).T.contiguous()
        compact_rows = torch.where(present, present.cumsum(1), 0)
        self._compact_row = dict(zip(self.modalities, compact_rows, strict=True))
        self._dtype = DTYPES[dtype]
        self._transforms: dict[tuple[int, str], FeatureTransform] = {}  # by domain, each has its own, and modality
        if transform is not None:
            self._transforms = {
                (d, name): transform(domain, name)
                for d, domain in enumerate(self.domains)
                for name in set(self.modalities).intersection(domain.modalities)
            }
        self._resident: dict[str, Tensor] = {}
        if placement != "memmap":
            self._resident = {name: self._load(name) for name in self.modalities}

    @property
    def num_items(self) -> int:
        """Number ``N`` of real items."""
        return int(self.offsets[-1])

    def domain_of(self, index: int) -> slice:
        """Global ids of the items of the given domain."""
        return slice(int(self.offsets[index]) + 1, int(self.offsets[index + 1]) + 1)

    def transform_of(self, index: int, modality: str) -> FeatureTransform | None:
        """What the features of a domain go through as they are read; None where nothing is done to them."""
        return self._transforms.get((index, modality))

    def to(self, device: torch.device) -> None:
        """Move what is resident on the device there (``placement="device"``)."""
        if self.placement == "device":
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
        attributes = {name: values[ids.cpu()].to(ids.device) for name, values in self.attributes.items()}
        table = ItemTable(ids, is_missing, rows, {}, attributes=attributes)
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
        ids = torch.arange(self.num_items + 1, device=device)
        table = replace(self.table(ids, with_features=False), is_whole=True)
        if self.placement == "memmap":
            return self.fill(table)
        # Compact rows are the present items in ascending id: the resident tensor is the answer, uncopied.
        return replace(table, features={name: self._resident[name][1:].to(device) for name in self.modalities})

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
        if self.placement != "memmap":
            self._resident[name] = self._load(name).to(self._resident[modality].device)
        self._compact_row[name] = self._compact_row[modality]

    def _gather(self, name: str, ids: Tensor) -> Tensor:
        if self.placement == "memmap":
            return self._read(name, ids.cpu().numpy()).to(ids.device)
        resident = self._resident[name]
        rows = self._compact_row[name][ids.to(self._compact_row[name].device)]
        return resident[rows.to(resident.device)].to(ids.device)

    def _read(self, name: str, ids: np.ndarray) -> Tensor:
        """Features of the given present items from the files, domain by domain."""
        if (ids[1:] < ids[:-1]).any():
            order = np.argsort(ids)
            return self._read(name, ids[order])[torch.from_numpy(np.argsort(order))]
        out = torch.empty(len(ids), self.feature_dims[VIEWS.get(name, name)])
        bounds = np.searchsorted(ids, self.offsets, side="right")
        for d, (start, stop) in enumerate(itertools.pairwise(bounds)):
            if start < stop:
                self._read_domain(d, name, ids[start:stop] - self.offsets[d], out[start:stop])
                self.domains[d].release_pages(name)
        return out

    def _load(self, name: str) -> Tensor:
        """Compact rows of a modality (or view) of all domains; row 0 is zeros."""
        modality = VIEWS.get(name, name)
        present = ~self.is_missing[:, self.modalities.index(modality)]
        out = torch.zeros(int(present.sum()) + 1, self.feature_dims[modality], dtype=self._dtype)
        start = 1
        for d, domain in enumerate(self.domains):
            if modality not in domain.modalities:
                continue
            present_items = np.flatnonzero(domain.present(modality))
            for first in range(0, len(present_items), _BLOCK_ROWS):
                rows = present_items[first : first + _BLOCK_ROWS]
                self._read_domain(d, name, rows, out[start : start + len(rows)])
                start += len(rows)
            domain.forget_features()
        return out

    def _read_domain(self, index: int, name: str, rows: np.ndarray, out: Tensor) -> None:
        """Fill ``out``, of any type, with features of items of a domain, transformed if they are to be."""
        transform = self._transforms.get((index, VIEWS.get(name, name)))
        if transform is None:
            return read_features(self.domains[index], name, rows, out)
        exact = torch.empty(out.shape)
        read_features(self.domains[index], name, rows, exact)
        out.copy_(transform(exact))

    def _missing(self) -> Tensor:
        present = np.zeros((self.num_items + 1, len(self.modalities)), dtype=bool)
        for d, domain in enumerate(self.domains):
            for m, name in enumerate(self.modalities):
                if name in domain.modalities:
                    present[self.domain_of(d), m] = domain.present(name)[1:]
        return torch.from_numpy(~present)
