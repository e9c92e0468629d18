"""Baselines learn nothing from held-out targets, and choose their constants on validation alone.

The user's way: through the composition root, which hands the data over. Every registered baseline takes part.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from watched_runs import small

from missrec_pl.baselines import evaluate as evaluation
from missrec_pl.baselines.base import BaselineData, TunableBaseline
from missrec_pl.baselines.histories import HeldOut
from missrec_pl.baselines.registry import Context, available
from missrec_pl.experiment.comparison import baseline_entries
from missrec_pl.experiment.train import train

HAS = np.array([False, True])
NAMES = available(
    BaselineData(
        np.array([1]), np.array([0, 1]), 1, {m: np.eye(2) for m in ("text", "image")}, {"text": HAS, "image": HAS}
    )
)


def asked(num_items, count=25):
    """Histories and targets that no run knows."""
    random = np.random.default_rng(5)
    histories = [random.integers(1, num_items + 1, random.integers(1, 9)) for _ in range(count)]
    offsets = np.cumsum([0, *map(len, histories)])
    rows = HeldOut(np.concatenate(histories), offsets, random.integers(1, num_items + 1, count))
    return rows.block(0, count, num_items)


def answers(baseline, num_items):
    """The ranks that a fitted baseline gives, with each of the constants that it may choose."""
    grid = [None]
    if isinstance(baseline, TunableBaseline):
        starts = {part.name: (part.grid({})[0],) * 2 for part in baseline.parts}
        grid = baseline.grid(starts)
    histories, columns = asked(num_items)
    found = [evaluation.rank(baseline, histories, columns, settings) for settings in grid]
    return [(one.included.tolist(), one.excluded.tolist()) for one in found]


@pytest.fixture(scope="module")
def compared(truths, tmp_path_factory):
    """For the clean data, other test targets and other validation targets: ranks, choices and results."""
    found = []
    for data_dir in truths:
        seen = []

        def noted(data, options, seen=seen):
            seen.append(Context(data, options))
            return seen[-1]

        cfg = small("phase=baselines", "baselines.names=null")
        folder = tmp_path_factory.mktemp("baselines")
        cfg.paths.data_dir, cfg.paths.output_dir, cfg.paths.cache_dir = (
            data_dir,
            str(folder),
            str(folder / "cache"),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "Context", noted)
            results = train(cfg)
        (context,) = seen
        fitted = {name: answers(context.get(name), context.data.num_items) for name in NAMES}
        found.append((fitted, results))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_fitted_baseline_has_seen_no_held_out_target(name, compared):
    (clean, _), (test, _), (validation, _) = compared
    assert clean[name] == test[name]
    assert clean[name] == validation[name]


def test_constants_are_chosen_on_validation(compared):
    clean, test, validation = (results["baseline_settings"] for _, results in compared)
    assert clean == test
    assert clean != validation


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random"])
def test_reported_figures_are_of_the_test_targets(name, compared):
    clean, test, _ = (results["baselines"][name] for _, results in compared)
    assert clean != test


def test_the_phase_says_that_nothing_trains(compared):
    for _, results in compared:
        assert results["num_params"] == results["num_trainable_params"] == 0


def test_several_domains_have_no_baselines():
    domains = SimpleNamespace(catalogue=SimpleNamespace(domains=["one", "other"]))
    assert baseline_entries(small("phase=baselines"), domains) == {"baselines": {}}
