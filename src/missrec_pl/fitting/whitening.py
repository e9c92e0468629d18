"""Principal axes of a modality's features, and partly whitened unit vectors along them."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.errors import DataError
from missrec_pl.fitting.sequence_pairs import LARGE_CATALOGUE

AXES_IF_LARGE = 128
"""Axes that are compared in a large catalogue."""

_BLOCK_ROWS = 16384
_MOMENT_ROWS = 100_000
_SMALLEST_SCALE = 1e-4  # of the largest: below, an axis holds rounding noise that whitening would blow up


class Axes:
    """Principal axes of a modality's features.

    Attributes:
        items: ``[P]`` the items that have the modality.
        mean: ``[F]`` what is subtracted from the features first.
        directions: ``[F, D]`` unit vectors, by falling scale.
        scale: ``[D]`` standard deviation of the features along each.

    Args:
        features: ``[N + 1, F]`` array or memory map, row 0 = padding.
        present: ``[N + 1]`` True where the item has the modality.
        max_axes: Keep at most so many axes, the largest first.
        centred: False leaves the mean in.

    Raises:
        DataError: A present feature is not finite.
    """

    def __init__(
        self,
        features: Float[np.ndarray, "_ _"],
        present: Bool[np.ndarray, " _"],
        *,
        max_axes: int | None = None,
        centred: bool = True,
    ) -> None:
        self.items = np.flatnonzero(present)
        mean, second = _moments(features, self.items)
        if not centred:
            mean = torch.zeros_like(mean)
        variance, axes = torch.linalg.eigh(second - torch.outer(mean, mean))
        scale = variance.clamp(min=0).sqrt().flip(0)[:max_axes]
        is_kept = scale > _SMALLEST_SCALE * scale[:1]
        self.mean = mean.float()
        self.directions = axes.flip(1)[:, :max_axes][:, is_kept].float()
        self.scale = scale[is_kept].float()


class Whitening:
    """Partly whitened features along the axes that they came with.

    What :class:`PrincipalAxes` compares, turned back (ZCA: Bell and Sejnowski, *The "independent components" of
    natural scenes are edge filters*, Vision Research 1997), so that coordinates mean alike in all domains. Each
    item gets the length ``sqrt(F)``: encoders differ in mean and scale, and adapters learn from any alike.

    Args:
        axes: Of the items of one domain.
        power: Of the scales that axes are divided by, 0 (only centred) to 1 (white).
    """

    def __init__(self, axes: Axes, power: float) -> None:
        self.mean = axes.mean
        self.matrix = (axes.directions * axes.scale ** (-power)) @ axes.directions.T

    @classmethod
    def of(cls, mean: Float[Tensor, " F"], matrix: Float[Tensor, "F F"]) -> Whitening:
        """A whitening that was fitted before."""
        known = cls.__new__(cls)
        known.mean, known.matrix = mean, matrix
        return known

    def __call__(self, rows: Float[Tensor, "R F"]) -> Float[Tensor, "R F"]:
        """Whitened features; an item that equals the mean gets zeros."""
        white: Tensor = torch.nn.functional.normalize((rows - self.mean) @ self.matrix, dim=1)
        return white * math.sqrt(rows.shape[1])


class DomainWhitening:
    """Fits a :class:`Whitening` to a modality of a domain, along the domain's own axes.

    Args:
        power: See :class:`Whitening`.
    """

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, domain: Domain, modality: str) -> Whitening:
        """The whitening of one modality.

        Raises:
            DataError: A present feature is not finite.
        """
        try:
            axes = Axes(np.asarray(domain.features(modality)), domain.present(modality))
        except DataError as error:
            raise DataError(f"{domain.path}: {modality} {error}") from error
        domain.release_pages(modality)
        return Whitening(axes, self.power)


class PrincipalAxes(Axes):
    """Features of the items that have the modality, ``coordinates [P, D]`` along their principal axes.

    Whitening by a power p divides each axis by ``scale ** p``: 0 leaves the centred features as they are, 1 gives
    all axes the same weight, and 1/2, in between, keeps what is reliable in the large axes without letting a few
    of them decide every cosine (as eigenvalue weighting does for word vectors: Caron, 2001).

    Args:
        features: see :class:`Axes`, as for the others.
    """

    def __init__(
        self,
        features: Float[np.ndarray, "_ _"],
        present: Bool[np.ndarray, " _"],
        *,
        max_axes: int | None = None,
        centred: bool = True,
    ) -> None:
        super().__init__(features, present, max_axes=max_axes, centred=centred)
        self.coordinates = torch.empty(len(self.items), len(self.scale))
        for start in range(0, len(self.items), _BLOCK_ROWS):
            rows = _read(features, self.items[start : start + _BLOCK_ROWS])
            self.coordinates[start : start + _BLOCK_ROWS] = (rows - self.mean) @ self.directions

    def unit_vectors(self, power: float) -> Float[Tensor, "P D"]:
        """Whitened by ``power`` and of length 1; an item that equals the mean keeps a zero vector."""
        return torch.nn.functional.normalize(self.coordinates * self.scale ** (-power), dim=1)


def whitened(catalogue: Catalogue, modality: str) -> Float[Tensor, "_ _"]:
    """``[N + 1, D]`` half-whitened unit vectors of all items, each domain along its own axes; 0 where missing."""
    return whitened_with_axes(catalogue, modality)[0]


def whitened_with_axes(
    catalogue: Catalogue, modality: str
) -> tuple[Float[Tensor, "_ _"], list[tuple[Float[Tensor, " _"], Float[Tensor, "_ _"]]]]:
    """What :func:`whitened` gives, and per domain that has the modality the mean ``[F]`` and the axes ``[F, D]``.

    A further item's vector is ``(features - mean) @ axes``, of length 1.
    """
    max_axes = AXES_IF_LARGE if catalogue.num_items > LARGE_CATALOGUE else catalogue.feature_dims[modality]
    vectors = torch.zeros(catalogue.num_items + 1, max_axes)
    spaces = []
    for domain, offset in zip(catalogue.domains, catalogue.offsets[:-1], strict=True):
        if modality in domain.modalities and domain.present(modality).any():
            axes = PrincipalAxes(domain.features(modality), domain.present(modality), max_axes=max_axes)
            found = axes.unit_vectors(0.5)
            vectors[torch.from_numpy(axes.items + offset), : found.shape[1]] = found
            spaces.append((axes.mean, axes.directions * axes.scale ** (-0.5)))
    return vectors, spaces


def _moments(
    features: Float[np.ndarray, "_ _"], items: np.ndarray
) -> tuple[Float[Tensor, " F"], Float[Tensor, "F F"]]:
    """Mean of the rows and of their outer products, in float64; of every k-th row where there are many."""
    items = items[:: math.ceil(max(len(items), 1) / _MOMENT_ROWS)]
    width = features.shape[1]
    total, second = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
    for start in range(0, len(items), _BLOCK_ROWS):
        rows = _read(features, items[start : start + _BLOCK_ROWS]).double()
        total += rows.sum(0)
        second += rows.T @ rows
    count = max(len(items), 1)
    return total / count, second / count


def _read(features: Float[np.ndarray, "_ _"], items: np.ndarray) -> Float[Tensor, "R F"]:
    rows = np.asarray(features[items], dtype=np.float32)
    if not (is_finite := np.isfinite(rows).all(1)).all():
        raise DataError(
            f"features of item {items[int(np.argmin(is_finite))]} hold NaN or infinity: extract them again "
            "(`python -m missrec_pl.prepare check` lists all damage)."
        )
    return torch.from_numpy(rows)
