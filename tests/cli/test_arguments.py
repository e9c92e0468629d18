"""The words of a command as users type them."""

import pytest
from runs import CONFIGS

from missrec_pl.errors import ConfigError
from missrec_pl.experiment.arguments import ordered, without_null_groups


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a=1 -m b=2", "-m a=1 b=2"),
        ("a=1 b=2 --multirun", "--multirun a=1 b=2"),
        ("a=1 --config-name eval ~logger --cfg job b=2", "--config-name eval --cfg job a=1 ~logger b=2"),
        ("--info a=1", "--info=all a=1"),
        ("a=1 --package", "--package a=1"),
        ("--info defaults a=1", "--info=defaults a=1"),
        ("", ""),
    ],
)
def test_options_stand_anywhere(typed, expected):
    assert ordered(typed.split()) == expected.split()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("logger=null", "logger=[]"),
        ("logger=[] ~logger", "logger=[] ~logger"),
        ("callbacks=null", "callbacks=none"),
        ("callbacks=[]", "callbacks=none"),
        ("~callbacks", "callbacks=none"),
        ("scorers=null baselines=null", "scorers=none baselines=[]"),
        ("experiment=null debug=null launch=null hparams_search=null local=null seed=1", "seed=1"),
        ("ckpt=null callbacks.progress=null tags=[]", "ckpt=null callbacks.progress=null tags=[]"),
    ],
)
def test_groups_are_switched_off(typed, expected):
    assert without_null_groups(typed.split(), CONFIGS) == expected.split()


def test_what_no_run_is_without():
    with pytest.raises(ConfigError, match=r"^optim=null: no run is without optim; .* adam, adamw"):
        without_null_groups(["optim=null"], CONFIGS)
