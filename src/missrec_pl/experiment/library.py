"""Experiments from Python, as in a notebook: compose a config, train, evaluate, read the results as a table.

Nothing of Hydra's global state is changed: it works beside a Hydra program of one's own, and any number of times.
"""

from __future__ import annotations

import csv
import importlib.util
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

import missrec_pl.system.passive_waiting  # noqa: F401 - before torch
from missrec_pl.config.places import config_folder
from missrec_pl.config.stored_values import escaped
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.arguments import ordered, without_null_groups
from missrec_pl.experiment.cli import NOISE, quieten_lightning
from missrec_pl.experiment.old_flags import modern_arguments

_RUN_DIR = "hydra.run.dir="


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it has written everything.
        results: the content of ``results.json``.
    """

    folder: Path
    results: dict[str, Any]

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, for ``ckpt=`` of another run; None where none was kept."""
        kept = self.results.get("checkpoint")
        return None if kept is None else self.folder / kept

    def scores(self) -> Any:
        """The test's metrics, a row for the network and each baseline: a DataFrame, or a list of dicts."""
        rows = {str(self.results["model"] or ""): self.results["metrics"], **self.results["baselines"]}
        return as_table(
            {"name": name, **{key.removeprefix("test/"): value for key, value in row.items() if "test/" in key}}
            for name, row in rows.items()
            if any("test/" in key for key in row)
        )

    def curves(self) -> Any:
        """The validation's metrics and losses of each epoch, as :meth:`scores`; logger=csv writes them."""
        epochs: dict[int, dict[str, Any]] = {}
        for row in self._rows("metrics"):
            values = {name: float(value) for name, value in row.items() if value and name not in ("epoch", "step")}
            if row.get("epoch"):
                epochs.setdefault(int(float(row["epoch"])), {}).update(values)
        return as_table({"epoch": epoch, **values} for epoch, values in sorted(epochs.items()))

    def table(self, name: str) -> Any:
        """A table of the run as :meth:`scores`: ``groups_item_frequency``, ``examples``, ``prototypes``, ..."""
        return as_table(self._rows(name))

    def _rows(self, name: str) -> list[dict[str, str]]:
        file = self.folder / "csv" / f"{name}.csv"
        if not file.is_file():
            known = ", ".join(sorted(one.stem for one in file.parent.glob("*.csv"))) or "nothing: say logger=csv"
            raise ConfigError(f"{file}: there is no such table; the run has {known}.")
        with file.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))


def compose(*overrides: str, config: str = "train", config_dir: str | Path | None = None) -> DictConfig:
    """A config as the command line composes it: ``compose("data=groceries", "trainer.max_epochs=3")``.

    Args:
        *overrides: as on the command line. ``hydra.run.dir=FOLDER`` says where the run goes, by default
            into a dated folder below ``outputs/``.
        config: ``train``, or ``eval``.
        config_dir: a folder with YAML files of your own, beside this project's.

    Raises:
        ConfigError: a group cannot be switched off.
        hydra.errors.HydraException: Hydra's word on an override that it cannot read.
    """
    arguments, _ = modern_arguments(without_null_groups(ordered(overrides), config_folder()))
    if config_dir is not None:
        arguments.append(f"hydra.searchpath=['file://{Path(config_dir).resolve()}']")
    with _without_global_hydra(), initialize_config_dir(str(config_folder()), version_base="1.3", job_name=config):
        cfg = hydra_compose(config, arguments, return_hydra_config=True)
    setup_globals()  # what ${now:} and ${hydra:} mean
    is_named = any(word.startswith(_RUN_DIR) for word in arguments)
    with read_write(cfg), open_dict(cfg):
        cfg.hydra.run.dir = _folder(str(cfg.hydra.run.dir), is_named=is_named)
        cfg.hydra.runtime.output_dir = str(Path(cfg.hydra.run.dir).resolve())
        if OmegaConf.to_container(cfg.paths, resolve=False)["output_dir"] == "${hydra:runtime.output_dir}":  # type: ignore[index,call-overload]
            cfg.paths.output_dir = escaped(cfg.hydra.runtime.output_dir)
    return cfg


def fit(*config: DictConfig | str) -> Run:
    """Train as ``train.py`` does: ``fit(cfg)`` of :func:`compose`, or ``fit("data=groceries", ...)``.

    Raises:
        MissrecError: what the command line would have said in one line.
    """
    from missrec_pl.experiment.train import train

    return _run(train, "train", config)


def evaluate(*config: DictConfig | str) -> Run:
    """Test a checkpoint as ``eval.py`` does: ``evaluate("ckpt=FILE")``, or with a config of :func:`compose`.

    Raises:
        MissrecError: what the command line would have said in one line.
    """
    from missrec_pl.experiment.evaluate import evaluate as test

    return _run(test, "eval", config)


def as_table(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as a pandas DataFrame; a list of dicts where pandas is not installed."""
    kept = [dict(row) for row in rows]
    if importlib.util.find_spec("pandas") is None:
        return kept
    import pandas as pd

    frame = pd.DataFrame(kept)
    return frame.apply(_numbers)


def _numbers(column: Any) -> Any:
    """A column of texts as numbers where all of them are."""
    import pandas as pd

    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


def _run(work: Callable[[DictConfig], dict[str, Any]], name: str, config: Sequence[DictConfig | str]) -> Run:
    words = [one for one in config if isinstance(one, str)]
    if len(words) != len(config) and len(config) > 1:
        raise ConfigError(
            "give one config of compose(), or overrides alone: compose() takes what is to be changed."
        )
    cfg = deepcopy(config[0]) if config and not words else compose(*words, config=name)
    assert isinstance(cfg, DictConfig)
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    with _hydra_of(cfg), warnings.catch_warnings():
        for message in NOISE:
            warnings.filterwarnings("ignore", message=message)
        quieten_lightning()
        results = work(own)
        return Run(Path(own.paths.output_dir), results)


@contextmanager
def _without_global_hydra() -> Iterator[None]:
    """Compose as if nobody had initialised Hydra; what was there is back afterwards."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = before


@contextmanager
def _hydra_of(cfg: DictConfig) -> Iterator[None]:
    """The run knows its own overrides and folder, not those of a Hydra program around it."""
    config: Any = HydraConfig.instance()
    before = config.cfg
    config.cfg = None
    try:
        if "hydra" in cfg:
            config.set_config(cfg)
        yield
    finally:
        config.cfg = before


def _folder(wanted: str, *, is_named: bool) -> str:
    """A folder that nobody has taken, where the user has not named one: the clock shows seconds."""
    folder, number = Path(wanted), 1
    while not is_named and folder.exists():
        folder, number = Path(f"{wanted}-{number}"), number + 1
    if not is_named:
        folder.mkdir(parents=True)  # two configs that are composed at once go to two folders
    return str(folder)
