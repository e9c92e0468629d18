"""Interest discovery: DPC-KNN over all item tokens, and the methods it is compared with. Pure functions."""

from missrec_pl.clustering.assign import nearest_prototype
from missrec_pl.clustering.backends import BACKENDS
from missrec_pl.clustering.dpc_knn import DPCKNNResult, dpc_knn
from missrec_pl.clustering.kmeans import kmeans
from missrec_pl.clustering.random_centers import random_prototypes
from missrec_pl.clustering.result import Clustering, ClusterResult, resolve_count

__all__ = [
    "BACKENDS",
    "ClusterResult",
    "Clustering",
    "DPCKNNResult",
    "dpc_knn",
    "kmeans",
    "nearest_prototype",
    "random_prototypes",
    "resolve_count",
]
