"""Losses: each is a class that the config group ``objective`` chooses."""

from missrec_pl.losses.base import Loss, Step
from missrec_pl.losses.contrastive import Contrastive
from missrec_pl.losses.pairwise import BCE, BPR, GBCE
from missrec_pl.losses.softmax import Softmax

__all__ = ["BCE", "BPR", "GBCE", "Contrastive", "Loss", "Softmax", "Step"]
