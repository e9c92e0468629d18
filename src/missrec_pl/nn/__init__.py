"""Pure torch: adapters, fusion, interest table, Transformer blocks and the two architectures."""

from missrec_pl.nn.ablations import ContextEncoder, IDOnly, InterestEncoder
from missrec_pl.nn.base import SequenceModel
from missrec_pl.nn.embeddings import ItemEmbeddings, UserStates
from missrec_pl.nn.missrec import MISSRec
from missrec_pl.nn.missrec_released import MISSRecReleased

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
