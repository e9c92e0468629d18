"""Times of places, of the next item in training and of the request in evaluation."""

import numpy as np
import pytest
import torch
from training_scene import EVERYONE, batches, data_set, domains, sequences_of, times_of

from missrec_pl.data.datasets import EvaluationHistories
from missrec_pl.data.examples import EXAMPLES
from missrec_pl.data.examples.kinds import ClozeStretches, ShiftedStretches
from missrec_pl.errors import DataError


def all_rows(found):
    return found.locate(np.arange(len(found)), np.random.default_rng(0))


@pytest.mark.parametrize("example", EXAMPLES)
def test_times_are_those_of_the_places_and_of_what_comes_next(memory_domain, example):
    data = data_set(memory_domain, example, with_times=True)
    found = data.examples
    located = all_rows(found)
    times = found.build(located)[0].times
    assert times.dtype == torch.int64
    for b, (user, start, length) in enumerate(zip(located.user, located.start, located.length, strict=True)):
        clock = times_of(user)
        clock.append(clock[-1])  # nothing after the training part is told
        assert times[b, : length + 1].tolist() == clock[start : start + length + 1]
        assert (times[b, length + 1 :] == 0).all()
    for batch in batches(data, epoch=1):
        assert batch.times.shape == (len(batch), batch.history.shape[1] + 1)


def test_times_of_held_out_items_stay_out_of_training(memory_domain):
    sequences, catalogue = sequences_of(domains(memory_domain), split="leave_one_out", with_times=True)
    held_out = {time for user in range(len(EVERYONE)) for time in times_of(user)[-2:]}
    for kind in (ShiftedStretches, ClozeStretches):
        found = kind(sequences, catalogue, 3, deduplicate=False)
        assert held_out.isdisjoint(found.build(all_rows(found))[0].times.flatten().tolist())


def test_evaluation_has_the_time_of_the_request(memory_domain):
    sequences, _ = sequences_of(domains(memory_domain), split="leave_one_out", with_times=True)
    rows = sequences.test
    batch = EvaluationHistories(sequences, rows, 3)[np.arange(len(rows))]
    for b, user in enumerate(rows.user):
        expected = times_of(user)[:-1][-3:] + times_of(user)[-1:]
        assert batch.times[b, : batch.length[b] + 1].tolist() == expected
        assert (batch.times[b, batch.length[b] + 1 :] == 0).all()
    without, _ = sequences_of(domains(memory_domain), split="leave_one_out")
    assert EvaluationHistories(without, rows, 3)[np.arange(2)].times is None


def test_a_domain_without_times_is_named(memory_domain):
    with pytest.raises(DataError, match="domain first has no timestamps, which this run reads"):
        sequences_of(domains(memory_domain, timed=False), with_times=True)
