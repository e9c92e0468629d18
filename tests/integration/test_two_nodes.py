"""Two nodes, rehearsed by two torchrun agents on the loopback; and the script that SLURM would take."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from runs import ROOT, SMALL

TRAINER = ("trainer=ddp_sim", "trainer.devices=1", "trainer.num_nodes=2", "interest.method.backend=tiled")
TINY = (
    "data=synthetic",
    *SMALL,
    "model.dropout=0.0",
    "baselines.names=[]",
    "callbacks.progress=null",
    "test=false",
)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def agents(folder, cache, *overrides):
    """Two agents, a process each, that meet on the loopback and train in one folder."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    started = []
    for _ in range(2):
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
            "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=rehearsal",
            "--local-addr=127.0.0.1",
            str(ROOT / "train.py"), *TINY, *TRAINER, f"paths.cache_dir={cache}", f"hydra.run.dir={folder}",
            "resume=last", *overrides,
        ]  # fmt: skip
        with (folder.parent / f"agent{len(started)}.log").open("a") as log:
            started.append(
                subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=ROOT,
                    start_new_session=True,
                )
            )
    return started


def results(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.slow
def test_two_nodes_meet_train_in_one_folder_and_go_on_after_one_is_killed(tmp_path):
    cache, folder = tmp_path / "cache", tmp_path / "nodes"
    alone = [sys.executable, str(ROOT / "train.py"), *TINY, "trainer=cpu", f"paths.cache_dir={cache}"]
    alone += [f"hydra.run.dir={tmp_path / 'alone'}", "trainer.max_epochs=4"]
    subprocess.run(alone, check=True, capture_output=True, text=True, cwd=ROOT)

    long = agents(folder, cache, "trainer.max_epochs=500")
    try:
        end = time.monotonic() + 600
        while not (folder / "checkpoints" / "last.ckpt").exists():
            assert time.monotonic() < end, (tmp_path / "agent0.log").read_text()
            assert all(agent.poll() is None for agent in long), (tmp_path / "agent0.log").read_text()
            time.sleep(0.5)
        os.killpg(long[1].pid, signal.SIGKILL)
        assert long[0].wait(timeout=300) != 0
    finally:
        for agent in long:
            if agent.poll() is None:
                os.killpg(agent.pid, signal.SIGKILL)
                agent.wait()
    assert not (folder / "results.json").exists()

    short = agents(tmp_path / "whole", cache, "trainer.max_epochs=4")
    assert [agent.wait(timeout=600) for agent in short] == [0, 0], (tmp_path / "agent0.log").read_text()
    one, two = results(tmp_path / "alone"), results(tmp_path / "whole")
    assert two["metrics"]["val/ndcg@10"] == pytest.approx(one["metrics"]["val/ndcg@10"], abs=1e-3)
    assert len(two["timing"]["interest_refresh_s"]) == len(one["timing"]["interest_refresh_s"])

    names = " ".join(file.name for file in (folder / "checkpoints").iterdir())
    done = max(int(one) for one in re.findall(r"epoch[=_-]?(\d+)", names) or [0])
    again = agents(folder, cache, f"trainer.max_epochs={done + 30}")
    assert [agent.wait(timeout=600) for agent in again] == [0, 0], (tmp_path / "agent0.log").read_text()
    assert results(folder)["metrics"]["val/ndcg@10"] > 0


def slurm_script():
    """The script in the documentation."""
    text = (ROOT / "docs" / "long_runs.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if block.startswith("#!"))


def test_the_slurm_script_asks_for_what_its_command_uses(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(slurm_script())
    subprocess.run(["bash", "-n", script], check=True)
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", script.read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]  # Lightning takes a task a GPU

    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name, body in {
        "srun": 'printf "%s\\n" "$@"; exit 75',
        "scontrol": 'echo "$@" >> "$STUBS/requeued"',
    }.items():
        (stubs / name).write_text(f"#!/bin/bash\n{body}\n")
        (stubs / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "STUBS": str(stubs), "SLURM_JOB_ID": "7",
        "SLURM_NNODES": asked["nodes"], "SLURM_SUBMIT_DIR": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(["bash", script], capture_output=True, text=True, env=environment, check=False, cwd=ROOT)
    assert done.returncode == 75
    words = done.stdout.split()
    assert words[:2] == ["python", "train.py"]
    assert {f"trainer.devices={asked['gpus-per-node']}", f"trainer.num_nodes={asked['nodes']}"} <= set(words)
    assert "resume=last" in words
    assert (stubs / "requeued").read_text() == "requeue 7\n"

    from runs import composed

    cfg = composed(*(word for word in words[2:] if not word.startswith("hydra.")))
    assert (cfg.trainer.num_nodes, cfg.trainer.strategy) == (int(asked["nodes"]), "ddp")
