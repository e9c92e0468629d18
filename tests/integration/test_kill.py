"""Killed at any moment and continued, ten times over, a run ends as if nothing had happened."""

import csv
import json
import os
import random
import signal
import time
import traceback

import pytest
import torch
from runs import tiny

from missrec_pl.experiment.train import train

KILLS = 10
RUN = ("data.batch_size=128", "trainer.max_epochs=8", "callbacks.last_checkpoint.every_n_steps=2")


def start(folder, name):
    """The run in a process of its own; forked, so that it does not import everything again."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(tiny(folder, *RUN, "resume=last", name=name))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def finish(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def kill_after(child, seconds):
    """Whether the process was still running when it was killed."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def curve(folder):
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


def outcome(folder):
    results = json.loads((folder / "results.json").read_text())
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    steps = [slot["step"] for slot in state["optimizer_states"][0]["state"].values()]
    return results["metrics"], state["state_dict"], state["optimizer_states"][0]["state"], steps


def place(folder):
    """Epoch and step that a run would be continued from."""
    file = folder / "checkpoints" / "last.ckpt"
    if not file.is_file():
        return "no checkpoint yet"
    content = torch.load(file, weights_only=True)
    return f"epoch {content['epoch']}, step {content['global_step']}"


@pytest.mark.slow
def test_ten_kills_change_nothing(shared):
    train(
        tiny(shared, "trainer.max_epochs=1", "test=false", name="warm")
    )  # the data is there before the clock runs
    start_time = time.perf_counter()
    finish(start(shared, "undisturbed"))
    duration = time.perf_counter() - start_time
    draw = random.Random(0)
    shares = [draw.uniform(0.2, 1.8) for _ in range(KILLS)]
    delays = [0.8 * duration * share / sum(shares) for share in shares]
    moments, kills = [], 0
    for delay in delays:
        kills += kill_after(start(shared, "killed"), delay)
        moments.append(f"{delay:.2f} s: {place(shared / 'killed')}")
    assert kills == KILLS, moments
    finish(start(shared, "killed"))
    print(f"undisturbed: {duration:.1f} s; killed after", *moments, sep="\n  ")
    metrics, weights, optimizer, steps = outcome(shared / "killed")
    expected_metrics, expected_weights, expected_optimizer, expected_steps = outcome(shared / "undisturbed")
    assert metrics == expected_metrics
    assert [name for name, tensor in expected_weights.items() if not torch.equal(weights[name], tensor)] == []
    assert steps == expected_steps
    for slot, expected in expected_optimizer.items():
        assert torch.equal(optimizer[slot]["exp_avg_sq"], expected["exp_avg_sq"])
    assert [row for row in curve(shared / "killed") if row["val/mrr"]] == [
        row for row in curve(shared / "undisturbed") if row["val/mrr"]
    ]
    assert not list((shared / "killed").rglob("*.part"))
