"""A bundle: a folder with all that ranking takes, written whole, read without executing anything it names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from missrec_pl.data.domain.replacing import replacing
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.nn.contract import ItemInputs, Items, Recommender
from missrec_pl.nn.scorers import Scorers
from missrec_pl.serving import registry
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.manifest import ITEMS, MANIFEST, WEIGHTS, BundleManifest
from missrec_pl.serving.tensors import at_most, fill, own_tensors, read_tensors, without_memory, write_tensors

_NETWORK, _SCORERS, _ITEMS, _EXTRA, _WHITENING = "network.", "scorers.", "items.", "items.extra.", "whitening."
_SPARE = 1000  # modules without weights that a network may have


@dataclass
class Bundle:
    """What a bundle holds.

    Attributes:
        manifest: what it says about itself.
        network: in evaluation mode, without gradients.
        scorers: the auxiliary scorers with their statistics.
        items: the encoded catalogue ``[N + 1, ...]``, row = item, row 0 padding.
        names: what callers know the items by.
        whitening: per whitened modality ``mean [F]`` and ``matrix [F, F]``.
    """

    manifest: BundleManifest
    network: Recommender
    scorers: Scorers
    items: Items
    names: ItemNames
    whitening: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write all files into an empty folder."""
        tensors = {f"{_NETWORK}{name}": tensor for name, tensor in own_tensors(self.network).items()}
        tensors |= {f"{_SCORERS}{name}": tensor for name, tensor in own_tensors(self.scorers).items()}
        tensors[f"{_ITEMS}vectors"] = self.items.vectors
        tensors |= {f"{_EXTRA}{name}": tensor for name, tensor in self.items.extra.items()}
        for modality, parts in self.whitening.items():
            tensors |= {f"{_WHITENING}{modality}.{name}": tensor for name, tensor in parts.items()}
        write_tensors(folder / WEIGHTS, tensors)
        self.names.write(folder / ITEMS)
        (folder / WEIGHTS).chmod(
            (folder / ITEMS).stat().st_mode & 0o777
        )  # safetensors gives it to its owner alone
        self.manifest.write(folder)

    @classmethod
    def read(cls, path: Path, classes: Sequence[type] = (), device: str = "cpu") -> Bundle:
        """Read a bundle.

        Args:
            path: its folder.
            classes: the caller's own networks, scorers, and what they are made of.
            device: where it is to be.

        Raises:
            DataError: no bundle, of another version, or damaged.
        """
        manifest, where = BundleManifest.read(path), str(path / MANIFEST)
        tensors, weights = read_tensors(path / WEIGHTS, device), str(path / WEIGHTS)
        num_items = manifest.data.num_items
        with at_most(4 * len(tensors) + _SPARE, where):
            with without_memory():
                network = registry.built(
                    manifest.network, registry.networks(), "network", where, classes, data=manifest.data
                )
            fill(network, _below(tensors, _NETWORK), weights)
            network.eval().requires_grad_(False)
            # From here on the file is known to hold as many items as it says.
            items = _items(network, tensors, num_items, manifest, weights)
            kinds = {
                name: registry.built(record, registry.scorers(), "scorer", where, classes, data=manifest.data)
                for name, record in manifest.scorers.items()
            }
            scorers = _scorers(kinds, where).eval().requires_grad_(False)
            fill(scorers, _below(tensors, _SCORERS), weights)
        names = ItemNames.read(path / ITEMS, num_items)
        return cls(manifest, network, scorers, items, names, _whitening(manifest, tensors, weights))


@contextlib.contextmanager
def new_folder(out: Path, *, marked_by: str = MANIFEST, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder that takes the place of ``out`` if the block ends without an error.

    Args:
        out: the folder.
        marked_by: the file that a folder of this kind has; by default of a bundle.
        overwrite: whether such a folder is replaced.

    Raises:
        ConfigError: there is something already, and ``overwrite`` is false or it is none of the kind.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not overwrite:
            raise ConfigError(f"{out} exists already; remove it, choose another folder or pass --overwrite.")
        if not (out / marked_by).is_file():
            kind = "bundle" if marked_by == MANIFEST else f"folder with {marked_by}"
            raise ConfigError(f"{out} is no {kind} and is not overwritten; choose another folder.")
    with replacing(out, overwrite=True, is_ours=lambda folder: (folder / marked_by).is_file()) as folder:
        yield folder


def padding_table(manifest: BundleManifest, device: torch.device) -> ItemTable:
    """The table of the padding item alone."""
    nothing = torch.zeros(0, dtype=torch.long, device=device)
    dims = manifest.data.feature_dims
    return ItemTable(
        torch.zeros(1, dtype=torch.long, device=device),
        torch.ones(1, len(dims), dtype=torch.bool, device=device),
        dict.fromkeys(dims, nothing),
        {name: torch.zeros(0, width, device=device) for name, width in dims.items()},
        attributes={name: torch.zeros(1, 1, dtype=torch.long, device=device) for name in manifest.data.attributes},
    )


def _scorers(kinds: Mapping[str, torch.nn.Module], where: str) -> Scorers:
    try:
        return Scorers(kinds)
    except (KeyError, TypeError, AttributeError) as error:  # a name that no module can have
        raise DataError(f"{where}: a scorer has a name that none can have; export the bundle again.") from error


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}


def _items(
    network: Recommender, tensors: Mapping[str, Tensor], num_items: int, manifest: BundleManifest, where: str
) -> Items:
    extra = _below(tensors, _EXTRA)
    if f"{_ITEMS}vectors" not in tensors:
        raise DataError(f"{where}: it lacks the items' vectors; export the bundle again.")
    vectors = tensors[f"{_ITEMS}vectors"]
    for name, tensor in {"vectors": vectors, **extra}.items():
        if tensor.dim() == 0 or len(tensor) != num_items + 1:
            raise DataError(
                f"{where}: items' {name[:80]} of shape {tuple(tensor.shape)} for {num_items} items and padding; "
                "export the bundle again."
            )
    try:  # what a network makes of items may be a class of its own that remembers what it computes of them
        kind = type(network.encode_items(ItemInputs(padding_table(manifest, vectors.device))))
    except Exception as error:  # a network of weights that nobody has trained so
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{where}: the network cannot read an item ({reason}); export the bundle again."
        ) from error
    return kind(vectors, torch.arange(num_items + 1, device=vectors.device), extra, first=0, is_rising=True)


def _whitening(
    manifest: BundleManifest, tensors: Mapping[str, Tensor], where: str
) -> dict[str, dict[str, Tensor]]:
    found = {}
    for name in manifest.whitening:
        parts = _below(tensors, f"{_WHITENING}{name}.")
        width = manifest.data.feature_dims.get(str(name), 0)
        shapes = {part: tuple(tensor.shape) for part, tensor in parts.items()}
        if shapes != {"mean": (width,), "matrix": (width, width)}:
            raise DataError(f"{where}: no whitening of {str(name)[:80]!a}; export the bundle again.")
        found[str(name)] = parts
    return found
