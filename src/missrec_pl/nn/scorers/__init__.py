"""Auxiliary scorers: what is added to the logits beside the network's own score."""

from missrec_pl.nn.scorers.base import ScoredRows, Scorer, Scorers, SeenItems
from missrec_pl.nn.scorers.content import Content
from missrec_pl.nn.scorers.cooccurrence import Cooccurrence
from missrec_pl.nn.scorers.popularity import Popularity
from missrec_pl.nn.scorers.words import Words

__all__ = ["Content", "Cooccurrence", "Popularity", "ScoredRows", "Scorer", "Scorers", "SeenItems", "Words"]
