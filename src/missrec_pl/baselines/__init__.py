"""Simple recommenders that stand beside every run: same split, same full ranking, same metrics."""

from missrec_pl.baselines.base import (
    Baseline,
    BaselineData,
    LeftOutError,
    Settings,
    TunableBaseline,
)
from missrec_pl.baselines.content import ContentKNN
from missrec_pl.baselines.cooccurrence import CooccurrenceKNN
from missrec_pl.baselines.ease import EASE
from missrec_pl.baselines.evaluate import BaselineReport, evaluate_baselines
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.hybrid import HybridKNN
from missrec_pl.baselines.knn import LastItemKNN
from missrec_pl.baselines.registry import Context, Options, available, check_names, register
from missrec_pl.baselines.unpersonalised import Popularity, RandomBaseline

__all__ = [
    "EASE",
    "Baseline",
    "BaselineData",
    "BaselineReport",
    "ContentKNN",
    "Context",
    "CooccurrenceKNN",
    "HeldOut",
    "Histories",
    "HybridKNN",
    "LastItemKNN",
    "LeftOutError",
    "Options",
    "Popularity",
    "RandomBaseline",
    "Settings",
    "TunableBaseline",
    "available",
    "check_names",
    "evaluate_baselines",
    "register",
]
