"""Lightning callbacks: interest refresh, what trains, clocks and records."""

from missrec_pl.callbacks.beyond_accuracy import BEYOND_ACCURACY, ListsOfTest
from missrec_pl.callbacks.checkpoint_files import AtomicCheckpointIO, BestCheckpoint
from missrec_pl.callbacks.curves import Curves
from missrec_pl.callbacks.interest_refresh import InterestRefresh
from missrec_pl.callbacks.last_checkpoint import LastCheckpoint
from missrec_pl.callbacks.limits import Limits
from missrec_pl.callbacks.nan_guard import NanGuard
from missrec_pl.callbacks.ranks_file import RanksFile
from missrec_pl.callbacks.recommendations_file import RecommendationsFile
from missrec_pl.callbacks.records import ComputeLine, ConfiguredOptions, EpochLines, RunClock, RunRecord
from missrec_pl.callbacks.training import StepSeed, TrainOnly, WeightAverage

__all__ = [
    "BEYOND_ACCURACY",
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "ComputeLine",
    "ConfiguredOptions",
    "Curves",
    "EpochLines",
    "InterestRefresh",
    "LastCheckpoint",
    "Limits",
    "ListsOfTest",
    "NanGuard",
    "RanksFile",
    "RecommendationsFile",
    "RunClock",
    "RunRecord",
    "StepSeed",
    "TrainOnly",
    "WeightAverage",
]
