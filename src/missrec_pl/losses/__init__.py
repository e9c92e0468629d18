"""Losses: each is a class that the config group ``objective`` chooses."""

from missrec_pl.losses.base import Loss, Softmax
from missrec_pl.losses.contrast import Contrastive
from missrec_pl.losses.pairwise import BCE, BPR, GBCE
from missrec_pl.losses.step import Step
from missrec_pl.losses.vqrec import SemiSynthetic

__all__ = ["BCE", "BPR", "GBCE", "Contrastive", "Loss", "SemiSynthetic", "Softmax", "Step"]
