"""Full-ranking metrics: one rank per target, then Recall@K, NDCG@K and MRR on sums that shard exactly."""

from missrec_pl.metrics.ranking import RankingMetrics
from missrec_pl.metrics.ranks import mask_history_, target_ranks

__all__ = ["RankingMetrics", "mask_history_", "target_ranks"]
