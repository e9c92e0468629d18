"""What a run reports is of its best epoch, wherever in the run that was."""

import pytest
import torch
from runs import composed, places
from watched_runs import differing, part, small, watched

from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.modules.ranking import RankingModule

WORST_IS_BEST = ("callbacks.early_stopping.mode=min", "callbacks.model_checkpoint.mode=min")
NETWORKS = [
    ("model=sasrec", "optim.optimizer.lr=0.3"),
    (
        "model=missrec_released",
        "callbacks=averaged",
        "callbacks.weight_average.decay=0.5",
        "optim.optimizer.lr=0.03",
    ),
]


@pytest.mark.parametrize("said", NETWORKS, ids=" ".join)
def test_a_run_reports_its_first_epoch_if_that_was_the_best(said, truths, tmp_path, monkeypatch):
    """The score is minimised, so that learning makes it worse; a user who says so is told that it is a mistake."""
    monkeypatch.setattr("missrec_pl.config.validation._monitors", lambda cfg: [])
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


TOLD = [0.1, 0.1, 0.3, 0.3, 0.2, 0.3, 0.1, 0.1]


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        ((), TOLD),
        (("+trainer.val_check_interval=0.5",), TOLD),
        (("+trainer.val_check_interval=0.5",), TOLD[1:]),
        (("trainer.check_val_every_n_epoch=2",), TOLD[1:]),
    ],
    ids=["every epoch", "within an epoch", "twice an epoch", "every other epoch"],
)
def test_stopping_checkpoint_and_results_agree_on_the_best(said, scores, truths, tmp_path, monkeypatch):
    """Of equal scores the first is the best: patience counts from it, it is kept, and it is reported."""
    steps, told = [], iter(scores)

    def log(self, stage, metrics):
        metrics.reset()
        if not self.trainer.sanity_checking:
            found = next(told) if stage == "val" else 0.0
            steps.append(self.trainer.global_step)
            self.log_dict({f"{stage}/ndcg@10": found, f"{stage}/step": float(self.trainer.global_step)})

    monkeypatch.setattr(RankingModule, "_log_metrics", log)
    patience = (
        "callbacks.early_stopping.patience=3",
        "trainer.max_epochs=20",
        "data.batch_size=64",
        "data.example=prefix",
    )
    run = watched(small("model=sasrec", *patience, *said), truths.clean, tmp_path / "run", monkeypatch)
    best = scores.index(max(scores))
    kept = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert next(told) == scores[best + 4]  # patience ended there
    assert kept["global_step"] == steps[best]
    assert run.validation_figures["val/step"] == steps[best]
