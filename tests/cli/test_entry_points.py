"""The commands as users type them."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from runs import SMALL, run_cli

FAST = (*SMALL, "trainer.max_epochs=1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def tests_of(results):
    return {name: value for name, value in results["metrics"].items() if name.startswith("test/")}


tests_of.__test__ = False


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["data=nope"], ["'data/nope'", "scientific_mm_subset"]),
        (["trainer.nope=1"], ["'trainer.nope'", "--cfg job"]),
        (["seed=abc", "data.split=foo"], ["seed=abc: must be a whole number", "data.split=foo: choose one of"]),
        pytest.param(
            ["ckpt=/a", "resume=/b"],
            ["ckpt and resume are both given", "ckpt=/a: there is no", "resume=/b: there is no"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["group", "key", "values", "together"],
)
def test_mistake_is_one_line_each_with_exit_code_2_and_leaves_nothing(arguments, parts, tmp_path):
    run = run_cli("data=synthetic", *arguments, f"hydra.run.dir={tmp_path / 'out'}")
    assert run.returncode == 2, run.stderr
    lines = run.stderr.strip().splitlines()
    assert all(line.startswith("error: ") for line in lines), run.stderr
    for part in parts:
        assert sum(part in line for line in lines) == 1
    assert run.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # tests/hostile has the same without a process for each
def test_damaged_data_is_one_line_with_exit_code_2(tmp_path):
    run = run_cli(
        "data=released", "data.name=nowhere", f"paths.data_dir={tmp_path}", f"hydra.run.dir={tmp_path / 'out'}"
    )
    assert run.returncode == 2
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith(f"error: no released folder at {tmp_path / 'nowhere'}")


def test_mistake_in_eval(tmp_path):
    run = run_cli("ckpt=/no/such.ckpt", f"hydra.run.dir={tmp_path / 'out'}", script="eval.py")
    assert run.returncode == 2
    (line,) = run.stderr.strip().splitlines()
    assert line == "error: ckpt=/no/such.ckpt: there is no such file."


@pytest.mark.slow
def test_an_evaluation_of_nothing_is_one_line(tmp_path):
    run = run_cli(f"hydra.run.dir={tmp_path / 'out'}", script="eval.py")
    assert run.returncode == 2
    assert "ckpt" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_run_says_what_matters_once(place):
    run = run_cli("data=synthetic", *FAST, f"paths.cache_dir={place / 'cache'}", f"hydra.run.dir={place / 'run'}")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    assert len(lines) == len(set(lines))
    starts = (
        "data: ",
        "model: ",
        "compute: ",
        "dpc_knn: backend",
        "epoch 0: ",
        "random",
        "popularity",
        "text_knn",
        "image_knn",
        "content_knn",
        "cooccurrence_knn",
        "ease",
        "hybrid_knn",
        "results: ",
    )
    for start in starts:
        assert sum(line.startswith(start) for line in lines) == 1, start
    # Nothing but the above, the first interest table, the table's head and last row, and two progress bars.
    assert len(lines) == len(starts) + 5, run.stdout
    score = results_of(place / "run")["metrics"]["test/recall@10"]
    assert f"{score:.4f}" in next(line for line in lines if line.startswith("MISSRecReleased"))
    evaluated = run_cli(
        f"ckpt={place / 'run' / 'checkpoints' / 'best.ckpt'}", f"hydra.run.dir={place / 'eval'}", script="eval.py"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert evaluated.stderr == ""
    assert tests_of(results_of(place / "eval")) == tests_of(results_of(place / "run"))


def test_sweep_over_seeds_with_offline_wandb(place):
    run = run_cli(
        "-m", "phase=finetune", "data=synthetic", "seed=0,1", "logger=wandb", *FAST,
        "baselines.names=[]", f"paths.cache_dir={place / 'cache'}", f"hydra.sweep.dir={place / 'sweep'}",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results = [results_of(place / "sweep" / str(job)) for job in range(2)]
    assert [one["seed"] for one in results] == [0, 1]
    assert len({json.dumps(tests_of(one)) for one in results}) == 2
    offline = [list((place / "sweep" / str(job) / "wandb").glob("offline-run-*")) for job in range(2)]
    assert [len(runs) for runs in offline] == [1, 1]
    assert len({runs[0].name.rpartition("-")[2] for runs in offline}) == 2


@pytest.mark.slow
def test_jobs_of_a_sweep_with_two_processes_run_once_each(place, tmp_path):
    """Lightning starts the second process by repeating the command: each job has one of its own, without -m."""
    run = run_cli(
        "-m", "trainer=ddp_sim", "data=synthetic", "seed=0,1", *FAST, "+trainer.limit_train_batches=1",
        "baselines.names=[]", f"paths.cache_dir={place / 'cache'}", f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results = [results_of(tmp_path / "sweep" / str(job)) for job in range(2)]
    assert [one["seed"] for one in results] == [0, 1]
    assert run.stdout.count("epoch 0: ") == 2
    assert sorted(folder.name for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()) == ["0", "1"]


@pytest.mark.slow
def test_sweep_under_torchrun_is_refused(tmp_path):
    run = run_cli(
        "-m", "trainer=ddp_sim", "data=synthetic", "seed=0,1", *FAST, f"hydra.sweep.dir={tmp_path / 'sweep'}",
        TORCHELASTIC_RUN_ID="x",
    )  # fmt: skip
    assert run.returncode == 2
    assert "-m: torchrun or srun has started several processes" in run.stderr


@pytest.mark.slow
def test_two_processes_pretrain(place):
    base = ("data=synthetic", *FAST, f"paths.cache_dir={place / 'cache'}", "trainer=ddp_sim")
    pretrained = run_cli("phase=pretrain", *base, f"hydra.run.dir={place / 'ddp-pre'}")
    assert pretrained.returncode == 0, pretrained.stderr
    checkpoint = place / "ddp-pre" / "checkpoints" / "best.ckpt"
    finetuned = run_cli(f"ckpt={checkpoint}", *base, "test=false", f"hydra.run.dir={place / 'ddp-start'}")
    assert finetuned.returncode == 0, finetuned.stderr


def test_two_processes_train_and_evaluate_to_the_same_digits(place):
    base = ("data=synthetic", *FAST, f"paths.cache_dir={place / 'cache'}", "trainer=ddp_sim")
    finetuned = run_cli(*base, f"hydra.run.dir={place / 'ddp-fine'}")
    assert finetuned.returncode == 0, finetuned.stderr
    assert finetuned.stdout.count("results: ") == 1
    assert finetuned.stdout.count("epoch 0: ") == 1
    assert finetuned.stderr == ""
    results = results_of(place / "ddp-fine")
    assert results["metrics"]["test/mrr"] > results["baselines"]["random"]["test/mrr"]
    alone = run_cli(
        f"ckpt={place / 'ddp-fine' / 'checkpoints' / 'best.ckpt'}", "trainer=cpu",
        f"hydra.run.dir={place / 'ddp-eval'}", script="eval.py",
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert tests_of(results_of(place / "ddp-eval")) == tests_of(results)
    assert results_of(place / "ddp-eval")["baselines"] == results["baselines"]
    ranks = [pq.read_table(place / folder / "test_ranks.parquet") for folder in ("ddp-eval", "ddp-fine")]
    assert ranks[0].equals(ranks[1])


@pytest.mark.slow
def test_any_number_of_processes_discovers_the_same_interests(place):
    """The last refresh of a run of one epoch sees the first weights, which do not depend on the processes.

    Without the command line: tests/clustering/test_processes.py, tests/modules/test_odd_sizes.py.
    """
    tables = []
    for devices in (1, 3):
        folder = place / f"interests-{devices}"
        run = run_cli(
            "data=synthetic", *FAST, f"paths.cache_dir={place / 'cache'}", "trainer=ddp_sim", "test=false",
            f"trainer.devices={devices}", "+trainer.limit_train_batches=1", f"hydra.run.dir={folder}",
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        tables.append({name: value for name, value in state.items() if ".interests." in name})
    assert tables[0]["model.fitted.interests.prototypes"].abs().sum() > 0
    assert all(torch.equal(tables[1][name], tables[0][name]) for name in tables[0])
