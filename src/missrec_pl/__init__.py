"""MISSRec: multi-modal, interest-aware pre-training and transfer for sequential recommendation."""

from missrec_pl.resolvers import register_resolvers

__version__ = "0.1.0"

register_resolvers()  # before anything reads a config
