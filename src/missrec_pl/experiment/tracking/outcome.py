"""What came of a run, from its results: the numbers, and the tables beside them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from missrec_pl.config.shared import shared
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment.tracking.tables import comparison, examples, groups, prototypes
from missrec_pl.loggers.facts import Outcome, Table
from missrec_pl.modules.ranking import RankingModule
from missrec_pl.modules.training import TrainingModule
from missrec_pl.nn.interests import InterestTable
from missrec_pl.system.files import RANKS_NAME

log = logging.getLogger(__name__)

_EXCLUDED = "metrics_history_excluded"


def scalars_of(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of ``results.json`` by one level of names.

    ``test/...`` is the test's, ``best/...`` the validation of the epoch that was kept, ``baseline/NAME/...`` a
    baseline's test under the run's protocol.
    """
    metrics = results["metrics"]
    found = {name: value for name, value in metrics.items() if name.startswith("test/")}
    found |= {name.replace("val/", "best/", 1): v for name, v in metrics.items() if name.startswith("val/")}
    found |= {
        name.replace("test/", "test_history_excluded/", 1): v for name, v in results.get(_EXCLUDED, {}).items()
    }
    for baseline, values in results["baselines"].items():
        found |= {name.replace("test/", f"baseline/{baseline}/", 1): value for name, value in values.items()}
    timing = results["timing"]
    epochs, refreshes = timing["epoch_s"], timing["interest_refresh_s"]
    found |= {f"timing/{name}": value for name, value in timing.items() if isinstance(value, int | float)}
    if epochs:
        found |= {"timing/epochs": len(epochs), "timing/epoch_s": sum(epochs) / len(epochs)}
    if refreshes:
        found["timing/interest_refresh_s"] = sum(refreshes)
    found |= {
        "memory/peak_rss_mb": results["peak_rss_mb"],
        "params/total": results["num_params"],
        "params/trainable": results["num_trainable_params"],
    }
    if torch.cuda.is_available():
        found["memory/peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 1024**2
    return {name: float(value) for name, value in found.items() if value is not None}


def outcome_of(
    results: Mapping[str, Any],
    folder: Path,
    *,
    module: RankingModule | None = None,
    datamodule: DomainDataModule | None = None,
    epoch: int | None = None,
) -> Outcome:
    """The outcome of a run whose results are written.

    Args:
        results: as written.
        folder: of the run.
        module: what was tested, still on its device; None for the baselines.
        datamodule: its data.
        epoch: of the best checkpoint, from 0.
    """
    tables: dict[str, Table] = {}
    if results["baselines"]:
        tables["comparison"] = comparison(results)
    if (ranks := folder / RANKS_NAME).is_file() and results["metrics"]:
        tables |= groups(ranks, results)
    sizes: list[int] = []
    if module is not None and datamodule is not None:
        if results.get("num_evaluated_users"):
            tables["examples"] = examples(module, datamodule)
        if isinstance(module, TrainingModule) and (table := interests(module)) is not None:
            sizes = table.sizes.tolist()
            tables["prototypes"] = prototypes(module, datamodule, int(results["seed"]))
    kept = results["checkpoint"]
    file = None if kept is None else folder / kept
    return Outcome(
        scalars=scalars_of(results),
        tables=tables,
        sizes=sizes,
        results=shared(dict(results)),
        checkpoint=file if file is not None and file.is_file() else None,
        epoch=epoch,
    )


def interests(module: TrainingModule) -> InterestTable | None:
    """The network's table of interests; None where it has none, or an empty one."""
    table = dict(module.model.fitted).get("interests")
    return table if isinstance(table, InterestTable) and not table.is_empty else None
