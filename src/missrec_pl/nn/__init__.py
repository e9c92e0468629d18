"""Pure torch: adapters, fusion, interest table, Transformer blocks and the two architectures."""

from missrec_pl.nn.missrec.ablations import ContextEncoder, IDOnly, InterestEncoder
from missrec_pl.nn.missrec.base import SequenceModel
from missrec_pl.nn.missrec.embeddings import ItemEmbeddings, UserStates
from missrec_pl.nn.missrec.paper import MISSRec
from missrec_pl.nn.missrec.released import MISSRecReleased

__all__ = [
    "ContextEncoder",
    "IDOnly",
    "InterestEncoder",
    "ItemEmbeddings",
    "MISSRec",
    "MISSRecReleased",
    "SequenceModel",
    "UserStates",
]
