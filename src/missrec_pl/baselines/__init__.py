"""Simple recommenders that stand beside every run: same split, same full ranking, same metrics."""

from missrec_pl.baselines.base import Baseline, BaselineData
from missrec_pl.baselines.evaluate import evaluate_baselines
from missrec_pl.baselines.knn import LastItemKNN
from missrec_pl.baselines.registry import available, create, default_names, register
from missrec_pl.baselines.unpersonalised import Popularity, RandomScores

__all__ = [
    "Baseline",
    "BaselineData",
    "LastItemKNN",
    "Popularity",
    "RandomScores",
    "available",
    "create",
    "default_names",
    "evaluate_baselines",
    "register",
]
