"""What a page says of each run, as plain values: its row, its curves, its config, the command that repeats it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from missrec_pl.errors import DataError
from missrec_pl.report.runs.baselines import baseline_rows
from missrec_pl.report.runs.command_lines import command_of
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.variants import STARTS, input_type, origin_in_words, variant
from missrec_pl.system.documents import parse_yaml

Facts = dict[str, Any]

VALIDATION = "val/ndcg@10"
_CURVES = ("val/", "train/", "interest/", "lr")  # beginnings of the columns that are drawn
_CONFIG = Path(".hydra", "config.yaml")
_OF_THE_MACHINE = ("paths", "hydra", "resume", "ckpt", "local", "launch")  # says where, not what
_GROUP = re.compile(r"^(?=\w)", re.MULTILINE)  # a key at the edge begins a group
_MOST_BYTES = 1 << 20
_DIGITS = 5


def labels_of(runs: Sequence[RunResult]) -> list[str]:
    """What tells each run from the tested ones on its data but for the seed; the model where nothing does."""
    columns: dict[str, list[set[str]]] = {}
    for run in (run for run in runs if run.is_tested):
        found = columns.setdefault(run.data, [set() for _ in _parts(run)])
        for values, part in zip(found, _parts(run), strict=True):
            values.add(part)
    labels = []
    for run in runs:
        parts = _parts(run)
        told = [len(values) > 1 for values in columns.get(run.data, [])] if run.is_tested else [True] * len(parts)
        kept = [part for part, is_told in zip(parts, told, strict=True) if is_told and part]
        labels.append(", ".join(kept) or run.model or run.phase)
    return labels


def _parts(run: RunResult) -> tuple[str, ...]:
    return input_type(run), run.model, STARTS.get(run.init, ""), variant(run), origin_in_words(run)


def run_row(number: int, run: RunResult, label: str, place: str, metrics: Sequence[str]) -> Facts:
    """The row of a run in the overview; ``place`` is its folder as the page calls it."""
    return {
        "id": number,
        "data": run.data,
        "phase": run.phase,
        "setting": run.setting,
        "start": STARTS.get(run.init, ""),
        "model": run.model,
        "label": label,
        "experiment": variant(run),
        "seed": run.seed,
        "place": place,
        "validation": rounded(run.metrics.get(VALIDATION)),
        **{metric: rounded(run.metrics.get(f"test/{metric}")) for metric in metrics},
        "epochs": run.epochs or None,
        "seconds": rounded(run.seconds or None),
        "cpu": rounded(run.cpu_seconds),
        "memory": rounded(run.peak_mb),
        "parameters": run.num_params or None,
        "command": command_of(run),
    }


def baseline_facts(runs: Sequence[RunResult], metrics: Sequence[str]) -> tuple[list[Facts], list[str]]:
    """Rows of the simple baselines, and notes where runs disagree on them or lack a metric."""
    rows, notes = [], []
    for data in dict.fromkeys(run.data for run in runs if run.baselines):
        beside = [run for run in runs if run.data == data]
        try:
            found = baseline_rows(beside, metrics)
        except DataError as error:
            notes.append(f"baselines on {data} are left out: {error}")
            continue
        for row in found:
            values = dict(zip(metrics, map(rounded, row.values), strict=True))
            rows.append({"data": data, "phase": "baseline", "model": row.name, "label": row.name, **values})
    return rows, notes


def curves_of(run: RunResult) -> dict[str, list[list[float]]]:
    """Points ``[epoch, value]`` of each curve in the run's ``csv/metrics.csv``; nothing where there is none."""
    file = run.path.parent / "csv" / "metrics.csv"
    if not file.is_file():
        return {}
    try:
        table = csv.read_csv(file)
        epochs = table["epoch"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, KeyError, OSError):
        return {}
    found = {}
    for name in table.column_names:
        if name.startswith(_CURVES) and pa.types.is_floating(table[name].type):
            values = table[name].to_numpy(zero_copy_only=False)
            if points := _epoch_means(epochs, values):
                found[name] = points
    return found


def _epoch_means(epochs: np.ndarray, values: np.ndarray) -> list[list[float]]:
    is_there = np.isfinite(values) & np.isfinite(epochs)
    kept, at = np.unique(epochs[is_there], return_inverse=True)
    sums, counts = np.bincount(at, values[is_there]), np.bincount(at)
    return [[int(epoch), _short(mean)] for epoch, mean in zip(kept, sums / counts, strict=True)]


def config_of(run: RunResult) -> dict[str, str]:
    """The run's config, a dotted key a line, without what is of the machine; nothing where it is not kept."""
    file = run.path.parent / _CONFIG
    try:
        if file.stat().st_size > _MOST_BYTES:
            return {}
        groups = _GROUP.split(file.read_text(encoding="utf-8"))
        flat = {key: value for group in groups for key, value in _flat_group(group).items()}
    except (OSError, UnicodeDecodeError, DataError):
        return {}
    return {key: value for key, value in flat.items() if key.split(".")[0] not in _OF_THE_MACHINE}


@lru_cache(maxsize=4096)
def _flat_group(text: str) -> dict[str, str]:
    """A group of a config; hundreds of runs share most of theirs, and reading YAML is slow."""
    content = parse_yaml(text, "config.yaml", "remove it")
    return dict(_flat(content)) if isinstance(content, Mapping) else {}


def differences(configs: Mapping[int, Mapping[str, str]]) -> Facts:
    """Keys that differ between configs, and each run's values; a run that lacks a key has None there."""
    everything = sorted({key for config in configs.values() for key in config})
    keys = [key for key in everything if len({config.get(key) for config in configs.values()}) > 1]
    return {"keys": keys, "values": {run: [config.get(key) for key in keys] for run, config in configs.items()}}


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            # A path says where things lay on one machine.
            yield f"{prefix}{name}", Path(text).name if text.startswith(("/", "~")) else text


def rounded(value: float | None) -> float | None:
    """A number with as many digits as a table shows."""
    return None if value is None else _short(value)


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
