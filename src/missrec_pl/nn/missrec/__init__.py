"""MISSRec: the paper's network, the released one, and their ablations."""

from missrec_pl.nn.missrec.ablations import ContextEncoder, IDOnly, InterestEncoder
from missrec_pl.nn.missrec.paper import MISSRec
from missrec_pl.nn.missrec.released import MISSRecReleased

__all__ = ["ContextEncoder", "IDOnly", "InterestEncoder", "MISSRec", "MISSRecReleased"]
