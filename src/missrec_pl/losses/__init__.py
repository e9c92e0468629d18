"""Losses: each is a class that the config group ``objective`` chooses."""

from missrec_pl.losses.base import Loss, Softmax
from missrec_pl.losses.contrast import Contrastive
from missrec_pl.losses.pairwise import BCE, BPR, GBCE
from missrec_pl.losses.ranking_max import BPRMax, TOP1Max
from missrec_pl.losses.step import Step

__all__ = ["BCE", "BPR", "GBCE", "BPRMax", "Contrastive", "Loss", "SampledSoftmax", "Softmax", "Step", "TOP1Max"]
from missrec_pl.losses.sampled import SampledSoftmax
