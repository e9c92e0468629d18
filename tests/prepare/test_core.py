import numpy as np

from missrec_pl.prepare.grocery_conversion import first_in_time, k_core, neutral_order


def test_k_core_drops_until_a_fixpoint() -> None:
    # A chain: user 3's only items hang on each other, so dropping one drops the next.
    users = np.array([1, 1, 2, 2, 3, 3, 4])
    items = np.array([10, 11, 10, 11, 11, 12, 12])
    kept = k_core(users, items, 2)
    assert users[kept].tolist() == [1, 1, 2, 2]
    assert items[kept].tolist() == [10, 11, 10, 11]


def test_k_core_keeps_what_has_enough_and_may_keep_nothing() -> None:
    users, items = np.repeat(np.arange(5), 5), np.tile(np.arange(5), 5)
    assert k_core(users, items, 5).all()
    assert not k_core(users, items, 6).any()
    empty = np.array([], np.int64)
    assert k_core(empty, empty, 5).shape == (0,)


def test_first_in_time_drops_repeats_and_sorts() -> None:
    users = np.array([2, 1, 1, 1, 2])
    items = np.array([7, 8, 9, 8, 7])
    times = np.array([5, 30, 20, 10, 4])
    first = first_in_time(users, items, times, ties=np.zeros(5, np.int64))
    assert [(users[i], items[i], times[i]) for i in first] == [(1, 8, 10), (1, 9, 20), (2, 7, 4)]


def test_ties_do_not_depend_on_input_order_or_prefer_large_ids() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(400), 10)
    items = rng.integers(1_000_000, size=4000)
    times = np.zeros(4000, np.int64)
    baskets = users + 7
    first = first_in_time(users, items, times, baskets)
    shuffle = rng.permutation(4000)
    again = first_in_time(users[shuffle], items[shuffle], times, baskets[shuffle])
    np.testing.assert_array_equal(items[first], items[shuffle][again])
    last = items[first].reshape(400, 10)[:, -1]
    assert abs(last.mean() / 500_000 - 1) < 0.1
    assert len(np.unique(neutral_order(baskets, items))) > 3990
