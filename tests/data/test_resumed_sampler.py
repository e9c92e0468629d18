import numpy as np

from missrec_pl.data.samplers import GlobalBatchSampler, ResumedSampler, ShardedEvalSampler


def batches(sampler):
    return [getattr(batch, "everyones", batch).tolist() for batch in sampler]


def test_the_interrupted_epoch_goes_on_and_later_ones_are_whole():
    whole = GlobalBatchSampler(np.array([23, 8]), 5, seed=3)
    epochs = []
    for epoch in (4, 5):
        whole.set_epoch(epoch)
        epochs.append(batches(whole))
    resumed = ResumedSampler(GlobalBatchSampler(np.array([23, 8]), 5, seed=3), epoch=4, done=3)
    resumed.set_epoch(4)
    assert len(resumed) == len(whole) == 7
    assert batches(resumed) == epochs[0][3:]
    assert batches(resumed) == epochs[0][3:]  # a loader with workers asks twice
    resumed.set_epoch(5)
    assert batches(resumed) == epochs[1]


def test_samplers_without_epochs_are_resumed_too():
    sampler = ShardedEvalSampler(np.arange(7), 2)
    resumed = ResumedSampler(sampler, epoch=0, done=1)
    assert batches(resumed) == batches(sampler)[1:]
    resumed.set_epoch(1)
    assert batches(resumed) == batches(sampler)
