"""Batches of prefixes are what they were before there were other examples: numbers of that code."""

import hashlib

import pytest
import torch
from training_scene import FOLDS, batches, data_set

DIGESTS = {
    ("all", False): "e9e30693b23e6382",
    ("all", True): "0a841bff8de7a776",
    ("in_batch", False): "2fcb85741321f9e5",
    ("in_batch", True): "7e4303a7a4129112",
    ("sampled", False): "701360f67df71043",
    ("sampled", True): "29fc1547bb24c612",
}


@pytest.mark.parametrize(("candidates", "has_folds"), DIGESTS)
def test_samples_order_and_draws(memory_domain, candidates, has_folds):
    data = data_set(memory_domain, "prefix", candidates, folds=FOLDS if has_folds else None)
    digest = hashlib.sha256()
    for world_size in (1, 2, 3):
        for rank in range(world_size):
            for batch in batches(data, epoch=1, rank=rank, world_size=world_size):
                assert batch.place is None
                assert batch.is_masked is None
                assert batch.times is None
                _add(digest, batch)
    assert digest.hexdigest()[:16] == DIGESTS[candidates, has_folds]


def test_one_batch_in_full(memory_domain):
    batch = batches(data_set(memory_domain, "prefix", "sampled"), epoch=1, rank=1, world_size=2)[2]
    assert batch.history.tolist() == [[2, 2, 0], [6, 5, 4]]
    assert batch.length.tolist() == [2, 3]
    assert batch.target.tolist() == [1, 4]
    assert batch.domain.tolist() == [0, 1]
    assert batch.future.tolist() == [[1] + [0] * 9, [5] + [0] * 9]
    assert batch.items.ids.tolist() == [0, 1, 2, 4, 5, 6, 7, 9]
    assert batch.candidates.rows.tolist() == [1, 2, 3, 4, 6, 7]
    log_inclusion = [-0.40112671, -0.40112671, -0.88350093, -0.72017586, -0.72017586, -0.88350093]
    assert batch.candidates.log_inclusion.tolist() == pytest.approx(log_inclusion, rel=1e-6)


def _add(digest, batch):
    tensors = [batch.history, batch.length, batch.target, batch.domain, batch.future]
    if batch.items is not None:
        tensors.append(batch.items.ids)
    if batch.candidates is not None:
        tensors.append(batch.candidates.rows)
    for tensor in tensors:
        assert tensor.dtype == torch.int64
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    digest.update(str(batch.fold).encode())
