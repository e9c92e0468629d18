"""Any two documented presets together pass validation, or are refused by the name of a flag."""

from itertools import combinations

import pytest
from runs import SMALL, composed
from test_every_config import FILES, NEEDS

from missrec_pl.config.targets import in_use
from missrec_pl.config.validation import validate_config
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.building import build_parts

GROUPS = ("callbacks", "experiment", "debug", "scorers", "objective", "logger", "optim", "interest", "phase")
PRESETS = [
    file for file in FILES if file.startswith(tuple(f"{group}/" for group in GROUPS)) and "base" not in file
]
_QUICK = ("callbacks/", "debug/overfit", "debug/fdr", "experiment/quickstart", "experiment/tuned")
QUICK = [file for file in PRESETS if file.startswith(_QUICK)]


def check(first, second):
    """Compose two presets; say which parts are built, or nothing where they are refused."""
    words = [
        word for file in (first, second) for word in ("{}={}".format(*file.split("/", 1)), *NEEDS.get(file, []))
    ]
    cfg = composed(*words)
    try:
        validate_config(cfg)
    except ConfigError as error:
        for line in str(error).splitlines():
            flag = line.partition("=")[0].partition(":")[0].partition(" ")[0]
            assert flag.partition(".")[0] in {*cfg, "callbacks"}, line
        return None
    for group in ("callbacks", "logger", "scorers"):
        for node in in_use(cfg, group).values():
            assert node["_target_"]
    return cfg


def pairs(files):
    return [pair for pair in combinations(files, 2) if pair[0].partition("/")[0] != pair[1].partition("/")[0]]


@pytest.mark.parametrize("first", QUICK)
def test_two_presets_of_what_a_run_does(first):
    for one, second in pairs(QUICK):
        if one == first:
            check(one, second)


@pytest.mark.slow
@pytest.mark.parametrize("first", PRESETS)
def test_any_two_presets(first):
    for one, second in pairs(PRESETS):
        if one == first:
            check(one, second)


@pytest.mark.parametrize("callbacks", ["annealed", "no_validation", "none"])
@pytest.mark.parametrize("beside", ["experiment=quickstart", "debug=overfit"])
def test_what_a_preset_switches_off_stays_off(callbacks, beside, tmp_path):
    cfg = composed(f"callbacks={callbacks}", beside, *SMALL, f"paths.output_dir={tmp_path}")
    assert "patience" in cfg.callbacks.early_stopping
    assert "early_stopping" not in in_use(cfg, "callbacks")
    names = {type(part).__name__ for part in build_parts(cfg, "callbacks")}
    assert "EarlyStopping" not in names
    assert {"InterestRefresh", "TrainOnly"} <= names


def test_options_of_nothing_are_refused_by_name():
    cfg = composed("+logger.mine={offline:true}")
    with pytest.raises(ConfigError, match=r"^logger.mine: has options \(offline\) and no _target_"):
        validate_config(cfg)


@pytest.mark.parametrize("word", ["logger=[]", "~logger", "callbacks=[]", "~callbacks", "logger=none"])
def test_a_group_may_be_absent(word):
    cfg = composed(word)
    validate_config(cfg)
    assert not build_parts(cfg, word.strip("~").partition("=")[0])


def test_debug_presets():
    default, limit = composed("debug=default"), composed("debug=limit")
    assert not default.logger
    assert (default.trainer.accelerator, default.trainer.max_epochs, default.trainer.detect_anomaly) == (
        "cpu", 1, True,
    )  # fmt: skip
    fractions = [limit.trainer[f"limit_{part}_batches"] for part in ("train", "val", "test")]
    assert (limit.trainer.max_epochs, fractions) == (3, [0.01, 0.05, 0.05])
