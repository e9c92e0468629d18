"""What chance does to a metric of U users, with S seeds of a network: intervals, tests, and what is said of them.

Users are those of one test set, so all groups of runs share them; every group has seeds of its own. Of few seeds a
plain bootstrap knows too small a deviation: S - 1 are drawn, whose mean varies as that of S seeds.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_DRAWN_AT_ONCE = 2**15  # users, of a resample or of several

Floats = NDArray[np.float64]


def bootstrap_groups(groups: Mapping[str, Floats], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Floats]:
    """``[resamples]`` means of each group ``[U, S]``: users drawn for all alike, seeds for each group."""
    means = bootstrap_means(np.concatenate(list(groups.values()), axis=1), resamples, seed)
    random = np.random.default_rng([seed, 1])
    found, first = {}, 0
    for name, values in groups.items():
        count = values.shape[1]
        chosen = random.integers(count, size=(resamples, max(count - 1, 1)))
        found[name] = np.take_along_axis(means[:, first : first + count], chosen, axis=1).mean(1)
        first += count
    return found


def permutation_chance(first: Floats, second: Floats, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """The two-sided p-value of the difference in mean of two groups, ``[U, S]`` and ``[U, T]``.

    A user's two results change places, and so do, around the mean, the results of each seed (whose deviations are
    scaled to that of S seeds drawn from many): with one seed on either side users alone speak.
    """
    random = np.random.default_rng(seed)
    gaps = first.mean(1) - second.mean(1)
    observed = gaps.mean()
    changing = gaps[gaps != 0] / len(gaps)
    drawn = np.zeros(resamples)
    size = max(1, _DRAWN_AT_ONCE // max(len(changing), 1))
    for start in range(0, resamples, size):
        part = drawn[start : start + size]
        part += _signs(random, len(part), len(changing)) @ changing
    for group in (first, second):
        count = group.shape[1]
        if count > 1:
            deviations = group.mean(0) - group.mean()
            drawn += _signs(random, resamples, count) @ deviations / np.sqrt(count * (count - 1))
    as_large = np.abs(drawn) >= abs(observed) * (1 - 1e-9)
    return float((as_large.sum() + 1) / (resamples + 1))


def effect_size(first: Floats, second: Floats) -> float | None:
    """The mean difference of users over its deviation (Cohen's d of pairs); None where all differ alike."""
    gaps = first.mean(1) - second.mean(1)
    deviation = gaps.std(ddof=1) if len(gaps) > 1 else 0.0
    return float(gaps.mean() / deviation) if deviation > 0 else None


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm, 1979)."""
    found, highest = {}, 0.0
    for number, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        highest = max(highest, min(1.0, chances[name] * (len(chances) - number)))
        found[name] = highest
    return found


def interval_in_words(drawn: Floats, level: float = 0.95, *, signed: bool = False) -> str:
    """The percentile interval of draws, as ``+0.0010 to +0.0030``."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    sign = "+" if signed else ""
    return f"{low:{sign}.4f} to {high:{sign}.4f}"


def chance_in_words(value: float) -> str:
    """A p-value, as ``0.0312`` or ``< .001``."""
    return f"{value:.4f}" if value >= 0.001 else "< .001"


def effect_in_words(value: float | None) -> str:
    """An effect size, as ``-0.12``; empty where there is none."""
    return "" if value is None else f"{value:+.2f}"


def _signs(random: np.random.Generator, rows: int, columns: int) -> Floats:
    """``[rows, columns]`` of -1 and 1."""
    return np.where(random.integers(2, size=(rows, columns), dtype=np.int8), 1.0, -1.0)


def bootstrap_means(differences: Floats, resamples: int, seed: int) -> Floats:
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
