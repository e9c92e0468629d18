"""What processes of one run exchange: rows of all of them, with gradients."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all processes, by rank; shards may differ in size. Gradients flow back to their owners.

    Args:
        rows: ``[B, ...]`` this process's rows.

    Returns:
        ``[G, ...]`` the rows of the global batch.
    """
    if world_size() == 1:
        return rows
    sizes = row_counts(rows)
    padding = [0, 0] * (rows.dim() - 1) + [0, max(sizes) - len(rows)]
    if rows.dtype.is_floating_point:
        gathered = all_gather(F.pad(rows, padding).contiguous())
    else:
        padded = F.pad(rows, padding).contiguous()
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
    return torch.cat([shard[:size] for shard, size in zip(gathered, sizes, strict=True)])


def row_counts(rows: Tensor) -> list[int]:
    """Number of rows of each process."""
    if world_size() == 1:
        return [len(rows)]
    mine = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(counts, mine)
    return [int(count) for count in counts]


def first_own_row(counts: list[int]) -> int:
    """Position of this process's first row in the global batch."""
    return sum(counts[: dist.get_rank()]) if world_size() > 1 else 0
