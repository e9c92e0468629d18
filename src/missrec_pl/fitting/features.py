"""Features as the simple methods compare them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.fitting.sequence_pairs import LARGE_CATALOGUE
from missrec_pl.fitting.whitening import AXES_IF_LARGE, PrincipalAxes

_WHITENING = 0.5


def whitened(catalogue: Catalogue, modality: str) -> Float[Tensor, "_ _"]:
    """``[N + 1, D]`` half-whitened unit vectors of all items, each domain along its own axes; 0 where missing."""
    max_axes = AXES_IF_LARGE if catalogue.num_items > LARGE_CATALOGUE else catalogue.feature_dims[modality]
    vectors = torch.zeros(catalogue.num_items + 1, max_axes)
    for domain, offset in zip(catalogue.domains, catalogue.offsets[:-1], strict=True):
        if modality in domain.modalities and domain.present(modality).any():
            axes = PrincipalAxes(domain.features(modality), domain.present(modality), max_axes=max_axes)
            found = axes.unit_vectors(_WHITENING)
            vectors[torch.from_numpy(axes.items + offset), : found.shape[1]] = found
    return vectors
