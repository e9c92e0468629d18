"""Score terms: what is added to the logits beside the network's own score."""

from missrec_pl.nn.score_terms.content import ContentTerm
from missrec_pl.nn.score_terms.cooccurrence import CooccurrenceTerm, ItemPairs
from missrec_pl.nn.score_terms.history_bias import HistoryBias
from missrec_pl.nn.score_terms.rows import ScoredRows

__all__ = ["ContentTerm", "CooccurrenceTerm", "HistoryBias", "ItemPairs", "ScoredRows"]
