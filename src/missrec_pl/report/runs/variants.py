"""What tells runs apart beside data, setting, start, model and seed."""

from missrec_pl.report.runs.records import PRETRAIN, RunResult, Training

STARTS = {"scratch": "from scratch", "zero_shot": "zero-shot", "pretrained": "pre-trained"}

_LETTERS = {"text": "T", "image": "V"}  # as the paper's tables call them
_NAMED_LIKE_THEIR_CLASS = ("missrec", "missrec_released")  # configs whose model is their class as it stands
_IDS_ALONE = "IDOnly"  # the network that reads item IDs alone; old results say so by its name only
_SAID_ELSEWHERE = {  # overrides that other fields of a result repeat
    *("phase", "data", "data.name", "setting", "seed", "ckpt", "resume", "released.run"),
    *("metrics.mask_history", "metrics.compat"),
}
_WITHOUT_EFFECT = {  # overrides that say where and how a run is made, not what it measures
    *("test", "metrics.ks", "data.num_workers", "data.prefetch_factor", "data.eval_batch_size"),
    *("trainer", "trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.num_nodes"),
    *("features", "features.residency", "features.placement", "interest.method.backend"),
}
_GROUPS_WITHOUT_EFFECT = (  # the same, with everything below them
    *("paths", "hydra", "logger", "local", "launch", "baselines"),
    *("callbacks.progress", "callbacks.last_checkpoint"),
)


def input_type(run: RunResult) -> str:
    """The paper's name of what the network reads, e.g. ``ID+T+V``; what has no letter there stands as it is."""
    reads = run.reads
    if not reads:  # old results
        reads = ("ids",) if run.setting == "transductive" else ()
        reads += () if run.model == _IDS_ALONE else ("features",)
    parts = ["ID"] if "ids" in reads else []
    parts += [_LETTERS.get(name, name) for name in run.modalities] if "features" in reads else []
    parts += ["attributes"] if "attributes" in reads else []
    return "+".join(parts) or "unknown"


def changes(run: Training, *, said: tuple[str, ...] = ()) -> list[str]:
    """Overrides that set a run apart from the model and the data that a table names anyway, sorted.

    Args:
        run: the run, or the training that made its checkpoint.
        said: keys that the table shows in columns of its own.
    """
    kept = []
    for override in run.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        names_model = key == "model" and _is_the_usual_model(value, run)
        names_experiment = key == "experiment" and value == run.experiment
        is_said = key in said or key in _SAID_ELSEWHERE or names_model or names_experiment
        if not is_said and not _is_without_effect(key):
            kept.append(override)
    return sorted(kept)


def variant(run: RunResult) -> str:
    """The experiment and the changes, in one line; empty for a run of the defaults."""
    return " ".join(filter(None, [run.experiment, *changes(run)]))


def origin_in_words(run: Training) -> str:
    """What made the checkpoint of a run, ``from [Instruments+Office table4/scientific]``; empty without one.

    The checkpoint's seed and its place are left out, so that runs from several seeds are averaged.
    """
    if (origin := run.origin) is None:
        return ""
    phase = "" if origin.phase == PRETRAIN else origin.phase
    setting = "" if origin.setting == "inductive" else origin.setting
    parts = [origin.data, phase, setting, origin.experiment, *changes(origin), origin_in_words(origin)]
    return f"from [{' '.join(filter(None, parts))}]"


def kind_of(run: RunResult) -> str:
    """The common name of runs that differ in their seed alone."""
    parts = [input_type(run), run.model, STARTS[run.init], variant(run), origin_in_words(run)]
    return ", ".join(filter(None, parts))


def _is_the_usual_model(config: str, run: Training) -> bool:
    """Whether ``model=CONFIG`` says no more than the experiment and the class of the model."""
    own = run.experiment_model
    is_plain = config.replace("_", "").lower() == run.model.replace("_", "").lower()
    # In an overlay that chooses another config of the class (missrec_tuned) the plain one is a change.
    return config == own or (is_plain and own in ("", *_NAMED_LIKE_THEIR_CLASS))


def _is_without_effect(key: str) -> bool:
    is_in_group = any(key == group or key.startswith(f"{group}.") for group in _GROUPS_WITHOUT_EFFECT)
    return key in _WITHOUT_EFFECT or is_in_group
