"""The benchmark scripts run through, on sizes that say nothing."""

import json
import sys
from pathlib import Path

import pytest
from forked import ROOT, run_forked

from missrec_pl.data.synthetic import SyntheticDomains

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="the benchmarks read their memory from /proc"
)


def benchmark(name, *arguments, timeout=400):
    return run_forked(ROOT / "benchmarks" / f"{name}.py", *arguments, timeout=timeout)


@pytest.mark.slow
def test_without_a_gpu_nothing_is_measured_and_the_summary_says_so(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = benchmark("all", "--cache", tmp_path / "bench", "--only", "gpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no CUDA device here: nothing was measured") == 2
    assert (tmp_path / "bench" / "gpu.txt").read_text().startswith("no CUDA device here")
    summary = done.stdout.partition("== summary\n")[2].splitlines()
    assert summary[0].startswith("gpu: done in")


def test_a_benchmark_that_fails_is_in_the_summary_and_in_the_exit_code(tmp_path):
    script = str(ROOT / "benchmarks" / "all.py")
    arguments = [script, "--cache", str(tmp_path), "--only", "training"]
    program = (
        f"import runpy, sys; sys.argv, sys.executable = {arguments!r}, '/bin/false'; "
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    done = run_forked("-c", program)
    assert done.returncode == 1
    assert "training: FAILED with exit code 1" in done.stdout


@needs_proc
@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_cpu(tmp_path):
    file = tmp_path / "rows.json"
    options = ["--device=cpu", "--scale=0.0005", "--steps=2", "--square=128", "--profile", f"--json={file}"]
    cases = ["--cases", "pretrain 64", "sampled 32", "--precisions", "float32", "bf16"]
    done = benchmark("gpu", f"--cache={tmp_path / 'cache'}", *options, *cases)
    assert done.returncode == 0, done.stderr
    assert "aten::" in done.stdout
    rows = json.loads(file.read_text())
    assert [(row["case"], row["precision"]) for row in rows] == [
        (case, precision) for case in ("pretrain 64", "sampled 32") for precision in ("float32", "bf16")
    ]
    for row in rows:
        assert row["flops"] > 1e6
        assert row["rate"] > 1
        assert row["loss"] > 0


@needs_proc
@pytest.mark.slow
def test_the_benchmarks_of_candidates_and_features_report(tmp_path):
    file, size = tmp_path / "rows.json", ["--scale=0.0005", "--batch=32", "--steps=2"]
    place = [f"--cache={tmp_path / 'cache'}", f"--json={file}"]
    done = benchmark("candidates", *place, *size, "--negatives", 40, 100_000)
    assert done.returncode == 0, done.stderr
    every, few, most = json.loads(file.read_text())
    assert few["candidates"] < every["candidates"] == most["candidates"]
    assert most["loss"] == pytest.approx(every["loss"], rel=1e-4)
    done = benchmark("features", *place, *size)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    assert len({row["items"] for row in rows}) == 1
    assert all(row["cpu"] > 0 and row["held"] <= row["peak"] for row in rows)


SUITE = ("dpc-knn", "steps", "processes", "keops", "interests", "pretrain", "finetune", "sampled")


def test_a_part_of_the_gpu_suite_that_takes_too_long_loses_nothing(tmp_path):
    file = tmp_path / "suite.json"
    late = benchmark("gpu_suite", "--rehearse", "--parts", "dpc-knn", "--slower", "0.001", "--json", file)
    assert late.returncode == 1, late.stderr
    assert "FAILED  dpc-knn" in late.stdout
    (row,) = json.loads(file.read_text())["rows"]
    assert row["problem"] == "took more than 0.025 s"


@needs_proc
@pytest.mark.slow
def test_the_gpu_suite_is_rehearsed_on_cpu(tmp_path):
    file = tmp_path / "suite.json"
    done = benchmark("gpu_suite", "--rehearse", "--slower", "3", "--json", file, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert list(dict.fromkeys(row["part"] for row in rows)) == list(SUITE)
    assert all(row["waits"] == 0 for row in rows if row["part"] in ("pretrain", "finetune", "sampled"))


@needs_proc
@pytest.mark.slow
def test_rivals_are_measured_in_environments_of_their_own(tmp_path):
    source = SyntheticDomains(tmp_path, num_domains=1)
    source.prepare()
    (domain,) = source.paths()
    python = tmp_path / "python"  # stands for RecBole's environment
    python.write_text(
        f"#!{sys.executable}\nimport json, sys\nimport numpy as np\njob = json.loads(sys.argv[2])\n"
        f"assert sys.argv[1].endswith('recbole_run.py'), sys.argv\n"
        "stored = np.load(job['data'])\nassert stored['ends'][-1] == len(stored['items']) > 0\n"
        "assert 1 <= stored['items'].min() and stored['items'].max() <= stored['num_items']\n"
        "if job['network'] == 'gru4rec': sys.exit('no such network')\n"
        "open(job['answer'], 'w').write(json.dumps({'epoch': 100.0, 'evaluation': 200.0, 'peak': 3.0}))\n"
    )
    python.chmod(0o755)
    done = benchmark("rivals", "--domain", domain, "--recbole", python, "--networks", "sasrec", "gru4rec")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition("  ")[0] for line in lines[2:]] == [
        "sasrec, ours", "sasrec, recbole", "gru4rec, ours", "recbole, gru4rec: no such network",
    ]  # fmt: skip
    own, theirs = ([float(cell) for cell in line.split()[2:]] for line in lines[2:4])
    assert min(own[:2]) > 0
    assert own[3:] == [1, 1]
    assert theirs[3] > 10
