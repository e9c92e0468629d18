"""Means over an epoch, stored within it: an interruption leaves no trace, whatever the number of processes."""

import torch

from missrec_pl.modules.epoch_means import EpochMeans
from missrec_pl.system.processes import Share

DEVICE = torch.device("cpu")


def test_a_restored_mean_goes_on_to_the_last_bit():
    values = torch.randn(9, generator=torch.Generator().manual_seed(0))
    straight, first, second = EpochMeans(), EpochMeans(), EpochMeans()
    for place, value in enumerate(values):
        straight.add("train/loss", value * 7, 7)
        if place == 4:
            second.restore(first.stored(Share()), Share(), DEVICE)
        (first if place < 4 else second).add("train/loss", value * 7, 7)
    assert torch.equal(second["train/loss"].compute(), straight["train/loss"].compute())


def test_with_another_number_of_processes_the_total_is_kept():
    stored = {
        "names": ["train/loss", "interest/entropy"],
        "sums": torch.tensor([[6.0, 1.0], [2.0, 3.0]]),
        "counts": torch.tensor([[3, 1], [1, 1]]),
    }
    of_processes = []
    for index in range(3):
        means = EpochMeans()
        means.restore(stored, Share(index, 3), DEVICE)
        of_processes.append(means)
    total = [
        sum(means["train/loss"].total for means in of_processes),
        sum(m["train/loss"].rows for m in of_processes),
    ]
    assert total == [8.0, 4]
    own = EpochMeans()
    own.restore(stored, Share(1, 2), DEVICE)
    assert (own["train/loss"].total, own["train/loss"].rows) == (2.0, 1)


def test_nothing_is_stored_of_an_epoch_that_has_not_begun():
    means = EpochMeans()
    means.add("train/loss", torch.tensor(2.0), 1)
    assert means.begun.keys() == {"train/loss"}
    means["train/loss"].reset()  # as Lightning does between epochs
    assert not means.begun
