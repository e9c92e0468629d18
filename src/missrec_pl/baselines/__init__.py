"""Simple recommenders that stand beside every run: same split, same full ranking, same metrics."""

from missrec_pl.baselines.base import Baseline, BaselineData, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.evaluate import BaselineReport, evaluate_baselines
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.registry import Context, Options, available, check_names, register

__all__ = [
    "Baseline",
    "BaselineData",
    "BaselineReport",
    "Context",
    "HeldOut",
    "Histories",
    "LeftOutError",
    "Options",
    "Settings",
    "TunableBaseline",
    "available",
    "check_names",
    "evaluate_baselines",
    "register",
]
