"""KeOps is tried in a child process: one that dies, hangs or differs keeps it out of this process."""

import json
import logging
import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from omegaconf import OmegaConf
from runs import ROOT, SMALL, run_cli

from missrec_pl.clustering import backends, dpc_knn
from missrec_pl.doctor import checks
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.keops_start import settle_keops
from missrec_pl.system import child_trial, keops_trial
from missrec_pl.system.child_trial import Verdict, failure_of, remembered

CHILDREN = {
    "crashes": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it died of SIGSEGV"),
    "hangs": ("import time; time.sleep(60)", "it was still busy after 1 s"),
    "differs": ("print('{\"difference\": 0.01}')", "its distances differ by 1.0e-02"),
    "is no number": ("print('{\"difference\": NaN}')", "its distances differ by nan"),
    "raises": ("raise RuntimeError('no nvrtc')", "it ended with exit code 1 (RuntimeError: no nvrtc)"),
    "says nothing": ("pass", "it said nothing that can be read"),
}
WORKS = "print('compiling'); print('{\"difference\": 0.0}')"
NEEDS_LIBRARY = (
    f"import os, signal\nif 'stdc++' not in os.environ.get('LD_PRELOAD', ''):\n  os.kill(os.getpid(), 11)\n{WORKS}"
)


@pytest.fixture
def use_child(monkeypatch, tmp_path):
    """Take another program for the child; nothing is remembered from elsewhere."""
    monkeypatch.setenv("MISSREC_CACHE_DIR", str(tmp_path / "verdicts"))
    monkeypatch.setattr(keops_trial, "_memory", {})
    monkeypatch.setattr(keops_trial, "missing_compiler", lambda: "")

    def use(program, limit=30.0):
        monkeypatch.setattr(keops_trial, "COMMAND", [sys.executable, "-S", "-c", program])
        monkeypatch.setattr(keops_trial, "LIMIT_S", limit)

    return use


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_fails_says_how(child):
    program, said = CHILDREN[child]
    limit = 1 if child == "hangs" else 30
    assert said in failure_of([sys.executable, "-S", "-c", program], limit, 1e-4)


def test_a_child_that_hangs_is_ended_with_its_own_children(tmp_path):
    program = f"import subprocess as s; s.run(['sh', '-c', 'sleep 2; touch {tmp_path / 'late'}'])"
    assert "still busy" in failure_of([sys.executable, "-S", "-c", program], 0.5, 1e-4)
    subprocess.run(["sleep", "2.5"], check=True)
    assert not (tmp_path / "late").exists()


def test_the_real_child_works_here():
    if keops_trial.missing_compiler():
        pytest.skip(keops_trial.missing_compiler())
    assert failure_of([*keops_trial.COMMAND, "cpu", "16"], 300, keops_trial.MOST_DIFFERENCE) == ""


def test_a_verdict_is_asked_for_once_for_the_same_circumstances(tmp_path):
    asked = []

    def ask():
        asked.append(1)
        return Verdict(False, "why", "lib.so")

    for gpu in ("a", "a", "b", "a"):
        assert remembered(tmp_path, "file.json", {"gpu": gpu}, ask) == Verdict(False, "why", "lib.so")
    assert len(asked) == 2
    (tmp_path / "file.json").write_text("no json")
    remembered(tmp_path, "file.json", {"gpu": "a"}, ask)
    assert len(asked) == 3


def test_where_nothing_can_be_written_it_is_asked_again(tmp_path):
    (tmp_path / "file").touch()
    assert remembered(tmp_path / "file" / "inner", "x.json", {}, lambda: Verdict(True)) == Verdict(True)


