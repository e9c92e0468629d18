"""Full-ranking metrics on sums that shard exactly: from the target's rank, and of the recommended lists."""

from missrec_pl.metrics.beyond_accuracy import BeyondAccuracy
from missrec_pl.metrics.ranking import RankingMetrics
from missrec_pl.metrics.ranks import Ranking, ranks_without_history_, target_ranks

__all__ = ["BeyondAccuracy", "Ranking", "RankingMetrics", "ranks_without_history_", "target_ranks"]
