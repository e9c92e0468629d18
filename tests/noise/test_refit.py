"""A last fit learns from the validation targets, and from no test target; its constants were chosen before."""

import pytest
from watched_runs import differing, small, watched

from missrec_pl.experiment.train import train

REFIT = ("experiment=tuned", "scorers=rich", "data.refit=true", "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def runs(truths, tmp_path_factory):
    folder, patch = tmp_path_factory.mktemp("refit"), pytest.MonkeyPatch()
    return [watched(small(*REFIT), one, folder / str(number), patch) for number, one in enumerate(truths)]


def test_the_tuned_preset_learns_from_validation_targets_and_from_no_test_target(runs):
    clean, test, validation = runs
    assert not differing(clean.tested, test.tested)
    assert clean.test_figures != test.test_figures
    assert differing(clean.tested, validation.tested)
    assert not clean.validation_figures


def test_results_say_so(runs):
    assert runs[0].results["protocol"]["refit"] is True
    assert runs[0].results["checkpoint"].endswith("best.ckpt")


def test_baselines_keep_the_constants_that_validation_chose(truths, tmp_path):
    found = {}
    for refit in (False, True):
        cfg = small("phase=baselines", "baselines.names=null", f"data.refit={refit}")
        cfg.paths.data_dir, cfg.paths.output_dir = truths.clean, str(tmp_path / str(refit))
        cfg.paths.cache_dir = str(tmp_path / "cache")
        found[refit] = train(cfg)
    assert found[True]["baseline_settings"] == found[False]["baseline_settings"]
    for name in ("popularity", "cooccurrence_knn", "ease", "hybrid_knn"):
        assert found[True]["baselines"][name] != found[False]["baselines"][name]
    for name in ("content_knn", "text_knn"):  # of features alone
        assert found[True]["baselines"][name] == found[False]["baselines"][name]
