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


def test_a_last_fit_trains_on_what_validates():
    split = make_split(sequences_of([1, 2, 3, 4, 9]), "leave_one_out", refit=True)
    assert split.train_length.tolist() == [0, 1, 2, 3, 8]
    assert len(split.validation) == 0
    assert split.test.user.tolist() == [1, 2, 3, 4]
    assert split.test.target.tolist() == [1, 2, 3, 8]


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


def test_a_last_fit_by_time_ends_where_the_test_begins():
    times = [[0, 1, 6, 8], [2, 3, 9], [4, 5, 7]]
    shares = {"validation_share": 0.2, "test_share": 0.2}
    split = make_split(sequences_of([4, 3, 3], times), "global_time", refit=True, **shares)
    assert split.train_length.tolist() == [3, 2, 2]
    assert len(split.validation) == 0
    assert split.test.target.tolist() == [3, 2, 2]


def test_a_last_fit_needs_something_that_validates():
    with pytest.raises(ConfigError, match=r"data.refit=true: data.split=train_only trains on everything already"):
        make_split(sequences_of([4]), "train_only", refit=True)


def test_global_time_by_hand():
    # Ten interactions at 0..9: the quantiles at 0.6 and 0.8 are the moments 5 and 7.
    times = [[0, 1, 6, 8], [2, 3, 9], [4, 5, 7]]
    split = make_split(sequences_of([4, 3, 3], times), "global_time", validation_share=0.2, test_share=0.2)
    assert split.train_length.tolist() == [2, 2, 1]
    assert split.validation.user.tolist() == [0, 2]
    assert split.validation.target.tolist() == [2, 1]
    assert split.test.user.tolist() == [0, 1, 2]
    assert split.test.target.tolist() == [3, 2, 2]


@pytest.mark.parametrize(
    ("which", "validation", "test"),
    [("last", [(0, 3), (2, 2)], [(0, 5), (1, 3), (2, 3)]), ("all", [(0, 2), (0, 3), (2, 2)], None)],
)
def test_other_targets_of_global_time_by_hand(which, validation, test):
    # Fifteen interactions at 0..14; the moments are 6 and 9. User 1 comes after the second one.
    times = [[0, 1, 6, 7, 9, 10], [11, 12, 13, 14], [4, 5, 8, 9]]
    sequences = sequences_of([6, 4, 4], times)
    split = make_split(sequences, "global_time", eval_target=which, validation_share=0.25, test_share=0.4)
    assert split.train_length.tolist() == [2, 0, 2]
    found = [
        list(zip(rows.user.tolist(), rows.target.tolist(), strict=True)) for rows in (split.validation, split.test)
    ]
    assert found[0] == validation
    assert found[1] == (test or [(0, 4), (0, 5), (1, 1), (1, 2), (1, 3), (2, 3)])


def test_a_drawn_target_is_one_of_all_and_the_same_every_time():
    random = np.random.default_rng(3)
    times = [np.sort(random.choice(5000, size=n, replace=False)).tolist() for n in random.integers(4, 30, size=60)]
    sequences = sequences_of([len(one) for one in times], times)
    every, drawn, again = (
        make_split(sequences, "global_time", eval_target=which, test_share=0.3)
        for which in ("all", "random", "random")
    )
    assert (drawn.test.user == again.test.user).all()
    assert (drawn.test.target == again.test.target).all()
    assert drawn.test.user.tolist() == sorted(set(every.test.user.tolist()))
    pairs = set(zip(every.test.user.tolist(), every.test.target.tolist(), strict=True))
    assert pairs.issuperset(zip(drawn.test.user.tolist(), drawn.test.target.tolist(), strict=True))
    first = {user: min(target for one, target in pairs if one == user) for user, _ in pairs}
    assert any(target != first[user] for user, target in zip(drawn.test.user, drawn.test.target, strict=True))


@pytest.mark.parametrize("kind", ["leave_one_out", "train_only"])
def test_other_targets_belong_to_global_time(kind):
    with pytest.raises(
        ConfigError, match=f"data.eval_target=last: belongs to data.split=global_time; data.split={kind}"
    ):
        make_split(sequences_of([4]), kind, eval_target="last")


def test_an_unknown_target_is_refused():
    with pytest.raises(ConfigError, match=r"data.eval_target='middle': choose one of first, last, random, all"):
        make_split(sequences_of([4]), "global_time", eval_target="middle")


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
