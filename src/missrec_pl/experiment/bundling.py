"""What a bundle holds of a run: how network and scorers were built, the encoded catalogue, names, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from missrec_pl import __version__
from missrec_pl.checkpoints.reading import Checkpoint
from missrec_pl.config.targets import imported, in_use, walk
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.fitting.whitening import Whitening
from missrec_pl.modules import TrainingModule
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.items import ItemNames, shortened
from missrec_pl.serving.manifest import BundleManifest
from missrec_pl.serving.registry import PART
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import RESULTS_NAME


def bundle_of(
    run: DictConfig, checkpoint: Checkpoint, file: Path, module: TrainingModule, datamodule: DomainDataModule
) -> Bundle:
    """The bundle of a run whose weights are loaded and whose parts are fitted."""
    whitening = _whitening(datamodule.catalogue)
    recorded = checkpoint.network or {}
    arguments = recorded.get("arguments", building.plain(run.model))
    scorers = {name: in_use(run, "scorers")[name] for name in module.scorers}
    manifest = BundleManifest(
        network={"name": type(module.model).__name__, "arguments": _registered(arguments, file, is_top=True)},
        scorers={
            name: {
                "name": type(module.scorers[name]).__name__,
                "arguments": _registered(building.plain(node), file, is_top=True),
            }
            for name, node in scorers.items()
        },
        shape=vars(module.data),
        temperature=float(module.loss.eval_temperature),
        encoders={
            name: [_without_path(made) for made in by] for name, by in building.encoders(datamodule).items()
        },
        domains=building.fingerprints(datamodule),
        whitening=sorted(whitening),
        metrics=_metrics(file),
        made_by={"missrec_pl": __version__, "torch": str(torch.__version__)},
    )
    names, items = names_of(datamodule), module.encode_catalogue(datamodule.catalogue)
    return Bundle(manifest, module.model, module.scorers, items, names, whitening)


def _registered(value: Any, file: Path, *, is_top: bool = False) -> Any:
    """Arguments of a config with the names of the registry in the place of class paths."""
    if isinstance(value, list | tuple):
        return [_registered(one, file) for one in value]
    if not isinstance(value, Mapping):
        return value
    plain = {str(name): _registered(one, file) for name, one in value.items() if not str(name).startswith("_")}
    if is_top or "_target_" not in value:
        return plain
    return {PART: str(value["_target_"]).rpartition(".")[2], **plain}


def _whitening(catalogue: Catalogue) -> dict[str, dict[str, torch.Tensor]]:
    """What new items' features go through; of a single domain, for several have one each."""
    found = {}
    for modality in catalogue.modalities if len(catalogue.domains) == 1 else ():
        transform = catalogue.transform_of(0, modality)
        if isinstance(transform, Whitening):
            found[modality] = {"mean": transform.mean, "matrix": transform.matrix}
    return found


def names_of(datamodule: DomainDataModule) -> ItemNames:
    """What callers call the items of a data module."""
    items, _ = datamodule.sequences.training_parts()
    domains = datamodule.catalogue.domains
    return ItemNames(
        [one for domain in domains for one in domain.raw_item_ids()[1:]],
        [domain.name for domain in domains for _ in range(domain.num_items)],
        [shortened(text) for domain in domains for text in domain.texts()[1:]],
        np.bincount(items, minlength=datamodule.catalogue.num_items + 1)[1:].astype(np.int64),
    )


def _metrics(file: Path) -> dict[str, float]:
    """The test's metrics in the results of the checkpoint's run; none where there are no results."""
    results = file.parent.parent / RESULTS_NAME
    if not results.is_file():
        return {}
    content = read_json(results, "remove it to export without metrics")
    named = {"metrics": "", "metrics_history_excluded": "/history_excluded"}
    return {
        f"{name}{mark}": value
        for section, mark in named.items()
        for name, value in (content.get(section) or {}).items()
        if isinstance(value, float) and name.startswith("test/")
    }


def _without_path(encoder: str) -> str:
    """An encoder's name without where it lay."""
    is_path = PurePath(encoder).is_absolute() or PureWindowsPath(encoder).is_absolute() or encoder.startswith("~")
    return PureWindowsPath(encoder).name if is_path else encoder


def classes_of(run: DictConfig) -> Iterator[type]:
    """What network and scorers of a run are made of, those of the user's own packages included; all are built."""
    for group in (run.model, run.get("scorers")):
        for _, node in walk(group):
            if isinstance(node, DictConfig) and node.get("_target_") is not None:
                found = imported(str(node["_target_"]))
                if isinstance(found, type):
                    yield found
