"""Configs of foreign checkpoints: nothing in them is run, and one line says what was found."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from runs import composed, places, tiny
from stored_cases import CASES, LEFT, TRACE, changed, put

from missrec_pl.checkpoints.versions import CLASS_PATHS
from missrec_pl.experiment.cli import user_mistakes
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train
from missrec_pl.report.__main__ import main

OWN = '''
"""A user's own package."""
import os
from pathlib import Path

import lightning as L

from missrec_pl.data.augmentations import ItemDrop


class Mine(ItemDrop):
    """An augmentation."""


class Seen(L.Callback):
    """Says that it was there."""

    at_evaluation = True

    def on_test_start(self, trainer, pl_module):
        Path("SEEN").touch()


class InTraining(L.Callback):
    """Has no part in evaluations."""

    def __init__(self):
        Path("HARM").touch()
'''
MINE = {"_target_": "mypkg.Mine", "probability": 0.2}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where hostile code would leave its trace; ``${trace:x}`` is a resolver that leaves one."""
    monkeypatch.chdir(tmp_path)
    OmegaConf.register_new_resolver("trace", lambda _: Path(TRACE).touch(), replace=True)
    yield tmp_path
    OmegaConf.clear_resolver("trace")


@pytest.fixture
def own_package(place, monkeypatch):
    for name in ("mypkg", "mypkg_evil"):
        (place / "code" / name).mkdir(parents=True)
        (place / "code" / name / "__init__.py").write_text(OWN)
    monkeypatch.syspath_prepend(place / "code")


def of_the_run(trained):
    """Where the run's data lies."""
    return (f"paths.cache_dir={trained.parents[2] / 'cache'}", f"paths.data_dir={trained.parents[2] / 'data'}")


def in_eval(trained, file, *overrides):
    there = (*places(file.parent, "eval"), *of_the_run(trained))
    evaluate(composed(f"ckpt={file}", "trainer=cpu", *there, *overrides, config="eval"))


def in_ensemble(trained, file, *overrides):
    in_eval(trained, shutil.copy(trained, file.parent / "good.ckpt"), f"ensemble=[{file}]", *overrides)


def in_report(trained, file, *arguments):
    cache = ("--cache-dir", str(trained.parents[2] / "cache"))
    code = main(["interests", str(file), "--out", str(file.parent / "out.png"), *cache, *arguments])
    if code:
        raise SystemExit(code)


def training(trained, file, *overrides):
    once = ("test=false", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1")
    train(tiny(file.parent, *once, *of_the_run(trained), *overrides))


def in_ckpt(trained, file):
    training(trained, file, f"ckpt={file}")


def in_resume(trained, file):
    training(trained, file, f"resume={file}", "trainer.max_epochs=2", "finetune=full")


def errors_of(run, capsys):
    """The exit code, 0 where the program does its work, and the errors that it prints."""
    code = 0
    capsys.readouterr()
    try:
        with user_mistakes():
            run()
    except SystemExit as ended:
        code = ended.code
    return code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def check_refused(run, capsys, *parts):
    code, errors = errors_of(run, capsys)
    assert (code, len(errors)) == (2, 1)
    for part in parts:
        assert part in errors[0]
    assert len(errors[0]) < 700
    assert not Path(TRACE).exists()


@pytest.mark.parametrize("show", [in_eval, in_ensemble, in_report])
@pytest.mark.parametrize("what", CASES)
def test_what_builds_a_stored_config_runs_nothing_of_it(show, what, trained, place, capsys):
    change, said = CASES[what]
    file = changed(trained, place / "foreign.ckpt", change)
    if said != LEFT:
        check_refused(lambda: show(trained, file), capsys, "foreign.ckpt", said)
        assert not list(place.rglob("results.json"))
    else:
        assert errors_of(lambda: show(trained, file), capsys) == (0, [])
        assert not Path(TRACE).exists()


@pytest.mark.parametrize("show", [in_ckpt, in_resume])
@pytest.mark.parametrize("what", CASES)
def test_what_compares_a_stored_config_runs_nothing_of_it(show, what, trained, place, capsys):
    """Training builds what its own config says: it goes on, or finds another model."""
    file = changed(trained, place / "foreign.ckpt", CASES[what][0])
    code, errors = errors_of(lambda: show(trained, file), capsys)
    assert (code, len(errors)) in ((0, 0), (2, 1))
    assert not Path(TRACE).exists()


def test_values_that_decide_about_a_resumed_run_are_made_by_no_resolver(trained, place, capsys):
    for name in ("setting.name", "model.num_heads"):
        file = changed(trained, place / "foreign.ckpt", put(name, "${trace:x}"))
        check_refused(lambda file=file: in_resume(trained, file), capsys, f"{name} holds ${{trace:x}}")


def test_a_users_own_class_needs_trust(trained, place, own_package, capsys):
    file = changed(trained, place / "mine.ckpt", put("objective.augmentation", MINE))
    said = ("objective.augmentation._target_ names mypkg.Mine", "if you trust the package mypkg, say ")
    check_refused(lambda: in_eval(trained, file), capsys, *said, "say trust=[mypkg].")
    check_refused(lambda: in_ensemble(trained, file), capsys, *said, "say trust=[mypkg].")
    check_refused(lambda: in_report(trained, file), capsys, *said, "say --trust mypkg.")
    assert errors_of(lambda: in_eval(trained, file, "trust=[mypkg]"), capsys) == (0, [])
    assert errors_of(lambda: in_ensemble(trained, file, "trust=[mypkg]"), capsys) == (0, [])
    assert errors_of(lambda: in_report(trained, file, "--trust", "mypkg"), capsys) == (0, [])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mypkg_evil.Mine", "if you trust the package mypkg_evil"),
        ("mypkg.os.system", "not defined in mypkg but in posix"),
        ("mypkg.Path", "not defined in mypkg but in pathlib"),
        ("mypkg.ItemDrop", "not defined in mypkg but in missrec_pl.data.augmentations"),
        ("mypkg.Mine.__init__.__globals__.get", "not defined in mypkg but in no module"),
        ("mypkg.Nothing", "cannot be imported"),
        ("mypkg", "if you trust the package mypkg"),
    ],
)
def test_trust_is_of_what_the_package_defines(target, said, trained, place, own_package, capsys):
    file = changed(trained, place / "mine.ckpt", put("objective.augmentation", {"_target_": target}))
    check_refused(lambda: in_eval(trained, file, "trust=[mypkg]"), capsys, f"names {target}", said)


@pytest.mark.parametrize("package", ["os", "missrec_pl", "hydra.utils", "my-pkg", ""])
def test_what_is_nobodys_own_cannot_be_trusted(package, trained, place, capsys):
    file = changed(trained, place / "mine.ckpt", put("objective.augmentation", MINE))
    trust = f"trust=['{package}']"
    check_refused(lambda: in_eval(trained, file, trust), capsys, f"trust=[{package}]: is no package of your own")


@pytest.mark.parametrize(("name", "is_kept"), [("Seen", True), ("InTraining", False)])
def test_a_users_callback_says_whether_it_is_of_evaluations(name, is_kept, trained, place, own_package, capsys):
    file = changed(trained, place / "mine.ckpt", put("callbacks.mine", {"_target_": f"mypkg.{name}"}))
    assert errors_of(lambda: in_eval(trained, file), capsys) == (0, [])
    assert not Path("SEEN").exists()
    shutil.rmtree(place / "eval")
    assert errors_of(lambda: in_eval(trained, file, "trust=[mypkg]"), capsys) == (0, [])
    assert Path("SEEN").exists() is is_kept
    assert not Path(TRACE).exists()


def test_class_paths_of_earlier_versions_are_understood(trained, place, capsys):
    old = {new: name for name, new in CLASS_PATHS.items()}

    def change(config):
        for node in (config["model"], config["objective"], config["interest"]["method"], config["data"]["source"]):
            node["_target_"] = old[node["_target_"]]

    file = changed(trained, place / "old.ckpt", change)
    for show in (in_eval, in_ensemble, in_report, in_ckpt):
        assert errors_of(lambda show=show: show(trained, file), capsys) == (0, [])
    assert torch.load(place / "run" / "checkpoints" / "last.ckpt", weights_only=True)
