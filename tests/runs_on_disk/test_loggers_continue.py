"""Loggers of a continued run go on where its checkpoint was written."""

import csv
import time

import pytest

from missrec_pl.loggers import Continuable
from missrec_pl.loggers.csv import CSVLogger
from missrec_pl.loggers.wandb import WandbLogger


def rows(folder):
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def logger(folder):
    return CSVLogger(save_dir=str(folder), name="csv", version="")


def write(one, *steps, **values):
    for step in steps:
        one.log_metrics({"loss": step / 10, **values}, step=step)
        one.save()


def test_rows_before_the_checkpoint_stay_and_the_rest_is_written_again(tmp_path):
    whole = logger(tmp_path / "whole")
    write(whole, 1, 2, 3, 4)
    write(logger(tmp_path), 1, 2, 3)
    again = logger(tmp_path)
    again.continue_from(3)
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2"]
    write(again, 3, 4)
    assert rows(tmp_path) == rows(tmp_path / "whole")


def test_new_columns_join_the_old_rows(tmp_path):
    write(logger(tmp_path), 1)
    again = logger(tmp_path)
    again.continue_from(2)
    write(again, 2, extra=1.0)
    assert rows(tmp_path) == [
        {"extra": "", "loss": "0.1", "step": "1"},
        {"extra": "1.0", "loss": "0.2", "step": "2"},
    ]


def test_a_torn_last_row_is_dropped(tmp_path):
    write(logger(tmp_path), 1, 2)
    file = tmp_path / "csv" / "metrics.csv"
    file.write_text(file.read_text() + "0.3")
    again = logger(tmp_path)
    again.continue_from(9)
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2"]


def test_a_folder_without_curves_starts_them(tmp_path):
    fresh = logger(tmp_path)
    fresh.continue_from(5)
    write(fresh, 5)
    assert [row["step"] for row in rows(tmp_path)] == ["5"]


def test_wandb_goes_on_with_the_run_of_the_folder(tmp_path):
    (tmp_path / "wandb" / "offline-run-20260101_000000-abc123").mkdir(parents=True)
    one = WandbLogger(save_dir=str(tmp_path), offline=True)
    one.continue_from(5)
    assert (one._wandb_init["id"], one._wandb_init["resume"], one.version) == ("abc123", "allow", "abc123")


def test_wandb_starts_its_own_run_where_there_was_none(tmp_path):
    one = WandbLogger(save_dir=str(tmp_path), offline=True)
    one.continue_from(5)
    assert one._wandb_init["id"] is None


def test_tensorboard_hides_what_is_repeated(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from missrec_pl.loggers.tensorboard import TensorBoardLogger

    for first, steps in ((None, (1, 2, 3, 4)), (3, (3, 4))):
        one = TensorBoardLogger(save_dir=str(tmp_path), name="tensorboard", version="")
        assert isinstance(one, Continuable)
        if first is not None:
            one.continue_from(first)
        for step in steps:
            one.log_metrics({"loss": step / 10}, step=step)
        one.finalize("success")
        time.sleep(1.1)  # event files are named by the second
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
