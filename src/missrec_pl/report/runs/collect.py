"""Find results.json files and read them into checked records."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.report.output import HISTORY_EXCLUDED, LENIENTLY
from missrec_pl.report.runs.records import BASELINES, INITS, PRETRAIN, RunResult, Training, Trial
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import RESULTS_NAME

_COMMON_KEYS = ("phase", "data", "model", "seed", "metrics", "timing")
_FINETUNE_KEYS = ("setting", "init", "baselines")
MASKED = "mask_history"
_SPLIT = "leave_one_out"  # the default


class NoRunsError(DataError):
    """There are no runs in the place, or none of the kind asked for."""


def collect(paths: Iterable[Path]) -> list[RunResult]:
    """Read every results.json named by, or lying anywhere below, the paths (each file once, sorted by path).

    A `NoRunsError` if a path does not exist or there are no results, a `DataError` if a file is damaged.
    """
    paths = list(paths)
    files = {file.resolve(): file for path in paths for file in _files_of(path)}
    if not files:
        raise NoRunsError(
            f"no {RESULTS_NAME} below {', '.join(map(str, paths)) or 'no path'}: "
            "name run directories (each finished run writes one) or the files themselves"
        )
    return [read_result(files[key]) for key in sorted(files)]


def _files_of(path: Path) -> list[Path]:
    if not path.exists():
        raise NoRunsError(f"{path} does not exist: name run directories or {RESULTS_NAME} files")
    return [path] if path.is_file() else list(path.rglob(RESULTS_NAME))


def read_result(path: Path) -> RunResult:
    """Read one file; a `DataError` if it is not JSON, lacks a key, or holds a value of the wrong kind."""
    fields = _Fields(path, _json_object(path))
    phase = fields.text("phase")
    fields.require(_COMMON_KEYS if phase == PRETRAIN else _COMMON_KEYS + _FINETUNE_KEYS)
    timing = fields.inner("timing")
    timing.require(("fit_s",))
    protocol = (*_protocol(fields.inner("protocol").values), *_partial(fields))
    excluded = HISTORY_EXCLUDED + ("" if is_strict(fields.inner("protocol").values) else LENIENTLY)
    model = fields.text("model")
    has_start = phase not in (PRETRAIN, BASELINES)
    init = fields.text("init") if has_start else ""
    if has_start and init not in INITS:
        raise DataError(f"{path}: init is {init!r}, expected one of {', '.join(INITS)}")
    names = fields.values["data"]
    data = "+".join(map(str, names if isinstance(names, list) else [names]))
    return RunResult(
        path=path,
        phase=phase,
        data=f"{data} ({', '.join(protocol)})" if protocol else data,
        data_name=data,
        model=model,
        seed=fields.whole_number("seed"),
        setting=fields.text("setting") if has_start else "",
        init=init,
        metrics=_both(
            fields.inner("metrics").numbers(), fields.inner("metrics_history_excluded").numbers(), excluded
        )
        | fields.inner("metrics_beyond_accuracy").numbers(),
        baselines={}
        if phase == PRETRAIN
        else _baselines(fields, bool(protocol) and protocol[0].startswith(MASKED), excluded),
        is_strict=excluded == HISTORY_EXCLUDED,
        seconds=timing.seconds("fit_s"),
        protocol=protocol,
        modalities=fields.strings("modalities"),
        reads=fields.strings("reads"),
        interest=_interest(fields),
        experiment=fields.text("experiment"),
        overrides=fields.strings("overrides"),
        experiment_model=fields.text("experiment_model"),
        origin=_origin(fields, model),
        epochs=len(timing.values.get("epoch_s", [])),
        cpu_seconds=timing.seconds("fit_cpu_s") or None,
        peak_mb=fields.number("peak_rss_mb") if fields.values.get("peak_rss_mb") else None,
        num_params=fields.whole_number("num_params") if fields.values.get("num_params") else 0,
        best_epoch=None if fields.values.get("best_epoch") is None else fields.whole_number("best_epoch"),
        trial=_trial(fields),
    )


def is_strict(protocol: Mapping[str, Any]) -> bool:
    """Whether a target that repeats an item of an excluded history is a miss; version 0.1 kept it a candidate."""
    return protocol.get("history_excluded") == "strict"


def _protocol(protocol: Mapping[str, Any]) -> list[str]:
    """In what it deviates from the default one, so that no table sets both side by side."""
    found = [name for name in (MASKED, "compat") if protocol.get(name)]
    if MASKED in found and not is_strict(protocol):
        found[0] = MASKED + LENIENTLY
    found += ["refit"] if protocol.get("refit") else []
    split = protocol.get("split", _SPLIT)
    return found + ([] if split == _SPLIT else [f"{split}, {protocol.get('eval_target', 'first')}"])


def _partial(fields: "_Fields") -> list[str]:
    """What tells a test of some of the users from a test of all, so that no table sets them side by side."""
    if "num_evaluated_users" not in fields.values or "num_test_users" not in fields.values:
        return []  # of an earlier version, which tested all
    tested, every = fields.whole_number("num_evaluated_users"), fields.whole_number("num_test_users")
    return [f"PARTIAL: {tested:,} of {every:,} test users"] if 0 < tested < every else []


@dataclass(frozen=True)
class _Fields:
    """An object of a results.json. Each value is checked as it is read; a message names the file and the field."""

    path: Path
    values: Mapping[str, Any]
    name: str = ""  # of the object, with a dot behind; empty for the whole file

    def require(self, keys: Iterable[str]) -> None:
        if missing := [self.name + key for key in keys if key not in self.values]:
            raise DataError(
                f"{self.path}: lacks {', '.join(missing)}: written by another version, or not by a run"
            )

    def text(self, key: str) -> str:
        return str(self.values.get(key) or "")

    def inner(self, key: str) -> "_Fields":
        value = self.values.get(key, {})
        self._check(isinstance(value, dict), key, "an object", value)
        return _Fields(self.path, value, f"{self.name}{key}.")

    def number(self, key: str) -> Any:
        value = self.values[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        self._check(is_number and math.isfinite(value), key, "a finite number", value)
        return value

    def whole_number(self, key: str) -> int:
        value = self.values[key]
        self._check(isinstance(value, int) and not isinstance(value, bool), key, "a whole number", value)
        return int(value)

    def numbers(self) -> dict[str, float]:
        return {key: float(self.number(key)) for key in self.values}

    def seconds(self, key: str) -> float:
        return float(self.number(key)) if self.values.get(key) else 0.0

    def strings(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        is_right = isinstance(value, list) and all(isinstance(one, str) for one in value)
        self._check(is_right, key, "a list of strings", value)
        return tuple(value)

    def _check(self, is_right: bool, key: str, kind: str, value: Any) -> None:
        if not is_right:
            raise DataError(f"{self.path}: {self.name}{key} must be {kind}, found {value!r}")


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, "repeat or remove the run")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def _baselines(fields: _Fields, is_masked: bool, suffix: str) -> dict[str, dict[str, float]]:
    """Metrics of each baseline; where the protocol itself excludes the history, both kinds are the same."""
    own, excluded = (
        {name: values.inner(name).numbers() for name in values.values}
        for values in (fields.inner("baselines"), fields.inner("baselines_history_excluded"))
    )
    return {
        name: _both(metrics, (own if is_masked else excluded).get(name, {}), suffix)
        for name, metrics in own.items()
    }


def _both(own: Mapping[str, float], excluded: Mapping[str, float], suffix: str) -> dict[str, float]:
    return {**own, **{name + suffix: value for name, value in excluded.items()}}


def _interest(fields: _Fields) -> tuple[str, Any] | None:
    if fields.values.get("interest") is None:
        return None
    interest = fields.inner("interest")
    interest.require(("method", "num_prototypes"))
    return interest.text("method"), interest.number("num_prototypes")


def _trial(fields: _Fields) -> Trial | None:
    """The place of a record in the comparison of networks."""
    if fields.values.get("comparison") is None:
        return None
    found = fields.inner("comparison")
    found.require(("stage", "column", "rate", "dropout"))
    return Trial(found.text("stage"), found.text("column"), found.number("rate"), found.number("dropout"))


def _origin(fields: _Fields, model: str) -> Training | None:
    """What made the checkpoint, ``ckpt_origin``; its model is the run's."""
    if fields.values.get("ckpt_origin") is None:
        return None
    origin = fields.inner("ckpt_origin")
    origin.require(("phase", "data", "setting"))
    return Training(
        phase=origin.text("phase"),
        data=origin.text("data"),
        setting=origin.text("setting"),
        model=model,
        experiment=origin.text("experiment"),
        experiment_model=origin.text("experiment_model"),
        overrides=origin.strings("overrides"),
        origin=_origin(origin, model),
    )