@pytest.mark.parametrize("child", ["crashes", "hangs", "differs"])
def test_asked_for_by_name_it_is_refused_with_cause_and_cure(use_child, child):
    program, said = CHILDREN[child]
    use_child(program, 1 if child == "hangs" else 30)
    with pytest.raises(ConfigError) as refused:
        dpc_knn(torch.randn(20, 4), 2, 2, backend="keops")
    for part in ("backend=keops: the child process that tried KeOps failed", said, "--try-keops", "backend=tiled"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_auto_takes_the_other_with_one_warning(use_child, monkeypatch, caplog):
    use_child(CHILDREN["crashes"][0])
    backends._warn.cache_clear()
    monkeypatch.setattr(backends, "resolve", lambda device, width: ("keops", "as measured"))
    with caplog.at_level(logging.WARNING):
        results = [dpc_knn(torch.randn(20, 4), 2, 2) for _ in range(2)]
    assert [result.backend for result in results] == ["tiled", "tiled"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "died of SIGSEGV" in line
    assert "interest.method.backend=tiled" in line


def test_a_library_that_cures_it_is_found_and_needed(use_child, monkeypatch):
    use_child(NEEDS_LIBRARY)
    assert keops_trial.verdict("cpu", 300).works is False  # on CPU none was ever needed
    found = keops_trial.verdict("cuda", 300)
    if not keops_trial._system_library():
        pytest.skip("no libstdc++ of the system")
    assert found.works
    assert "libstdc++" in found.preload
    assert f"LD_PRELOAD={found.preload}" in keops_trial.usable(found)
    monkeypatch.setenv("LD_PRELOAD", found.preload)
    assert keops_trial.usable(found) == ""


def test_a_program_starts_itself_again_once_and_before_torch(tmp_path):
    library = keops_trial._system_library()
    if not library:
        pytest.skip("no libstdc++ of the system")
    script = tmp_path / "again.py"
    script.write_text(
        "import os, sys\nfrom missrec_pl.system import keops_trial\n"
        f"keops_trial.start_again_with({library!r})\n"
        "print(os.environ['LD_PRELOAD'], sys.argv[1:], 'torch' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, script, "a=1", "b c"], capture_output=True, text=True, timeout=60)
    assert ended.stdout == f"{library} ['a=1', 'b c'] False\n"
    assert ended.stderr == f"note: KeOps works here with {library} loaded first: starting again with it\n"


def test_the_config_is_refused_before_anything_is_built(use_child, tmp_path):
    use_child(CHILDREN["crashes"][0])
    cfg = OmegaConf.create({"interest": {"method": {"backend": "keops"}}, "trainer": {"accelerator": "cpu"}})
    with pytest.raises(ConfigError, match=r"interest\.method\.backend=keops: .*SIGSEGV.*backend=tiled"):
        settle_keops(cfg)
    cfg.interest.method.backend = "tiled"
    settle_keops(cfg)


def test_the_command_is_refused_in_one_line(tmp_path):
    run = run_cli(
        "data=synthetic", *SMALL, "trainer=cpu", "interest.method.backend=keops",
        f"hydra.run.dir={tmp_path / 'run'}", f"paths.cache_dir={tmp_path / 'cache'}",
        CXX="no-such-compiler", PATH="/nowhere",
    )  # fmt: skip
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: interest.method.backend=keops: no C++ compiler found")
    assert not (tmp_path / "run").exists()


def test_doctor_says_what_the_child_said(use_child, tmp_path):
    use_child(CHILDREN["crashes"][0])
    before = [str(one) for one in checks.check_keops(tmp_path)]
    found = [one for one in checks.check_keops(tmp_path, tries=True) if "died of SIGSEGV" in one.text]
    assert not [line for line in before if "SIGSEGV" in line]
    assert found
    assert all(one.level == checks.WARNING and "tiled" in one.remedy for one in found)
    assert [one for one in checks.check_keops(tmp_path) if "died of SIGSEGV" in one.text] == found


SPREAD = {
    "crashes": CHILDREN["crashes"],
    "hangs": CHILDREN["hangs"],
    "breaks": ("", "could not be tried (TypeError"),
}


def _on_one_rank(rank, scratch):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{scratch}/store", rank=rank, world_size=2)
    keops_trial.missing_compiler = lambda: ""
    backends.resolve = lambda device, width: ("keops", "as measured")
    tokens, said = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), {}
    for child, (program, _) in SPREAD.items():
        os.environ["MISSREC_CACHE_DIR"] = str(scratch / child)
        keops_trial._memory.clear()
        keops_trial.LIMIT_S = 1 if child == "hangs" else 30
        # The second process would find that KeOps works: the first one's verdict counts.
        keops_trial.COMMAND = [sys.executable, "-S", "-c", program if rank == 0 else WORKS]
        if child == "breaks" and rank == 0:
            keops_trial.verdict = None
        try:
            dpc_knn(tokens, 3, 2, backend="keops", sharded=True)
        except ConfigError as error:
            said[child] = [dpc_knn(tokens, 3, 2, sharded=True).backend, str(error)]
    (scratch / f"rank{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


def test_the_first_processs_verdict_reaches_the_others(tmp_path):
    mp.start_processes(_on_one_rank, (tmp_path,), nprocs=2, start_method="fork")
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    for child, (_, problem) in SPREAD.items():
        backend, error = first[child]
        assert backend == "tiled"
        assert problem in error


def test_nothing_of_it_loads_torch():
    program = (
        "import sys, missrec_pl.experiment.keops_start, missrec_pl.experiment.validation_callback;"
        "print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.stdout.strip() == "False", ended.stderr
    assert child_trial.Verdict(True).problem == ""
