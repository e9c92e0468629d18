"""LightningModules: training, ranking, ensembles. No network is named here."""

from missrec_pl.modules.training import TrainingModule

__all__ = ["TrainingModule"]
