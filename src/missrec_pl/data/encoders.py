"""Whether features of several domains come from one encoder."""

from __future__ import annotations

from collections.abc import Sequence

from missrec_pl.data.domain_manifest import Manifest
from missrec_pl.errors import DataError


def check_encoders(manifests: Sequence[Manifest], flag: str) -> None:
    """Refuses domains whose features of one modality were made by different encoders.

    Their vectors have no space in common, whatever their width; a model would learn one adapter for both.

    Args:
        manifests: Of the domains of one run.
        flag: What the user may say to have it all the same.

    Raises:
        DataError: Names the modality and who made it in which domain.
    """
    for name in sorted({name for manifest in manifests for name in manifest.modalities}):
        made: dict[str, list[str]] = {}
        for manifest in manifests:
            if name in manifest.modalities:
                made.setdefault(manifest.modalities[name].encoder, []).append(manifest.name)
        if len(made) > 1:
            told = "; ".join(f"{encoder} in {', '.join(domains)}" for encoder, domains in sorted(made.items()))
            raise DataError(
                f"{name} features were made by different encoders ({told}): extract them with one for all domains "
                f"(python -m missrec_pl.prepare features), or pass {flag}"
            )
