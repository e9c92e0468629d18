"""Held-out targets reach nothing but the figures that are reported, and what is chosen on validation.

Each run is repeated on data whose test targets are random items, and on data whose validation targets are. What
learns from a target that it must not see ends with other bits.
"""

import pytest
from noisy_data import write_truths
from runs import CONFIGS
from watched_runs import content, differing, small, watched


def configs_of(group):
    """All choices of a group."""
    files = (CONFIGS / group).rglob("*.yaml")
    return sorted(f"{group}={file.relative_to(CONFIGS / group).with_suffix('').as_posix()}" for file in files)


NETWORKS, PRESETS = configs_of("model"), configs_of("experiment")
PHASES = [
    ("phase=pretrain", "model=missrec_released", "callbacks=no_validation"),
    ("phase=pretrain", "model=sasrec", "model.items_from=features"),
]


@pytest.fixture(scope="module")
def runs(truths, tmp_path_factory):
    """Runs on the clean data, on other test targets, on other validation targets; equal configs run once."""
    done = {}

    def of(said, where=truths):
        cfg = small(*said)
        key = content(cfg), where
        if key not in done:
            folder, patch = tmp_path_factory.mktemp("run"), pytest.MonkeyPatch()
            done[key] = [
                watched(cfg, one, folder / name, patch, is_tested=name != "validation")
                for name, one in vars(where).items()
            ]
        return done[key]

    return of


@pytest.mark.parametrize("said", [*((one,) for one in NETWORKS), *PHASES], ids=" ".join)
def test_held_out_targets_teach_no_network(said, runs):
    check(*runs(said))


@pytest.mark.parametrize("preset", PRESETS)
def test_nor_do_they_by_any_preset(preset, runs):
    check(*runs((preset, "trainer.max_epochs=1")))


@pytest.mark.parametrize("model", ["sasrec", "missrec_tuned"])
def test_nor_do_they_by_a_split_by_time(model, runs, tmp_path):
    check(*runs((f"model={model}", "data.split=global_time"), write_truths(tmp_path, "global_time")))


def check(clean, test, validation):
    """Of what held-out targets may reach, something is reached; of what they may not, nothing."""
    for epoch, (one, other) in enumerate(zip(clean.epochs, test.epochs, strict=True)):
        assert not differing(one, other), f"epoch {epoch} has seen test targets"
    assert clean.curves == test.curves
    assert clean.validation_figures == test.validation_figures
    assert not differing(clean.tested, test.tested)
    for epoch, (one, other) in enumerate(zip(clean.epochs, validation.epochs, strict=True)):
        assert not differing(one, other), f"epoch {epoch} has seen validation targets"
    for one, other in zip(clean.curves, validation.curves, strict=True):
        assert without_validation(one) == without_validation(other)
    if clean.test_figures:
        assert clean.test_figures != test.test_figures
    if clean.validation_figures:
        assert clean.validation_figures != validation.validation_figures


def without_validation(curve):
    return {name: value for name, value in curve.items() if not name.startswith(("val/", "best/"))}


def test_a_run_stops_where_it_would_have_stopped(truths, tmp_path, monkeypatch):
    cfg = small("model=sasrec", "optim.optimizer.lr=0.2", "callbacks.early_stopping.patience=1")
    cfg.trainer.max_epochs = 12
    clean, test, validation = (
        watched(cfg, one, tmp_path / str(number), monkeypatch) for number, one in enumerate(truths)
    )
    assert len(clean.epochs) == len(test.epochs) < 12
    assert clean.curves == test.curves
    assert not differing(clean.tested, test.tested)
    for one, other in zip(clean.epochs, validation.epochs, strict=False):
        assert not differing(one, other)
