"""Recommendations out of a bundle: in Python, in batch, over HTTP. Without Lightning, Hydra and W&B."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

from missrec_pl.serving.recommender import ServedRecommender, load

__all__ = ["ServedRecommender", "load"]
