"""Means of users under resampling."""

import numpy as np
from numpy.typing import NDArray

_DRAWN_AT_ONCE = 2**15  # users, of a resample or of several


def bootstrap_means(differences: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """``[resamples, M]`` means over users ``[U, M]`` drawn with replacement."""
    random, num_users = np.random.default_rng(seed), len(differences)
    size = max(1, _DRAWN_AT_ONCE // num_users)
    means = []
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        drawn = random.integers(num_users, size=(count, num_users)) + num_users * np.arange(count)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=count * num_users).reshape(count, num_users)
        means.append(times_drawn @ differences / num_users)
    return np.concatenate(means)
