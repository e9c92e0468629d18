"""What a run reports is of its best epoch, wherever in the run that was."""

import pytest
from runs import composed, places
from watched_runs import differing, part, small, watched

from missrec_pl.experiment.evaluate import evaluate

WORST_IS_BEST = ("callbacks.early_stopping.mode=min", "callbacks.model_checkpoint.mode=min")
NETWORKS = [
    ("model=sasrec", "optim.optimizer.lr=0.03"),
    (
        "model=missrec_released",
        "callbacks=averaged",
        "callbacks.weight_average.decay=0.5",
        "optim.optimizer.lr=0.03",
    ),
]


@pytest.mark.parametrize("said", NETWORKS, ids=" ".join)
def test_a_run_reports_its_first_epoch_if_that_was_the_best(said, truths, tmp_path, monkeypatch):
    """The score is minimised, so that learning makes it worse."""
    run = watched(small(*said, *WORST_IS_BEST), truths.clean, tmp_path / "run", monkeypatch)
    scores = [curve["val/ndcg@10"] for curve in run.curves]
    assert len(scores) > 1
    assert scores[0] < min(scores[1:])
    alone = small(*said, *WORST_IS_BEST, "trainer.max_epochs=1")
    first = watched(alone, truths.clean, tmp_path / "first", monkeypatch)
    assert run.validation_figures == first.validation_figures == part(run.curves[0], "val/")
    assert run.test_figures == first.test_figures
    assert not differing(run.tested, first.tested)

    repeated = figures(tmp_path, run.results["checkpoint"])
    assert repeated == run.test_figures
    assert figures(tmp_path, "checkpoints/last.ckpt") != repeated


def figures(tmp_path, checkpoint):
    """Test figures of eval.py."""
    said = (f"ckpt={tmp_path}/run/{checkpoint}", *places(tmp_path, "eval")[:1], "trainer=cpu")
    return part(evaluate(composed(*said, config="eval"))["metrics"], "test/")
