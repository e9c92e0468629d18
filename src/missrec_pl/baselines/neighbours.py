"""The most similar items of every item, in bounded memory: exactly, or in cells for large catalogues."""

import math

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.clustering import kmeans
from missrec_pl.fitting.sequence_pairs import LARGE_CATALOGUE

# A block of similarities never holds more numbers than this (16 MiB of float32).
_BLOCK_ELEMENTS = 2**22
_CELL_SAMPLE = 50_000
_VISITED_SHARE = 0.015  # of the cells, by each row
_BLOCK_ROWS = 4096


def top_neighbours(
    vectors: Float[Tensor, "P D"],
    num_neighbours: int,
    *,
    exact_up_to: int = LARGE_CATALOGUE,
    block_elements: int = _BLOCK_ELEMENTS,
) -> sp.csr_array:
    """The largest positive inner products of every row with the others.

    Up to ``exact_up_to`` rows all pairs are compared. Beyond, the rows are gathered in cells by k-means, and a row
    is compared with the rows of the cells nearest to it (an inverted file; Jegou, Douze and Schmid, *Product
    quantization for nearest neighbor search*, TPAMI 2011, without the quantization).

    Args:
        vectors: ``[P, D]`` unit vectors, so that the products are cosines; a zero vector has no neighbours.
        num_neighbours: Most neighbours that a row keeps; of equal products ``torch.topk`` decides.
        exact_up_to: The largest P for which all pairs are compared.
        block_elements: Products held at once; the result depends on it in the last bits alone.

    Returns:
        Sparse ``[P, P]`` float32 similarities in (0, 1], nothing on the diagonal.
    """
    if len(vectors) == 0:
        return sp.csr_array((0, 0), dtype=np.float32)
    search = _search if len(vectors) <= exact_up_to else _search_in_cells
    rows, columns, values = search(vectors, num_neighbours, block_elements)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(vectors)))])
    matrix = sp.csr_array((values, columns, offsets), shape=(len(vectors), len(vectors)))
    matrix.sort_indices()
    return matrix


Found = tuple[Int[np.ndarray, " E"], Int[np.ndarray, " E"], Float[np.ndarray, " E"]]


def _search(vectors: Float[Tensor, "P D"], num_neighbours: int, block_elements: int) -> Found:
    """Rows, ascending, columns and values of every row's neighbours among all."""
    everything = torch.arange(len(vectors))
    rows, columns, values = [], [], []
    for part in everything.split(max(1, block_elements // len(vectors))):
        similarity = vectors[part] @ vectors.T
        similarity[torch.arange(len(part)), part] = -1  # itself
        top = similarity.topk(min(num_neighbours, len(vectors)), dim=1, sorted=False)
        is_positive = top.values > 0
        rows.append(part.repeat_interleave(is_positive.sum(1)).int().numpy())
        columns.append(top.indices[is_positive].int().numpy())
        values.append(top.values[is_positive].numpy())
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)


def _search_in_cells(vectors: Float[Tensor, "P D"], num_neighbours: int, block_elements: int) -> Found:
    """The same among the rows of the cells near each row: cell by cell, with the best found so far."""
    members, visitors = _cells(vectors)
    best = torch.full((len(vectors), num_neighbours), -1.0)
    found = torch.zeros(len(vectors), num_neighbours, dtype=torch.int32)
    for inside, queries in zip(members, visitors, strict=True):
        if len(inside) == 0:
            continue
        pool = vectors[inside].T
        for part in queries.split(max(1, block_elements // (num_neighbours + len(inside)))):
            similarity = vectors[part] @ pool
            place = torch.searchsorted(inside, part).clamp_(max=len(inside) - 1)
            is_member = inside[place] == part
            similarity[is_member, place[is_member]] = -1  # itself
            merged = torch.cat([best[part], similarity], dim=1)
            best[part], places = merged.topk(num_neighbours, dim=1, sorted=False)
            numbers = torch.cat([found[part], inside.int().expand(len(part), -1)], dim=1)
            found[part] = numbers.gather(1, places)
    is_positive = best > 0
    rows = torch.arange(len(vectors), dtype=torch.int32).repeat_interleave(is_positive.sum(1))
    return rows.numpy(), found[is_positive].numpy(), best[is_positive].numpy()


def spread(matrix: sp.csr_array, items: Int[np.ndarray, " P"], num_items: int) -> sp.csr_array:
    """The same values in a matrix ``[N, N]`` of all items: row and column p become ``items[p] - 1``."""
    counts = np.zeros(num_items, dtype=np.int64)
    counts[items - 1] = np.diff(matrix.indptr)
    columns = (items - 1).astype(np.int32)[matrix.indices]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_array((matrix.data, columns, offsets), shape=(num_items, num_items))


def _cells(vectors: Float[Tensor, "P D"]) -> tuple[list[Int[Tensor, " M"]], list[Int[Tensor, " V"]]]:
    """For every cell the rows that lie in it, and the rows that it is among the nearest cells of."""
    generator = torch.Generator().manual_seed(0)
    sample = torch.randperm(len(vectors), generator=generator)[:_CELL_SAMPLE].sort().values
    num_cells = min(2 * math.ceil(math.sqrt(len(vectors))), len(sample))
    centres = kmeans(vectors[sample], num_cells, generator=generator, max_iterations=10, init="random").prototypes
    half_norms = centres.square().sum(1) / 2
    num_visited = max(1, min(math.ceil(_VISITED_SHARE * num_cells), num_cells))
    closest = torch.cat(
        [(part @ centres.T - half_norms).topk(num_visited, dim=1).indices for part in vectors.split(_BLOCK_ROWS)]
    )
    members = _rows_by_cell(closest[:, :1], num_cells)
    return members, _rows_by_cell(closest, num_cells)


def _rows_by_cell(cells: Int[Tensor, "P C"], num_cells: int) -> list[Int[Tensor, " M"]]:
    order = cells.flatten().argsort(stable=True) // cells.shape[1]
    return list(order.split(torch.bincount(cells.flatten(), minlength=num_cells).tolist()))
