"""Backends of the pairwise reductions behind DPC-KNN, one interface for all."""

from missrec_pl.clustering.backends.auto import BACKENDS, make_reductions
from missrec_pl.clustering.backends.base import Neighbors, PairwiseReductions

__all__ = ["BACKENDS", "Neighbors", "PairwiseReductions", "make_reductions"]
