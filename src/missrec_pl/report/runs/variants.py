"""What tells runs apart beside data, setting, start, model and seed."""

from missrec_pl.report.runs.collect import PRETRAIN, RunResult
from missrec_pl.report.runs.origin import Origin

STARTS = {"scratch": "from scratch", "zero_shot": "zero-shot", "pretrained": "pre-trained"}

_LETTERS = {"text": "T", "image": "V"}  # as the paper's tables call them
_NAMED_LIKE_THEIR_CLASS = ("missrec", "missrec_released")  # of the models' configs, each its class's plain one
_IDS_ALONE = "IDOnly"  # the network that reads no features, whatever the data offers
# Overrides that other fields of a result repeat.
_SAID_ELSEWHERE = (
    *("phase", "data", "data.name", "setting", "seed", "ckpt", "resume"),
    *("metrics.mask_history", "metrics.compat"),
)
# Overrides that say where and how a run is made, not what it measures.
_WITHOUT_EFFECT = (
    *("test", "metrics.ks", "data.num_workers", "data.prefetch_factor"),
    "data.eval_batch_size",
    *("trainer", "trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.num_nodes"),
    *("features", "features.residency", "interest.method.backend"),
)
_GROUPS_WITHOUT_EFFECT = (
    "paths",
    "hydra",
    "logger",
    "local",
    "launch",
    "baselines",
    "callbacks.progress",
    "callbacks.last_checkpoint",
)


def input_type(result: RunResult) -> str:
    """The paper's name of what describes an item, e.g. ``ID+T+V``; modalities of other names stand as they are."""
    parts = ["ID"] if result.setting == "transductive" else []
    if result.model == _IDS_ALONE:
        return "+".join(parts)
    return "+".join([*parts, *(_LETTERS.get(name, name) for name in result.modalities)]) or "unknown"


def changes(result: RunResult | Origin, *, said: tuple[str, ...] = ()) -> list[str]:
    """Overrides that set a run apart from the model and the data that a table names anyway, sorted.

    Args:
        result: the run, or what made its checkpoint.
        said: keys that the table shows in columns of its own.
    """
    kept = []
    for override in result.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        is_said = key in (*_SAID_ELSEWHERE, *_WITHOUT_EFFECT, *said) or _is_without_effect(key)
        names_model = key == "model" and _is_the_usual_model(value, result)
        names_experiment = key == "experiment" and value == result.experiment
        if not (is_said or names_model or names_experiment):
            kept.append(override)
    return sorted(kept)


def variant(result: RunResult) -> str:
    """The experiment and the changes, in one line; empty for a run of the defaults."""
    return " ".join(filter(None, [result.experiment, *changes(result)]))


def origin_in_words(result: RunResult | Origin) -> str:
    """What made the checkpoint of a run, ``from [Instruments+Office table4/scientific]``; empty without one.

    The seed that it was made with, and where it lies, are left out: runs from such checkpoints are averaged.
    """
    if (origin := result.origin) is None:
        return ""
    other_phase = "" if origin.phase == PRETRAIN else origin.phase
    other_setting = "" if origin.setting == "inductive" else origin.setting
    parts = [origin.data, other_phase, other_setting, origin.experiment, *changes(origin), origin_in_words(origin)]
    return f"from [{' '.join(filter(None, parts))}]"


def _is_the_usual_model(config: str, result: RunResult | Origin) -> bool:
    """Whether ``model=CONFIG`` says no more than the experiment and the class of the model."""
    own = result.experiment_model
    is_plain = config.replace("_", "").lower() == result.model.replace("_", "").lower()
    # In an overlay that chooses another config of the class (missrec_tuned) the plain one is a change.
    return config == own or (is_plain and own in ("", *_NAMED_LIKE_THEIR_CLASS))


def _is_without_effect(key: str) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in _GROUPS_WITHOUT_EFFECT)
