"""Sums of sparse rows by one product of two sparse matrices, where nobody asks for gradients."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor


@cache
def is_available() -> bool:
    """Whether this build of torch multiplies sparse matrices on CPU (with MKL it does)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said once a process: the layout is in beta
        one = torch.sparse_csr_tensor(torch.arange(2), torch.zeros(1, dtype=torch.long), torch.ones(1))
        try:
            return float(torch.addmm(torch.zeros(1, 1), one, one)) == 1.0
        except RuntimeError:
            return False


def sums_of_rows(
    ids: Int[Tensor, "B L"],
    weight: Float[Tensor, "B L"],
    offsets: Int[Tensor, " S"],
    columns: Int[Tensor, " E"],
    values: Float[Tensor, " E"],
    num_columns: int,
) -> Float[Tensor, "B C"]:
    """``sum_l weight[b, l] row(ids[b, l])``.

    Args:
        ids: which rows; repeats count each time.
        weight: of each.
        offsets: where the entries of each sparse row start, and where the last ones end.
        columns: of the entries.
        values: of the entries.
        num_columns: width ``C`` of the result.
    """
    (num_rows, width), num_known = ids.shape, len(offsets) - 1
    starts = torch.arange(0, num_rows * width + 1, width)
    left = torch.sparse_csr_tensor(starts, ids.flatten(), weight.flatten(), (num_rows, num_known))
    right = torch.sparse_csr_tensor(offsets, columns, values, (num_known, num_columns))
    return torch.addmm(weight.new_zeros(num_rows, num_columns), left, right)
