"""Pure functions: what a batch loses."""

from missrec_pl.losses.contrastive import next_item, sampled_logits, seq_item, seq_seq
from missrec_pl.losses.orthogonality import orthogonality
from missrec_pl.losses.settings import Objective

__all__ = [
    "Objective",
    "next_item",
    "orthogonality",
    "sampled_logits",
    "seq_item",
    "seq_seq",
]
