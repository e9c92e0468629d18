"""Pure functions: what a batch loses."""

from missrec_pl.objectives.contrastive import next_item, sampled_logits, seq_item, seq_seq
from missrec_pl.objectives.orthogonality import orthogonality
from missrec_pl.objectives.settings import Objective

__all__ = [
    "Objective",
    "next_item",
    "orthogonality",
    "sampled_logits",
    "seq_item",
    "seq_seq",
]
