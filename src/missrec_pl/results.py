"""results.json: what a run measured, in one file."""

from __future__ import annotations

import json
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from missrec_pl import __version__
from missrec_pl.run_files import RESULTS_NAME, whole_file

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


def score_lines(results: dict[str, Any]) -> list[str]:
    """A table of the test metrics beside the baselines'; nothing if the run tested nothing."""
    prefix = "test/"
    names = [name for name in results["metrics"] if name.startswith(prefix)]
    if not names:
        return []
    label = f"{results['model']} ({results['setting']}, {results['init'].replace('_', '-')})"
    rows = {**results["baselines"], label: results["metrics"]}
    width = max(len(row) for row in rows)
    heads = [name.removeprefix(prefix) for name in names]
    lines = [" " * width + "".join(f"  {head:>9}" for head in heads)]
    for row, metrics in rows.items():
        lines.append(f"{row:<{width}}" + "".join(f"  {metrics[name]:9.4f}" for name in names))
    return lines


def command() -> dict[str, Any]:
    """The experiment overlay and the overrides that this run was started with; outside of Hydra there are none."""
    if not HydraConfig.initialized():
        return {"experiment": None, "overrides": []}
    hydra = HydraConfig.get()
    experiment = hydra.runtime.choices.get("experiment")
    return {
        "experiment": None if experiment is None else str(experiment),
        "overrides": [str(override) for override in hydra.overrides.task],
    }


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024**2), 1)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "missrec_pl": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
