"""Features of items, read from the files of their domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import ConfigError, DataError


def feature_dims_of(domains: Sequence[Domain], modalities: Sequence[str]) -> dict[str, int]:
    """Width of each modality.

    Raises:
        ConfigError: no modality is named.
        DataError: no domain has one of them, or two domains have it in different widths.
    """
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


def read_features(domain: Domain, name: str, rows: np.ndarray, out: Tensor) -> None:
    """Read features of items of a domain from its file.

    Args:
        domain: the domain.
        name: a modality or view.
        rows: ``[R]`` items, from 1.
        out: ``[R, F]``, what to fill, of any type.

    Raises:
        DataError: a row holds NaN or infinity.
    """
    features = np.asarray(domain.features(name))[rows]
    if not _all_finite(features):
        is_finite = np.isfinite(features).all(1)
        raise DataError(
            f"{domain.path}: {name} features of item {rows[int(np.argmin(is_finite))]} hold NaN or infinity: "
            "extract them again (`python -m missrec_pl.prepare check` lists all damage)."
        )
    # torch turns float16 into float32 ten times as fast as NumPy does.
    out.copy_(torch.from_numpy(features))


def _all_finite(features: np.ndarray) -> bool:
    if features.dtype == np.float16:  # all exponent bits set: tested as integers, NumPy computes halves slowly
        return int((features.view(np.uint16) & 0x7FFF).max(initial=0)) < 0x7C00
    return bool(np.isfinite(features).all())
