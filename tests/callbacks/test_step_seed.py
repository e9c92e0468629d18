from itertools import product
from types import SimpleNamespace

import torch

from missrec_pl.callbacks import StepSeed


def draw(seed, epoch, batch, rank):
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    StepSeed(seed).on_train_batch_start(trainer, None, None, batch)
    return torch.rand(4).tolist()


def test_seed_epoch_batch_and_process_each_have_their_own_stream():
    draws = [draw(*steps) for steps in product(range(2), range(3), range(3), range(2))]
    assert len({tuple(one) for one in draws}) == len(draws)


def test_a_step_draws_the_same_whatever_came_before():
    first = draw(5, 2, 3, 1)
    torch.rand(1000)
    assert draw(5, 2, 3, 1) == first
