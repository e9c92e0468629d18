import numpy as np
import pytest

from missrec_pl.data.sequences import Sequences
from missrec_pl.data.splits import make_split
from missrec_pl.errors import ConfigError, DataError


def sequences_of(lengths, times=None):
    return Sequences.from_lists([list(range(1, n + 1)) for n in lengths], times)


def test_leave_one_out_for_every_length():
    split = make_split(sequences_of([1, 2, 3, 4, 9]), "leave_one_out")
    assert split.train_length.tolist() == [0, 0, 1, 2, 7]
    assert split.validation.user.tolist() == [2, 3, 4]
    assert split.validation.target.tolist() == [1, 2, 7]
    assert split.test.user.tolist() == [1, 2, 3, 4]
    assert split.test.target.tolist() == [1, 2, 3, 8]
    assert len(split.test) == 4


def test_train_only_evaluates_nobody():
    split = make_split(sequences_of([1, 5]), "train_only")
    assert split.train_length.tolist() == [1, 5]
    assert len(split.validation) == len(split.test) == 0


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_global_time_leaks_nothing(seed, ties):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 12, size=30)
    times = [np.sort(random.integers(0, 20 if ties else 10_000, size=n)).tolist() for n in lengths]
    split = make_split(sequences_of(lengths, times), "global_time", validation_share=0.2, test_share=0.15)
    trained = [t for user, n in enumerate(split.train_length) for t in times[user][:n]]
    validated = [times[u][k] for u, k in zip(split.validation.user, split.validation.target, strict=True)]
    tested = [times[u][k] for u, k in zip(split.test.user, split.test.target, strict=True)]
    assert trained
    assert validated
    assert tested
    assert max(trained) < min(validated)
    assert max(validated) < min(tested)
    for rows, moment in ((split.validation, min(validated)), (split.test, min(tested))):
        assert (rows.target >= 1).all()
        for user, target in zip(rows.user, rows.target, strict=True):
            assert times[user][target - 1] < moment or times[user][target - 1] < times[user][target]
    # The validation target is the first item after what trained.
    assert (split.validation.target == split.train_length[split.validation.user]).all()


def test_global_time_by_hand():
    # Ten interactions at 0..9: the quantiles at 0.6 and 0.8 are the moments 5 and 7.
    times = [[0, 1, 6, 8], [2, 3, 9], [4, 5, 7]]
    split = make_split(sequences_of([4, 3, 3], times), "global_time", validation_share=0.2, test_share=0.2)
    assert split.train_length.tolist() == [2, 2, 1]
    assert split.validation.user.tolist() == [0, 2]
    assert split.validation.target.tolist() == [2, 1]
    assert split.test.user.tolist() == [0, 1, 2]
    assert split.test.target.tolist() == [3, 2, 2]


def test_a_target_needs_a_history():
    times = [[0, 1, 2, 3, 4, 5, 6, 7], [8], [9]]
    split = make_split(sequences_of([8, 1, 1], times), "global_time", validation_share=0.1, test_share=0.1)
    assert split.validation.user.tolist() == [0]
    assert len(split.test) == 0  # users 1 and 2 appear after the second moment only


def test_global_time_without_timestamps_says_what_to_do():
    with pytest.raises(DataError, match=r"needs timestamps.*use leave_one_out"):
        make_split(sequences_of([4]), "global_time")


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match=r"data.split='leave_two_out': choose one of leave_one_out, global_time"):
        make_split(sequences_of([4]), "leave_two_out")


def test_one_item_is_history_enough():
    # Ten interactions at 0..9, the moments are 5 and 7: the second user trained on nothing and has one item at 6.
    split = make_split(sequences_of([7, 3], [[0, 1, 2, 3, 4, 5, 7], [6, 8, 9]]), "global_time",
                       validation_share=0.2, test_share=0.2)  # fmt: skip
    assert split.train_length.tolist() == [5, 0]
    assert (split.validation.user.tolist(), split.validation.target.tolist()) == ([0], [5])
    assert (split.test.user.tolist(), split.test.target.tolist()) == ([0, 1], [6, 1])
