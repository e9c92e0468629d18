"""Networks, their blocks, interests and auxiliary scorers. Pure torch; `contract.py` is the seam."""

from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users

__all__ = ["DataShape", "Histories", "ItemInputs", "Items", "Recommender", "Users"]
