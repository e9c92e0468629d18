"""What the ``_target_`` of a stored config may name: classes of this project, and packages that are trusted."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence

from missrec_pl.config.targets import imported
from missrec_pl.errors import ConfigError

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "missrec_pl.nn.missrec": ("ContextEncoder", "IDOnly", "InterestEncoder", "MISSRec", "MISSRecReleased"),
    "missrec_pl.nn.bert4rec": ("BERT4Rec",),
    "missrec_pl.nn.gru4rec": ("GRU4Rec",),
    "missrec_pl.nn.sasrec": ("SASRec",),
    "missrec_pl.nn.unisrec": ("UniSRec",),
    "missrec_pl.nn.vqrec": ("VQRec",),
    "missrec_pl.nn.interests": ("InterestSettings",),
    "missrec_pl.nn.scorers": ("Content", "Cooccurrence", "Popularity", "SeenItems", "Words"),
    "missrec_pl.losses": (
        "BCE",
        "BPR",
        "BPRMax",
        "Contrastive",
        "GBCE",
        "S3Rec",
        "SampledSoftmax",
        "SemiSynthetic",
        "Softmax",
        "TOP1Max",
    ),
    "missrec_pl.nn.hstu": ("HSTU",),
    "missrec_pl.nn.ligr": ("LiGR",),
    "missrec_pl.nn.fdsa": ("FDSA",),
    "missrec_pl.nn.s3rec": ("S3Rec",),
    "missrec_pl.clustering.methods": ("DPCKNN", "KMeans", "KMeansReleased", "NoInterests", "RandomTokens"),
    "missrec_pl.data.augmentations": ("FeatureDropout", "ItemDrop", "WordDrop"),
    "missrec_pl.data.augmentations_released": ("ReleasedViews",),
    "missrec_pl.data.sources": ("DomainFolders", "ReleasedFolder", "released_folders"),
    "missrec_pl.data.synthetic": ("SyntheticDomains",),
    "missrec_pl.data.synthetic.paper_size": ("PaperSizeDomains",),
    "missrec_pl.prepare.groceries": ("GroceryDomains",),
    "missrec_pl.datamodules": ("DomainDataModule",),
    "missrec_pl.modules": ("TrainingModule",),
    "missrec_pl.callbacks": ("InterestRefresh",),
    "missrec_pl.callbacks.interest_refresh": ("InterestRefresh",),
}
"""Per module the names that an evaluation may build, and no other name that the module happens to import."""

_PROJECT = "missrec_pl"
# Nobody's own code: to trust one of these would be to trust every function in it.
_NOBODYS = frozenset({*sys.stdlib_module_names, _PROJECT, "hydra", "omegaconf"})


def trusted_packages(trust: Sequence[str] | str | None, trust_as: str) -> tuple[str, ...]:
    """The packages that the user trusts.

    Args:
        trust: their names, or one name.
        trust_as: how a package is named where the user speaks, with ``{}`` for its name.

    Raises:
        ConfigError: a name that is no package's, or that of Python itself, of Hydra or of this project.
    """
    names = tuple(map(str, [trust] if isinstance(trust, str) else trust or ()))
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")) or name.partition(".")[0] in _NOBODYS:
            raise ConfigError(
                f"{trust_as.format(name)}: is no package of your own; name the one that holds your classes."
            )
    return names


def is_own(name: str) -> bool:
    """Whether a name is a class of this project that an evaluation may build."""
    module, _, short = name.rpartition(".")
    return short in ALLOWED.get(module, ())


def objection(name: str, trusted: Sequence[str], trust_as: str) -> str | None:
    """Why a stored config may not name this; None where it may.

    Nothing is imported but from packages that are trusted.

    Args:
        name: a ``_target_``.
        trusted: packages that the user trusts.
        trust_as: as in :func:`trusted_packages`.
    """
    if is_own(name):
        return None
    if (package := trusted_package_of(name, trusted)) is not None:
        return _leads_elsewhere(name, package)
    first = name.partition(".")[0]
    if first == _PROJECT:
        return "which is none of the classes of this project that a checkpoint may name; do not use it"
    if first in _NOBODYS or not first.isidentifier():
        return "which no run of this project needs; do not use it"
    return f"which is not this project's; if you trust the package {first}, say {trust_as.format(first)}"


def trusted_package_of(name: str, trusted: Sequence[str]) -> str | None:
    """The trusted package that a name lies in; None where it lies in none."""
    return next((package for package in trusted if name.startswith(f"{package}.")), None)


def is_at_evaluation(name: str) -> bool:
    """Whether a callback, which is allowed or trusted, declares to belong to evaluations (``at_evaluation``)."""
    return getattr(imported(name), "at_evaluation", False) is True


def _leads_elsewhere(name: str, package: str) -> str | None:
    try:
        found = imported(name)
    except Exception as error:  # the package's own code runs here
        return f"which cannot be imported ({type(error).__name__}: {' '.join(str(error).split())})"
    home = getattr(found, "__module__", None)
    if not isinstance(home, str) or not _within(home, package):
        return f"which is not defined in {package} but in {home or 'no module'}; do not use it"
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        return "which is neither a class nor a function"
    return None


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
