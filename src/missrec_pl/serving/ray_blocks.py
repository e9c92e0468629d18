"""Blocks of histories, ranked by the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from missrec_pl.serving.blocks import Blocks
from missrec_pl.serving.history_files import HistoryBlock
from missrec_pl.serving.recommender import load
from missrec_pl.system.ray_workers import Work, on_workers


def ranked_on_ray(
    blocks: Blocks, histories: Iterator[HistoryBlock], *, bundle: Path, index: bool, workers: int
) -> Iterator[int]:
    """Rank what is not ranked; yields the numbers of all blocks, as they are done.

    Args:
        blocks: how, and where.
        histories: all of the file.
        bundle: what every worker reads; a folder that all of them see, as that of the blocks.
        index: see :func:`load`.
        workers: how many, of one thread each.
    """
    left = []
    for number, some in enumerate(histories):
        if blocks.tally(number) is None:
            blocks.hand_out(some, number)
            left.append(number)
        else:
            yield number
    there = replace(blocks, folder=blocks.folder.absolute())
    yield from on_workers(partial(_ranker, there, bundle.absolute(), index), left, workers)


def _ranker(blocks: Blocks, bundle: Path, index: bool) -> Work:
    torch.set_num_threads(1)
    served = load(bundle, index=index)
    return partial(blocks.rank_handed_out, served)
