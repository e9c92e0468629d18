"""The simple baselines of a run: beside a trained model (`baseline_entries`), or alone (``phase=baselines``)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from missrec_pl.baselines import BaselineData, BaselineReport, HeldOut, Options, check_names, evaluate_baselines
from missrec_pl.data.evaluated_users import evaluated_users, write_ranks
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import building
from missrec_pl.experiment.results import peak_rss_mb, protocol, versions, write_results
from missrec_pl.experiment.tracking.facts import run_facts
from missrec_pl.experiment.tracking.outcome import outcome_of
from missrec_pl.experiment.tracking.telling import build_loggers, followed, tell
from missrec_pl.system.files import BASELINE_RANKS_NAME

log = logging.getLogger(__name__)

_PROTOCOLS = {False: "history_included", True: "history_excluded"}


def run_baselines(cfg: DictConfig) -> dict[str, Any]:
    """The phase without a model: rank with the baselines, print their table, write ``results.json``.

    ``baseline_ranks.parquet`` beside it has a line per test user: who it is (see
    :func:`missrec_pl.data.evaluated_users.evaluated_users`) and, for each baseline and protocol, the target's rank
    in a column ``<baseline>/history_included`` or ``<baseline>/history_excluded``.

    Args:
        cfg: the composed config, checked.

    Returns:
        The results, as written.

    Raises:
        ConfigError: several domains, or an unknown baseline.
        DataError: the data is missing or damaged.
    """
    datamodule = building.build_datamodule(cfg)
    if len(datamodule.catalogue.domains) > 1:
        names = [domain.name for domain in datamodule.catalogue.domains]
        raise ConfigError(
            f"phase=baselines ranks the items of one domain, and data={cfg.data.name} has {len(names)} "
            f"({', '.join(names)}): run it once for each."
        )
    check_baselines(cfg, datamodule)
    for line in building.describe_data(datamodule):
        log.info(line)
    loggers, folder = build_loggers(cfg, run_facts(cfg, datamodule)), Path(cfg.paths.output_dir)
    with followed(loggers):
        report = _evaluated(cfg, datamodule, keep_ranks=True)
        results = _results(cfg, datamodule, report)
        for line in table_lines(results):
            log.info(line)
        _write_ranks(folder / BASELINE_RANKS_NAME, report, datamodule)
        log.info("results: %s", write_results(folder, results))
        tell(loggers, outcome_of(results, folder))
    return results


def _results(cfg: DictConfig, datamodule: DomainDataModule, report: BaselineReport) -> dict[str, Any]:
    """What is known when the baselines have ranked."""
    return {
        "phase": cfg.phase.name,
        "data": cfg.data.name,
        "setting": None,
        "model": None,
        "seed": cfg.seed,
        "init": None,
        "ckpt": None,
        "protocol": protocol(cfg),
        "modalities": datamodule.catalogue.modalities,
        **(_plain(cfg.command) if "command" in cfg else {}),
        "metrics": {},
        **_entries(report, is_excluded=bool(cfg.metrics.mask_history)),
        "timing": {"fit_s": None, "epoch_s": [], "interest_refresh_s": [], "test_s": None},
        "peak_rss_mb": peak_rss_mb(),
        "num_params": 0,
        "num_trainable_params": 0,
        "checkpoint": None,
        "data_fingerprints": building.fingerprints(datamodule),
        "versions": versions(),
    }


def check_baselines(cfg: DictConfig, datamodule: DomainDataModule) -> None:
    """Refuse unknown names before anything trains.

    Raises:
        ConfigError: ``baselines.names`` has one that the domain has no baseline for.
    """
    names = OmegaConf.select(cfg, "baselines.names")
    if names is not None and len(datamodule.catalogue.domains) == 1:
        try:
            check_names(list(names), _data(datamodule, datamodule.sequences))
        except ConfigError as error:
            raise ConfigError(f"baselines.names: {error}") from error


def baseline_entries(
    cfg: DictConfig, datamodule: DomainDataModule, rows: EvaluationRows | None = None
) -> dict[str, Any]:
    """What ``results.json`` says of the baselines; for one domain, where a ranking over all items is meant.

    Args:
        cfg: the config.
        datamodule: the data.
        rows: the users that the model was tested on; None for all.

    Returns:
        ``baselines``: name -> metrics under the run's protocol (``metrics.mask_history``);
        ``baselines_history_excluded``, or ``baselines_history_included`` where the run excludes the history:
        the same under the other protocol; ``baseline_settings``: name -> protocol -> the constants chosen on
        validation; ``baselines_left_out``: name -> why; ``baseline_seconds``: name -> wall-clock time.
    """
    if len(datamodule.catalogue.domains) > 1:
        return {"baselines": {}}
    return _entries(_evaluated(cfg, datamodule, rows), is_excluded=bool(cfg.metrics.mask_history))


def _evaluated(
    cfg: DictConfig, datamodule: DomainDataModule, rows: EvaluationRows | None = None, *, keep_ranks: bool = False
) -> BaselineReport:
    names = OmegaConf.select(cfg, "baselines.names")
    limit = OmegaConf.select(cfg, "baselines.max_ease_items")
    sequences, max_history = datamodule.sequences, cfg.data.max_history
    choosing = datamodule.split_sequences(refit=False) if datamodule.refit else sequences
    report = evaluate_baselines(
        _data(datamodule, choosing),
        _held_out(sequences, sequences.test if rows is None else rows, max_history),
        validation=_held_out(choosing, choosing.validation, max_history),
        refit=_data(datamodule, sequences) if datamodule.refit else None,
        names=None if names is None else list(names),
        ks=tuple(cfg.metrics.ks),
        compat=cfg.metrics.compat,
        options=Options() if limit is None else Options(max_ease_items=limit),
        keep_ranks=keep_ranks,
    )
    for name, reason in report.left_out.items():
        log.info("baseline %s is left out: %s", name, reason)
    return report


def _entries(report: BaselineReport, *, is_excluded: bool) -> dict[str, Any]:
    return {
        "baselines": report.metrics(history_excluded=is_excluded),
        f"baselines_{_PROTOCOLS[not is_excluded]}": report.metrics(history_excluded=not is_excluded),
        "baseline_settings": report.settings,
        "baselines_left_out": report.left_out,
        "baseline_seconds": {name: round(seconds, 3) for name, seconds in report.seconds.items()},
    }


def _write_ranks(file: Path, report: BaselineReport, datamodule: DomainDataModule) -> None:
    sequences = datamodule.sequences
    users = evaluated_users(datamodule.catalogue, sequences, sequences.test, datamodule.max_history)
    columns: dict[str, NDArray[np.float32]] = {}
    for name, ranks in report.ranks.items():
        columns |= {f"{name}/{_PROTOCOLS[False]}": ranks.included, f"{name}/{_PROTOCOLS[True]}": ranks.excluded}
    write_ranks(file, users, columns)


def table_lines(results: dict[str, Any]) -> list[str]:
    """The baselines of ``results.json`` as a table: one protocol beside the other."""
    is_excluded = results["protocol"]["mask_history"]
    sides = {
        _PROTOCOLS[is_excluded]: results["baselines"],
        _PROTOCOLS[not is_excluded]: results[f"baselines_{_PROTOCOLS[not is_excluded]}"],
    }
    names = list(results["baselines"])
    width = max(map(len, names), default=0)
    measured: dict[str, float] = next(iter(results["baselines"].values()), {})
    metrics = [metric.removeprefix("test/") for metric in measured if "mrr@" not in metric]
    head = "".join(f"  {metric:>9}" for metric in metrics)
    ordered = [(protocol, sides[protocol]) for protocol in _PROTOCOLS.values()]
    lines = [" " * width + "".join(f"  {protocol.replace('_', ' '):<{len(head)}}" for protocol, _ in ordered)]
    lines.append(" " * width + "".join(f"{head}  " for _ in ordered))
    for name in names:
        cells = ["".join(f"  {side[name][f'test/{metric}']:9.4f}" for metric in metrics) for _, side in ordered]
        lines.append(f"{name:<{width}}" + "  ".join(cells))
    return [line.rstrip() for line in lines]


def _plain(node: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _data(datamodule: DomainDataModule, sequences: GlobalSequences) -> BaselineData:
    catalogue = datamodule.catalogue
    train_items, train_offsets = sequences.training_parts()
    domain = catalogue.domains[0]
    return BaselineData(
        train_items=train_items,
        train_offsets=train_offsets,
        num_items=catalogue.num_items,
        features={name: domain.features(name) for name in catalogue.modalities},
        present={name: domain.present(name) for name in catalogue.modalities},
        texts=domain.texts,
    )


def _held_out(sequences: GlobalSequences, rows: EvaluationRows, max_history: int) -> HeldOut:
    lengths = np.minimum(rows.target, max_history)
    target = sequences.starts[rows.user] + rows.target
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    histories = sequences.stretches(target - lengths, lengths)
    return HeldOut(histories, offsets, sequences.items[target].astype(np.int32))
