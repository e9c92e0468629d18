import logging
from types import SimpleNamespace

import pytest
import torch

from missrec_pl.callbacks import ComputeLine

MODULE = SimpleNamespace(device=torch.device("cpu"))


def said(caplog, monkeypatch, *, threads, processes, cores):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("missrec_pl.callbacks.records.usable_cores", lambda: cores)
    caplog.set_level(logging.INFO, "missrec_pl")
    trainer = SimpleNamespace(world_size=processes, num_nodes=1, precision="bf16-mixed")
    line = ComputeLine()
    line.on_fit_start(trainer, MODULE)
    line.on_test_start(trainer, MODULE)
    return caplog.messages


@pytest.mark.parametrize(("threads", "processes"), [(2, 1), (1, 2), (1, 3)])
def test_one_line_says_what_computes(caplog, monkeypatch, threads, processes):
    (line,) = said(caplog, monkeypatch, threads=threads, processes=processes, cores=2)
    start = f"compute: cpu, {processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)} "
    assert line == start + "on 2 cores, bf16-mixed, float32 products highest"


def test_more_threads_than_cores_is_a_warning(caplog, monkeypatch):
    _, warning = said(caplog, monkeypatch, threads=4, processes=2, cores=4)
    assert "2 processes of 4 threads are more than 4 cores" in warning
    assert "OMP_NUM_THREADS=2" in warning


def test_the_test_of_a_checkpoint_says_it_too(caplog, make_trainer):
    trainer = make_trainer()
    caplog.set_level(logging.INFO, "missrec_pl")
    ComputeLine().on_test_start(trainer, MODULE)
    line = caplog.messages[-1]
    assert line.startswith(f"compute: cpu, 1 process of {torch.get_num_threads()} thread")
    assert "32-true" in line
