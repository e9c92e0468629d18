"""Whether features of several domains come from one encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.errors import DataError

UNKNOWN = "released:"
"""How the encoders of released folders begin: their files do not say who made them."""


def encoders_of(manifests: Iterable[Manifest]) -> dict[str, list[str]]:
    """Per modality the encoders of its features, each once, in alphabetical order."""
    made: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, info in manifest.modalities.items():
            made.setdefault(name, set()).add(info.encoder)
    return {name: sorted(encoders) for name, encoders in sorted(made.items())}


def other_encoders(theirs: Mapping[str, Sequence[str]], ours: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Modalities that were made by other encoders there than here, and what to say of it.

    An encoder that nobody knows (:data:`UNKNOWN`) may be any, and is taken at its word.

    Args:
        theirs: what :func:`encoders_of` said of the data of a checkpoint.
        ours: what it says of the data at hand.
    """
    told = {}
    for name in sorted(theirs.keys() & ours.keys()):
        there, here = theirs[name], ours[name]
        is_known = not any(encoder.startswith(UNKNOWN) for encoder in (*there, *here))
        if is_known and not set(here) <= set(there):
            told[name] = f"features by {', '.join(there)} in the checkpoint, by {', '.join(here)} here"
    return told


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
