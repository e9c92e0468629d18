"""Would the neighbour lists of the last refresh spare the search of the next one? Measured while training.

    python benchmarks/warm_refresh.py data=scientific_mm_subset paths.data_dir=DATA trainer.max_epochs=8

Between two refreshes every token moves (a movement common to all is taken out: distances do not see it). A token's
new neighbours are proven to lie in its old list if the k-th of the list is nearer now than any token outside of it
can be: the list's last old distance less the movements of both. `proven` is the share of tokens for which that
holds, `recall` the share of new neighbours that the old list holds, for lists of 1, 4 and 16 k.
"""

import itertools
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from missrec_pl.clustering import methods
from missrec_pl.clustering.backends.base import squared_distances
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.experiment.train import train
from missrec_pl.system.processes import Share

FACTORS = (1, 4, 16)


def proven(
    before: torch.Tensor, after: torch.Tensor, distance: torch.Tensor, lists: torch.Tensor, k: int
) -> float:
    moved = (after - after.mean(0) - before + before.mean(0)).double().norm(dim=1)
    outside = distance[:, -1] - moved - moved.max()
    every = torch.arange(len(after))
    inside = squared_distances(after, every, lists).sqrt().sort(dim=1).values[:, k - 1]
    return float((inside <= outside).double().mean())


def compare(refreshes: list[Tensor], k: int) -> None:
    head = "".join(f"{f'proven, {factor}k':>14}{f'recall, {factor}k':>14}" for factor in FACTORS)
    print(f"{'refresh':>8}{'moved':>8}{head}")
    for number, (before, after) in enumerate(itertools.pairwise(refreshes), 1):
        longest = min(max(FACTORS) * k, len(before) - 1)
        squared, lists = TiledReductions(before).k_smallest(longest, Share())
        wanted = TiledReductions(after).k_smallest(k, Share()).token
        moved = (after - after.mean(0) - before + before.mean(0)).norm(dim=1).median()
        line = f"{number:>8}{float(moved / squared[:, k - 1].sqrt().median()):>8.2f}"
        for factor in FACTORS:
            part = lists[:, : factor * k]
            share = proven(before, after, squared[:, : part.shape[1]].sqrt(), part, k)
            recall = float((wanted[:, :, None] == part[:, None, :]).any(2).double().mean())
            line += f"{share:>14.1%}{recall:>14.1%}"
        print(line, flush=True)


def main() -> None:
    with initialize_config_dir(str(Path(__file__).resolve().parents[1] / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=["test=false", "paths.output_dir=/tmp/warm-refresh", *sys.argv[1:]])
    refreshes: list[Tensor] = []
    cluster = methods.DPCKNN.__call__

    def remembered(self, tokens, num_prototypes, seed):
        refreshes.append(tokens.detach().cpu().clone())
        return cluster(self, tokens, num_prototypes, seed)

    methods.DPCKNN.__call__ = remembered
    train(cfg)
    print("moved: median movement over the median distance of the k-th neighbour")
    compare(refreshes[1:], cfg.interest.method.k)


if __name__ == "__main__":
    main()
