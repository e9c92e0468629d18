"""Item tokens and interest prototypes of a run on a plane."""

import importlib.util

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from missrec_pl.experiment.interests.stored import StoredInterests
from missrec_pl.report.page.facts import Facts
from missrec_pl.report.page.pictures import Pictures

_MOST_TOKENS, _MOST_PROTOTYPES = 3000, 400
_TITLE = 90
_DIGITS = 4


def map_of(stored: StoredInterests, pictures: Pictures, method: str = "auto") -> Facts:
    """Points of a sample of the tokens and of the largest prototypes.

    Args:
        stored: the interests.
        pictures: of the items.
        method: ``pca``, ``umap``, or ``auto`` for UMAP where it is installed.
    """
    generator = torch.Generator().manual_seed(stored.seed)
    kept = torch.randperm(len(stored.tokens), generator=generator)[:_MOST_TOKENS].sort().values
    sizes = stored.assignment.bincount(minlength=len(stored.prototypes))
    largest = sizes.argsort(descending=True, stable=True)[:_MOST_PROTOTYPES]
    largest = largest[sizes[largest] > 0]
    vectors = F.normalize(torch.cat([stored.tokens[kept], stored.prototypes[largest]]).float(), dim=1)
    place = on_plane(vectors.numpy().astype(np.float64), method, stored.seed)
    tokens = [
        {
            "x": x,
            "y": y,
            "kind": "item token",
            "interest": int(stored.assignment[row]) + 1,
            "modality": stored.modalities[int(stored.modality[row])],
            "title": _short(stored.titles[int(stored.item[row])]),
            "image": pictures.of(int(stored.item[row])),
        }
        for row, (x, y) in zip(kept.tolist(), place.tolist(), strict=False)
    ]
    prototypes = [
        {
            "x": x,
            "y": y,
            "kind": "prototype",
            "interest": row + 1,
            "size": int(sizes[row]),
            "modality": "prototype",
        }
        for row, (x, y) in zip(largest.tolist(), place[len(kept) :].tolist(), strict=True)
    ]
    return {
        "method": "UMAP" if _is_umap(method) else "PCA",
        "numTokens": len(stored.tokens),
        "numPrototypes": len(stored.prototypes),
        "tokens": tokens,
        "prototypes": prototypes,
    }


def on_plane(vectors: NDArray[np.float64], method: str, seed: int) -> NDArray[np.float64]:
    """``[P, 2]`` places of vectors ``[P, D]``: their two main directions, or UMAP's."""
    if _is_umap(method):
        from umap import UMAP

        place = UMAP(metric="cosine", random_state=seed, n_jobs=1).fit_transform(vectors)
    else:
        centred = vectors - vectors.mean(0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        place = centred @ directions[:2].T
        place = np.pad(place, ((0, 0), (0, 2 - place.shape[1])))
    rounded: NDArray[np.float64] = np.asarray(place, np.float64).round(_DIGITS)
    return rounded


def _is_umap(method: str) -> bool:
    return method == "umap" or (method == "auto" and importlib.util.find_spec("umap") is not None)


def _short(title: str) -> str:
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1].rstrip()}…"
