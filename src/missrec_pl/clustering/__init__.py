"""Interest discovery: DPC-KNN over all item tokens, and the methods it is compared with. Pure functions."""

from missrec_pl.clustering.assign import nearest_prototype, random_prototypes
from missrec_pl.clustering.dpc_knn import dpc_knn
from missrec_pl.clustering.kmeans import kmeans
from missrec_pl.clustering.result import Clustering, ClusterResult, DPCKNNResult, resolve_count

__all__ = [
    "ClusterResult",
    "Clustering",
    "DPCKNNResult",
    "dpc_knn",
    "kmeans",
    "nearest_prototype",
    "random_prototypes",
    "resolve_count",
]
