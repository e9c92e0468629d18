"""results.json: what a run measured, in one file."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from missrec_pl import __version__
from missrec_pl.system.files import RESULTS_NAME, whole_file

_PACKAGES = ("torch", "lightning", "hydra-core", "torchmetrics", "pykeops", "numpy")


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    """Write ``results.json`` atomically.

    Args:
        folder: run folder.
        results: plain values; see the README for the schema.

    Returns:
        The file's path.
    """
    target = folder / RESULTS_NAME
    with whole_file(target) as part:
        part.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return target


def protocol(cfg: DictConfig) -> dict[str, Any]:
    """How targets are chosen and ranked; what may not stand beside each other differs here."""
    split = cfg.data.split
    return {
        "mask_history": cfg.metrics.mask_history,
        "compat": cfg.metrics.compat,
        "history_excluded": "strict",  # a target that repeats one of its items is a miss
        "split": split,
        **({"eval_target": cfg.data.eval_target} if split == "global_time" else {}),
        **({"refit": True} if cfg.data.refit else {}),
    }


def score_lines(results: dict[str, Any]) -> list[str]:
    """A table of the test metrics beside the baselines'; nothing if the run tested nothing."""
    prefix = "test/"
    names = [name for name in results["metrics"] if name.startswith(prefix) and "mrr@" not in name]
    if not names:
        return []
    label = f"{results['model']} ({results['setting']}, {results['init'].replace('_', '-')})"
    tested, every = results["num_evaluated_users"], results["num_test_users"]
    part = [f"PARTIAL: {tested:,} of {every:,} test users, the baselines' too"] if tested < every else []
    rows = {**results["baselines"], label: results["metrics"]}
    width = max(len(row) for row in rows)
    heads = [name.removeprefix(prefix) for name in names]
    lines = [" " * width + "".join(f"  {head:>9}" for head in heads)]
    for row, metrics in rows.items():
        lines.append(f"{row:<{width}}" + "".join(f"  {metrics[name]:9.4f}" for name in names))
    return part + lines


def command() -> dict[str, Any]:
    """What this run was started with; outside of Hydra that is nothing.

    Returns:
        ``experiment``: the overlay; ``experiment_model``: the model's config that the overlay, or the default,
        chooses by itself, whatever ``model=`` says; ``overrides``: what the command line says, its references
        not filled in.
    """
    if not HydraConfig.initialized():
        return {"experiment": None, "experiment_model": None, "overrides": []}
    hydra = HydraConfig.get()
    experiment = hydra.runtime.choices.get("experiment")
    return {
        "experiment": None if experiment is None else str(experiment),
        "experiment_model": _experiment_model(hydra),
        "overrides": [str(override) for override in hydra.overrides.task],
    }


def _experiment_model(hydra: HydraConf) -> str | None:
    """The choice of the model without ``model=``; None if nobody can tell."""
    said = [str(override) for override in hydra.overrides.task]
    kept = [override for override in said if not override.lstrip("+").startswith("model=")]
    if kept == said:
        chosen = hydra.runtime.choices.get("model")  # an evaluation chooses none
        return None if chosen is None else str(chosen)
    if not GlobalHydra.instance().is_initialized():
        return None
    loader = GlobalHydra.instance().config_loader()
    try:
        choices = loader.compute_defaults_list(hydra.job.config_name, kept, RunMode.RUN).overrides.known_choices
    except HydraException:  # the overlay cannot do without it
        return None
    return str(choices["model"])


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, with the commit where the package runs from a git checkout."""
    commit = source_commit()
    return {
        "missrec_pl": __version__,
        **({} if commit is None else {"commit": commit}),
        "python": platform.python_version(),
        **_package_versions(),
    }


@cache
def _package_versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


@cache
def source_commit() -> str | None:
    """`commit_of` the tree that this package lies in, as it was when this was first asked."""
    return commit_of(Path(__file__).resolve().parents[3])


def commit_of(root: Path) -> str | None:
    """The commit that a git checkout is at.

    Args:
        root: the top of the checkout.

    Returns:
        40 hex digits, with ``+changes`` behind them where tracked files below ``src`` or ``configs`` differ; None
        where the folder is no checkout, or git is missing.
    """
    found = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if found is None or found.returncode:
        return None
    top, _, commit = found.stdout.strip().rpartition("\n")
    if Path(top).resolve() != root:  # an installed package in somebody else's checkout
        return None
    compared = _git(root, "diff", "--quiet", "HEAD", "--", "src", "configs")
    return commit + ("+changes" if compared is not None and compared.returncode == 1 else "")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    # A git hook that runs us would name its own checkout in these variables.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    said = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        return subprocess.run(said, capture_output=True, text=True, timeout=10, check=False, env=outside)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
