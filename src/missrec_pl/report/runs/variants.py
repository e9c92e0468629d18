"""What tells runs apart beside data, setting, start, model and seed."""

from missrec_pl.report.runs.collect import RunResult

STARTS = {"scratch": "from scratch", "zero_shot": "zero-shot", "pretrained": "pre-trained"}

_LETTERS = {"text": "T", "image": "V"}  # as the paper's tables call them
_IDS_ALONE = "IDOnly"  # the network that reads no features, whatever the data offers
# Overrides that other fields of a result repeat.
_SAID_ELSEWHERE = (
    *("phase", "data", "data.name", "setting", "seed", "ckpt", "resume"),
    *("metrics.mask_history", "metrics.compat"),
)
# Overrides that say where and how a run is made, not what it measures.
_WITHOUT_EFFECT = (
    *("test", "optimized_metric", "metrics.ks", "data.num_workers", "data.eval_batch_size"),
    *("trainer", "trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.num_nodes"),
    *("features", "features.residency", "interest.method.backend"),
)
_GROUPS_WITHOUT_EFFECT = (
    "paths",
    "hydra",
    "logger",
    "local",
    "launch",
    "callbacks.progress",
    "callbacks.last_checkpoint",
)


def input_type(result: RunResult) -> str:
    """The paper's name of what describes an item, e.g. ``ID+T+V``; modalities of other names stand as they are."""
    parts = ["ID"] if result.setting == "transductive" else []
    if result.model == _IDS_ALONE:
        return "+".join(parts)
    return "+".join([*parts, *(_LETTERS.get(name, name) for name in result.modalities)]) or "unknown"


def changes(result: RunResult, *, said: tuple[str, ...] = ()) -> list[str]:
    """Overrides that set a run apart from the model and the data that a table names anyway, sorted.

    Args:
        result: the run.
        said: keys that the table shows in columns of its own; ``interest`` stands for ``interest.*`` too.
    """
    kept = []
    for override in result.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        is_said = key in (*_SAID_ELSEWHERE, *_WITHOUT_EFFECT) or _is_below(key, (*_GROUPS_WITHOUT_EFFECT, *said))
        names_model = key == "model" and value.replace("_", "").lower() == result.model.replace("_", "").lower()
        names_experiment = key == "experiment" and value == result.experiment
        if not (is_said or names_model or names_experiment):
            kept.append(override)
    return sorted(kept)


def variant(result: RunResult) -> str:
    """The experiment and the changes, in one line; empty for a run of the defaults."""
    return " ".join(filter(None, [result.experiment, *changes(result)]))


def _is_below(key: str, groups: tuple[str, ...]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)
