"""Lightning callbacks: interest refresh, what trains, clocks and records."""

from missrec_pl.callbacks.best_checkpoint import BestCheckpoint
from missrec_pl.callbacks.compute_line import ComputeLine
from missrec_pl.callbacks.epoch_lines import EpochLines
from missrec_pl.callbacks.interest_refresh import InterestRefresh
from missrec_pl.callbacks.last_checkpoint import LastCheckpoint
from missrec_pl.callbacks.nan_guard import NanGuard
from missrec_pl.callbacks.ranks_file import RanksFile
from missrec_pl.callbacks.run_clock import RunClock
from missrec_pl.callbacks.run_record import RunRecord
from missrec_pl.callbacks.step_seed import StepSeed
from missrec_pl.callbacks.trainable import TrainOnly
from missrec_pl.callbacks.weight_average import WeightAverage

__all__ = [
    "BestCheckpoint",
    "ComputeLine",
    "EpochLines",
    "InterestRefresh",
    "LastCheckpoint",
    "NanGuard",
    "RanksFile",
    "RunClock",
    "RunRecord",
    "StepSeed",
    "TrainOnly",
    "WeightAverage",
]
