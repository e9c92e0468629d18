"""Losses: each is a class that the config group ``objective`` chooses."""

from missrec_pl.losses.base import Loss, Softmax
from missrec_pl.losses.contrast import Contrastive
from missrec_pl.losses.pairwise import BCE, BPR, GBCE
from missrec_pl.losses.ranking_max import BPRMax, TOP1Max
from missrec_pl.losses.s3rec import S3Rec
from missrec_pl.losses.sampled import SampledSoftmax
from missrec_pl.losses.step import Step
from missrec_pl.losses.vqrec import SemiSynthetic

__all__ = [
    "BCE",
    "BPR",
    "GBCE",
    "BPRMax",
    "Contrastive",
    "Loss",
    "S3Rec",
    "SampledSoftmax",
    "SemiSynthetic",
    "Softmax",
    "Step",
    "TOP1Max",
]
