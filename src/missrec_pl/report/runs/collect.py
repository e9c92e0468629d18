"""Find results.json files and read them into checked records."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.report.runs.fields import mapping, numbers, require, strings, whole_number
from missrec_pl.report.runs.origin import Origin, read_origin
from missrec_pl.system.files import RESULTS_NAME

PRETRAIN = "pretrain"
BASELINES = "baselines"
EVALUATION = "eval"
HISTORY_EXCLUDED = "/history_excluded"
"""Behind a metric's name: of the protocol where the history's items are no candidates."""
UNTESTED = "runs without test metrics"
INITS = ("scratch", "zero_shot", "pretrained")

_COMMON_KEYS = ("phase", "data", "model", "seed", "metrics", "timing")
_FINETUNE_KEYS = ("setting", "init", "baselines")


class NoRunsError(DataError):
    """Where runs were looked for there are none, or none of the kind that was asked for."""


@dataclass(frozen=True)
class RunResult:
    """What a report needs of one results.json.

    Attributes:
        path: The file it was read from.
        phase: `pretrain`, `baselines` (they alone), or what tests a model (`finetune`, ...).
        data: The data set, several joined by ``+``; deviations from the default protocol in brackets.
        model: The model's name; empty for baselines alone, as are setting and init.
        seed: The run's seed.
        setting: `inductive` or `transductive`; empty when pre-training.
        init: `scratch` or `pretrained`; empty when pre-training.
        metrics: ``{"val/ndcg@10": ..., "test/recall@10": ...}``.
        baselines: Baseline -> its metrics, named like the run's.
        history_excluded: The run's test metrics where the history's items are no candidates; empty in results of
            earlier versions.
        baselines_history_excluded: The same of each baseline.
        seconds: Wall-clock seconds of the fit; 0 where there was none (`fit_s` is null: evaluation alone).
        protocol: Deviations from the default protocol, e.g. ``("compat",)``.
        modalities: What the items are described by, in the paper's order; no modality is IDs alone.
        interest: Method and number (or share) of the prototypes; None in results of earlier versions.
        experiment: The overlay below ``configs/experiment`` that the run was started with; empty without one.
        overrides: What the command line said beside it.
        experiment_model: The model's config that the overlay, or the default, chooses by itself; empty in results
            of earlier versions.
        origin: What made the checkpoint that it started from; None from scratch and in results of earlier
            versions.
        epochs: Epochs trained.
        cpu_seconds: Processor seconds of the fit; None in results of earlier versions, and where there was none.
    """

    path: Path
    phase: str
    data: str
    model: str
    seed: int
    setting: str
    init: str
    metrics: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    history_excluded: Mapping[str, float]
    baselines_history_excluded: Mapping[str, Mapping[str, float]]
    seconds: float
    protocol: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    interest: tuple[str, int | float] | None = None
    experiment: str = ""
    overrides: tuple[str, ...] = ()
    experiment_model: str = ""
    origin: Origin | None = None
    epochs: int = 0
    cpu_seconds: float | None = None

    @property
    def is_tested(self) -> bool:
        """Whether it holds a model's test metrics."""
        return self._may_test and any(name.startswith("test/") for name in self.metrics)

    @property
    def is_untested(self) -> bool:
        """Whether it could hold a model's test metrics and holds none: ``test=false``, trials of a search."""
        return self._may_test and not self.is_tested

    @property
    def _may_test(self) -> bool:
        return self.phase not in (PRETRAIN, BASELINES)

    @property
    def data_name(self) -> str:
        """The data set without the deviations in brackets."""
        return self.data.removesuffix(_in_brackets(self.protocol))


def untested_note(results: Iterable[RunResult]) -> list[str]:
    """A line that counts what a table of test metrics leaves out; nothing where it leaves out nothing."""
    number = sum(result.is_untested for result in results)
    return [f"left out: {number} of {UNTESTED}"] if number else []


def collect(paths: Iterable[Path]) -> list[RunResult]:
    """Read every results.json named by, or lying anywhere below, the paths (each file once, sorted by path).

    Raises:
        NoRunsError: A path does not exist, or no results are found.
        DataError: A file is damaged or incomplete.
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
    """Read one file.

    Raises:
        DataError: The file is not JSON, lacks a key, or holds a value of the wrong kind.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: invalid JSON ({error.msg}): repeat or remove the run") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    is_pretrain = content.get("phase") == PRETRAIN
    has_start = not is_pretrain and content.get("phase") != BASELINES
    require(path, content, _COMMON_KEYS if is_pretrain else _COMMON_KEYS + _FINETUNE_KEYS)
    is_excluded = "mask_history" in (protocol := _deviations(path, content))
    timing = mapping(path, "timing", content["timing"])
    require(path, timing, ("fit_s",), within="timing.")
    init = str(content["init"]) if has_start else ""
    if has_start and init not in INITS:
        raise DataError(f"{path}: init is {init!r}, expected one of {', '.join(INITS)}")
    return RunResult(
        path=path,
        phase=str(content["phase"]),
        data=_data_name(content) + _in_brackets(protocol),
        model=str(content["model"] or ""),
        seed=whole_number(path, "seed", content["seed"]),
        setting=str(content["setting"]) if has_start else "",
        init=init,
        metrics=numbers(path, "metrics", content["metrics"]),
        baselines={} if is_pretrain else _baselines(path, content, "baselines"),
        history_excluded=numbers(path, "metrics_history_excluded", content.get("metrics_history_excluded", {})),
        baselines_history_excluded=_baselines(
            path, content, "baselines" if is_excluded else "baselines_history_excluded"
        ),
        seconds=numbers(path, "timing", {"fit_s": timing["fit_s"] or 0})["fit_s"],
        protocol=protocol,
        modalities=strings(path, "modalities", content.get("modalities", [])),
        interest=_interest(path, content.get("interest")),
        experiment=str(content.get("experiment") or ""),
        overrides=strings(path, "overrides", content.get("overrides", [])),
        experiment_model=str(content.get("experiment_model") or ""),
        origin=read_origin(path, "ckpt_origin", content.get("ckpt_origin"), str(content["model"] or "")),
        epochs=len(timing.get("epoch_s", [])),
        cpu_seconds=numbers(path, "timing", {"s": timing.get("fit_cpu_s") or 0})["s"] or None,
    )


def _baselines(path: Path, content: Mapping[str, Any], key: str) -> dict[str, dict[str, float]]:
    baselines = mapping(path, key, content.get(key, {}))
    return {name: numbers(path, f"{key}.{name}", values) for name, values in baselines.items()}


def _interest(path: Path, value: Any) -> tuple[str, int | float] | None:
    if value is None:
        return None
    fields = mapping(path, "interest", value)
    require(path, fields, ("method", "num_prototypes"), within="interest.")
    numbers(path, "interest", {"num_prototypes": fields["num_prototypes"]})
    return str(fields["method"]), fields["num_prototypes"]


def _data_name(content: Mapping[str, Any]) -> str:
    names = content["data"] if isinstance(content["data"], list) else [content["data"]]
    return "+".join(map(str, names))


def _deviations(path: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    """What another protocol evaluated is told apart: such numbers must never be averaged."""
    protocol = mapping(path, "protocol", content.get("protocol", {}))
    return tuple(name for name, is_on in protocol.items() if is_on)


def _in_brackets(protocol: tuple[str, ...]) -> str:
    return f" ({', '.join(protocol)})" if protocol else ""
