"""Score terms: what is added to the logits beside the network's own score."""

from missrec_pl.nn.scorers.content import ContentTerm
from missrec_pl.nn.scorers.cooccurrence import CooccurrenceTerm
from missrec_pl.nn.scorers.rows import ScoredRows
from missrec_pl.nn.scorers.seen import HistoryBias

__all__ = ["ContentTerm", "CooccurrenceTerm", "HistoryBias", "ScoredRows"]
