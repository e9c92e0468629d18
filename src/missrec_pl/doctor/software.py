"""Versions of Python and of the packages; releases that are known to be bad."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.version import Version

from missrec_pl.doctor.findings import OK, PROBLEM, WARNING, Finding

# Package, versions, why, what to do.
KNOWN_BAD = (
    (
        "lightning",
        "==2.6.2",
        "a malicious upload",
        "remove it, change every secret of this machine, install 2.6.6",
    ),
    (
        "lightning",
        "==2.6.3",
        "a malicious upload",
        "remove it, change every secret of this machine, install 2.6.6",
    ),
    ("pytorch-lightning", "==2.6.2", "a malicious upload", "remove it, change every secret of this machine"),
    ("pytorch-lightning", "==2.6.3", "a malicious upload", "remove it, change every secret of this machine"),
    ("optuna", ">=5", "not supported by the Optuna sweeper", "pip install 'optuna<5'"),
)


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    found = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding(OK, "python", found)
    else:
        yield Finding(PROBLEM, "python", f"{found} is not supported", "use Python 3.11, 3.12 or 3.13")


def check_packages() -> Iterator[Finding]:
    """What pyproject.toml asks for, and what of it is there."""
    try:
        wanted = [Requirement(line) for line in requires("missrec-pl") or []]
    except PackageNotFoundError:
        yield Finding(WARNING, "packages", "missrec-pl is not installed", "pip install -c constraints.txt -e .")
        return
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _installed(requirement.name)
        if found is None:
            yield Finding(PROBLEM, requirement.name, "is not installed", f"pip install '{requirement}'")
        elif not requirement.specifier.contains(found, prereleases=True):
            remedy = f"pip install '{requirement.name}{requirement.specifier}'"
            yield Finding(PROBLEM, requirement.name, f"{found} is not {requirement.specifier}", remedy)
        else:
            yield Finding(OK, requirement.name, found)


def check_known_bad() -> Iterator[Finding]:
    """Releases that must not be here."""
    for name, versions, why, remedy in KNOWN_BAD:
        found = _installed(name)
        if found is not None and Requirement(f"{name}{versions}").specifier.contains(Version(found)):
            yield Finding(PROBLEM, name, f"{found} is {why}", remedy)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
