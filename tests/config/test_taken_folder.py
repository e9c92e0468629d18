"""A run does not take the place of another one's results."""

import json

import pytest

from missrec_pl.config.run_folder import refuse_taken_folder, refuse_trained_folder
from missrec_pl.errors import ConfigError

COMMAND = ["data=shop", "seed=1"]


def written(folder, *, phase="finetune", overrides=COMMAND):
    (folder / "results.json").write_text(json.dumps({"phase": phase, "overrides": overrides}), encoding="utf-8")
    return folder


def test_an_empty_folder_and_the_same_command_again(tmp_path):
    refuse_taken_folder(tmp_path / "new", COMMAND, None)
    written(tmp_path)
    refuse_taken_folder(tmp_path, ["seed=1", "data=shop", "paths.cache_dir=x", "logger=wandb"], None)


@pytest.mark.parametrize("overrides", [["data=other", "seed=1"], ["data=shop"], [*COMMAND, "model.dropout=.3"]])
def test_another_run_is_not_replaced(tmp_path, overrides):
    with pytest.raises(
        ConfigError, match=r"holds the results of another run \(data=shop seed=1; now .*another fol"
    ):
        refuse_taken_folder(written(tmp_path), overrides, None)
    refuse_taken_folder(tmp_path, overrides, "last")  # whether that fits its checkpoint says


def test_a_run_that_has_not_ended_is_continued_or_left_alone(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(ConfigError, match="has not ended; continue it with resume=last"):
        refuse_taken_folder(tmp_path, COMMAND, None)
    refuse_taken_folder(tmp_path, COMMAND, "last")


def test_an_evaluation_and_a_training_run_keep_apart(tmp_path):
    refuse_trained_folder(written(tmp_path, phase="eval"))
    with pytest.raises(ConfigError, match=r"of another run \(an evaluation; now data=shop seed=1\)"):
        refuse_taken_folder(tmp_path, COMMAND, None)
    with pytest.raises(ConfigError, match=r"of a training run \(data=shop seed=1\)"):
        refuse_trained_folder(written(tmp_path))


def test_results_that_cannot_be_read_are_somebodys(tmp_path):
    (tmp_path / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds the results of another run"):
        refuse_taken_folder(tmp_path, COMMAND, None)
