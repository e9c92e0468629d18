import re

import pytest
from runs import SMALL, places, run_cli

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'missrec-pl[sweep]'")


@pytest.mark.slow
def test_a_search_tries_values_on_validation_and_names_the_best(tmp_path):
    _, cache, data = places(tmp_path)
    done = run_cli(
        "-m",
        "hparams_search=optuna",
        "experiment=tuned",
        "data=synthetic",
        "hydra.sweeper.n_trials=2",
        "trainer.max_epochs=1",
        "callbacks.progress=null",
        f"hydra.sweep.dir={tmp_path / 'search'}",
        *SMALL,
        cache,
        data,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    scores = [float(score) for score in re.findall(r"best (0\.\d+)\)", said)]
    assert len(scores) == 2
    best = float(re.findall(r"Best value: (0\.\d+)", said)[-1])
    assert best == pytest.approx(max(scores), abs=1e-4)
    assert not re.search(r"test/|recall@10", said), "a search never tests"
