"""What the processes of one run exchange: rows with gradients, and shares of work without."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def started_by_others() -> bool:
    """Whether torchrun or SLURM has started this run's processes."""
    return "TORCHELASTIC_RUN_ID" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1


def gather_rows(rows: Tensor, counts: list[int] | None = None) -> Tensor:
    """The rows of all processes, by rank; shards may differ in size. Gradients flow back to their owners.

    Args:
        rows: ``[B, ...]`` this process's rows.
        counts: rows of each process, where :func:`row_counts` has been asked already.

    Returns:
        ``[G, ...]`` the rows of the global batch.
    """
    if world_size() == 1:
        return rows
    sizes = row_counts(rows) if counts is None else counts
    padded = F.pad(rows, [0, 0] * (rows.dim() - 1) + [0, max(sizes) - len(rows)])
    gathered = _with_gradient(padded) if rows.dtype.is_floating_point else _gather(padded)
    return torch.cat([shard[:size] for shard, size in zip(gathered, sizes, strict=True)])


def _gather(tensor: Tensor) -> Tensor:
    """``[processes, ...]`` the tensors of one shape of all processes."""
    everything = tensor.new_empty(world_size(), *tensor.shape)
    dist.all_gather(list(everything.unbind()), tensor.contiguous())
    return everything


def _with_gradient(tensor: Tensor) -> Tensor:
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    """:func:`_gather` whose gradient is the sum of what all processes want of this one's tensor."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _gather(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def row_counts(rows: Tensor) -> list[int]:
    """Number of rows of each process."""
    if world_size() == 1:
        return [len(rows)]
    mine = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(counts, mine)
    return [int(count) for count in counts]


def any_process(*flags: bool) -> tuple[bool, ...]:
    """For each flag, whether any process of the run raises it: the same answer everywhere, in one exchange."""
    if world_size() == 1:
        return flags
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    raised = torch.tensor(flags, dtype=torch.uint8, device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return tuple(map(bool, raised.tolist()))


def first_own_row(counts: list[int]) -> int:
    """Position of this process's first row in the global batch."""
    return sum(counts[: dist.get_rank()]) if world_size() > 1 else 0


@dataclass(frozen=True)
class Share:
    """One process's part of a computation that all processes of a run make together, without gradients.

    Attributes:
        index: this process, 0..count-1.
        count: number of processes; 1 does everything and exchanges nothing.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def mine(cls) -> Share:
        """The share of this process in its run."""
        return cls(dist.get_rank(), world_size()) if world_size() > 1 else cls()

    def rows(self, total: int) -> slice:
        """This process's contiguous part of ``total`` rows; parts differ by a row at most."""
        return slice(self.index * total // self.count, (self.index + 1) * total // self.count)

    def gather(self, part: Tensor, total: int) -> Tensor:
        """``[total, ...]`` from every process's ``part``, cut by :meth:`rows`."""
        if self.count == 1:
            return part
        sizes = [Share(index, self.count).rows(total) for index in range(self.count)]
        lengths = [rows.stop - rows.start for rows in sizes]
        padded = part.new_zeros(max(lengths), *part.shape[1:])
        padded[: len(part)] = part
        return torch.cat([shard[:length] for shard, length in zip(self.collect(padded), lengths, strict=True)])

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """Every process's tensor of one shape, by process."""
        if self.count == 1:
            return [tensor]
        everything = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(everything, tensor.contiguous())
        return everything

    def from_first(self, tensor: Tensor) -> Tensor:
        """Process 0's tensor, in place of this process's of the same shape."""
        if self.count > 1:
            tensor = tensor.contiguous()
            dist.broadcast(tensor, src=0)
        return tensor

    def send(self, tensor: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Process 0's tensor in every process, whatever the others hold; on the device that it is exchanged on."""
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        if self.index == 0:
            assert tensor is not None, "the first process has what it sends"
            return self.from_first(tensor.to(device))
        return self.from_first(torch.empty(shape, dtype=dtype, device=device))

    def object_from_first(self, value: Any) -> Any:
        """Process 0's plain value in every process."""
        holder = [value]
        if self.count > 1:
            dist.broadcast_object_list(holder, src=0)
        return holder[0]

    def wait(self) -> None:
        """Wait for the other processes."""
        if self.count > 1:
            dist.barrier()
