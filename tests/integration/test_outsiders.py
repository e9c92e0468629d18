"""Parts in a user's own package: the recipe of docs/extending.md as it stands there, run as a user would."""

import json
import os
import re

import pytest
from forked import ROOT, run_forked

QUICK = (
    *("data=synthetic", "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null", "data.batch_size=64"),
    *("baselines.names=[]", "++trainer.limit_train_batches=20"),
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The package and configs that the page shows, and a callback, a source and an augmentation beside them."""
    folder = tmp_path_factory.mktemp("outside")
    page = (ROOT / "docs" / "extending.md").read_text()
    for kind, mark in (("python", "#"), ("yaml", "#")):
        for name, text in re.findall(rf"```{kind}\n{mark} (\S+)\n(.*?)```", page, re.DOTALL):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (folder / "mypkg" / "__init__.py").touch()
    (folder / "mypkg" / "rest.py").write_text(
        "from pathlib import Path\n"
        "import lightning as L\n"
        "from missrec_pl.data.augmentations import drop_items\n"
        "from missrec_pl.data.synthetic import SyntheticDomains\n\n\n"
        "class Witness(L.Callback):\n"
        "    at_evaluation = True\n\n"
        "    def __init__(self, folder):\n"
        "        self.folder = Path(folder)\n\n"
        "    def on_test_start(self, trainer, pl_module):\n"
        "        with (self.folder / 'witness').open('a') as file:\n"
        "            file.write('tested ')\n\n\n"
        "class Source(SyntheticDomains):\n"
        "    pass\n\n\n"
        "class DropNewest:\n"
        "    def __call__(self, batch):\n"
        "        keep = batch.history > 0\n"
        "        keep.scatter_(1, batch.length[:, None] - 1, False)\n"
        "        return batch, drop_items(batch, keep)\n"
    )
    (folder / "myconfigs" / "data").mkdir()
    (folder / "myconfigs" / "data" / "mine.yaml").write_text(
        "defaults: [base]\nname: mine\nsource:\n  _target_: mypkg.rest.Source\n"
        "  cache_dir: ${paths.cache_dir}\n  num_domains: 1\n  num_users: 200\n"
    )
    return folder


def command(outside, *words, script="train.py"):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{outside}"}
    done = run_forked(ROOT / script, *words, f"paths.cache_dir={outside / 'cache'}", cwd=outside, env=environment)
    return done.returncode, done.stdout + done.stderr


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_the_recipe_is_short():
    page = (ROOT / "docs" / "extending.md").read_text()
    recipe = page[page.index("## A network in a package") : page.index("## Checkpoints that name")]
    assert len(recipe.splitlines()) <= 60


def test_a_network_and_a_loss_of_ones_own(outside):
    run = outside / "run"
    witness = "+callbacks.witness={_target_: mypkg.rest.Witness, folder: " + str(outside) + "}"
    said = ("--config-dir", "myconfigs", "model=decaying_mean", "objective=focal", "data=mine", witness)
    code, told = command(outside, *said, *QUICK[1:], f"hydra.run.dir={run}")
    assert code == 0, told
    assert results(run)["model"] == "DecayingMean"
    assert results(run)["reads"] == ["ids"]
    assert (outside / "witness").read_text().split() == ["tested"]

    best = f"ckpt={run / 'checkpoints' / 'best.ckpt'}"
    code, told = command(outside, best, f"hydra.run.dir={outside / 'refused'}", script="eval.py")
    assert code == 2
    assert "trust=[mypkg]" in told
    again = ("baselines.names=[]", best, f"hydra.run.dir={outside / 'again'}")
    code, told = command(outside, "trust=[mypkg]", "+baselines.names=[]", *again[1:], script="eval.py")
    assert code == 0, told
    assert results(outside / "again")["metrics"] == {
        name: value for name, value in results(run)["metrics"].items() if name.startswith("test/")
    }
    assert (outside / "witness").read_text().split() == ["tested", "tested"]


def test_an_augmentation_of_ones_own(outside):
    said = ("phase=pretrain", "model=sasrec", "model.items_from=features", "data=synthetic", *QUICK[1:])
    mine = "objective.augmentation={_target_: mypkg.rest.DropNewest}"
    code, told = command(
        outside, *said, "~objective.augmentation", f"+{mine}", f"hydra.run.dir={outside / 'views'}"
    )
    assert code == 0, told
    assert "train/seq_seq" in told
