"""What a run leaves behind: results.json, checkpoints, CSV."""

import json
import math
import re
import subprocess

import pyarrow.parquet as pq
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from runs import composed, places, tiny

from missrec_pl.checkpoints.reading import Checkpoint, read_checkpoint
from missrec_pl.data.domain.folder import Domain
from missrec_pl.experiment import run_results
from missrec_pl.experiment.building import plain
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.results import commit_of
from missrec_pl.experiment.stored_runs import origin
from missrec_pl.experiment.train import train
from missrec_pl.metrics import RankingMetrics

NAMES = ("recall@10", "ndcg@10", "recall@50", "ndcg@50", "mrr", "mrr@10", "mrr@50")
SCHEMA = {
    "phase": str,
    "data": str,
    "setting": str,
    "model": str,
    "seed": int,
    "init": str,
    "ckpt": (str, type(None)),
    "ckpt_origin": (dict, type(None)),
    "protocol": dict,
    "modalities": list,
    "interest": dict,
    "experiment": (str, type(None)),
    "experiment_model": (str, type(None)),
    "overrides": list,
    "metrics": dict,
    "baselines": dict,
    "timing": dict,
    "peak_rss_mb": float,
    "num_params": int,
    "num_trainable_params": int,
    "checkpoint": str,
    "data_fingerprints": dict,
    "versions": dict,
}


def test_results_have_the_schema(finetuned):
    folder, returned = finetuned
    results = json.loads((folder / "results.json").read_text())
    assert results == returned
    for name, kind in SCHEMA.items():
        assert isinstance(results[name], kind), name
    assert (results["phase"], results["setting"], results["init"]) == ("finetune", "inductive", "scratch")
    assert list(results["metrics"]) == [f"{stage}/{name}" for stage in ("val", "test") for name in NAMES]
    assert set(results["baselines"]) == {"random", "popularity"}
    for metrics in (results["metrics"], *results["baselines"].values()):
        assert all(math.isfinite(value) and 0 <= value <= 1 for value in metrics.values())
    for metrics in results["baselines"].values():
        assert list(metrics) == [f"test/{name}" for name in NAMES]
    timing = results["timing"]
    assert timing["fit_s"] > sum(timing["epoch_s"]) > 0
    assert len(timing["epoch_s"]) == 1
    assert len(timing["interest_refresh_s"]) == 1
    assert timing["test_s"] > 0
    assert {"torch", "lightning", "missrec_pl"} <= set(results["versions"])
    assert all(isinstance(version, str) for version in results["versions"].values())


def test_what_made_a_checkpoint_is_its_command_without_its_seed_and_its_folders():
    overrides = ["phase=pretrain", "seed=2", "paths.data_dir=/x", "ckpt=a.ckpt", "resume=last", "data.name=${x}"]
    command = {"experiment": "movies", "experiment_model": "missrec_released", "overrides": overrides}
    config = {"phase": {"name": "pretrain"}, "setting": {"name": "inductive"}}
    first = origin(Checkpoint(config, {"comedy": "1", "drama": "2"}, {}, 1))
    assert first == {
        "phase": "pretrain",
        "data": "comedy+drama",
        "setting": "inductive",
        "experiment": None,
        "experiment_model": None,
        "overrides": [],
        "ckpt_origin": None,
    }
    second = origin(Checkpoint({**config, "command": {**command, "ckpt_origin": first}}, {"deli": "3"}, {}, 1))
    kept = {"overrides": ["data.name=${x}"], "ckpt_origin": first}
    assert plain(OmegaConf.create({"x": 1, "command": {"ckpt_origin": second}}).command) == {
        "ckpt_origin": {**first, "data": "deli", **command, **kept}
    }


def test_the_commit_of_a_checkout_and_whether_it_was_changed_are_told(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    assert commit_of(tmp_path) is None
    git("init")
    assert commit_of(tmp_path) is None
    (tmp_path / "src").mkdir()
    for name in ("src/a.py", "notes.md"):
        (tmp_path / name).write_text("1\n")
    git("add", ".")
    git("commit", "-m", "first")
    commit = commit_of(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert commit_of(tmp_path / "src") is None  # a folder in a checkout is not its top
    (tmp_path / "notes.md").write_text("2\n")
    (tmp_path / "src" / "new.py").write_text("2\n")
    assert commit_of(tmp_path) == commit
    (tmp_path / "src" / "a.py").write_text("2\n")
    assert commit_of(tmp_path) == f"{commit}+changes"


def test_ranks_file_explains_the_metrics(finetuned):
    folder, results = finetuned
    ranks = pq.read_table(folder / "test_ranks.parquet").to_pydict()
    users = ["domain", "user", "item", "item_count", "history_length", "redundancy"]
    assert list(ranks) == [*users, "rank", "rank_history_excluded"]
    metrics = RankingMetrics()
    metrics.update(torch.tensor(ranks["rank"]))
    for name, value in metrics.compute().items():
        assert results["metrics"][f"test/{name}"] == pytest.approx(float(value), abs=1e-7)
    assert ranks["user"] == sorted(set(ranks["user"]))
    domain = Domain.open(instantiate(tiny(folder.parent, name=folder.name).data.source).paths()[0])
    assert set(ranks["domain"]) == {domain.name}
    for row in (0, len(ranks["user"]) - 1):
        items = domain.sequences.of(ranks["user"][row])
        assert ranks["item"][row] == items[-1]
        assert ranks["history_length"][row] == min(len(items) - 1, 50)


def test_checkpoints_are_named_plainly_and_lie_in_the_run_folder(finetuned):
    folder, results = finetuned
    assert (folder / results["checkpoint"]).is_file()
    names = sorted(file.name for file in folder.rglob("*.ckpt"))
    assert names == ["best.ckpt", "last.ckpt"]
    assert not [file for file in folder.rglob("*") if "=" in file.name]


def test_checkpoint_loads_without_executing_anything_and_holds_no_features(finetuned):
    folder, results = finetuned
    file = folder / results["checkpoint"]
    content = torch.load(file, weights_only=True)
    sizes = {name: tensor.numel() for name, tensor in content["state_dict"].items()}
    buffers = sum(size for name, size in sizes.items() if ".interests." in name)
    # Metric states aside, nothing but parameters and the interest table: no row of 120 items x 40 features.
    assert sum(sizes.values()) - buffers <= results["num_params"] + 20
    # Adam keeps two more copies of the parameters; the rest is names and the config.
    assert file.stat().st_size < 4 * (3 * results["num_params"] + 2 * buffers) + 100_000


def test_csv_logger_has_the_logged_names(finetuned):
    folder, _ = finetuned
    header = (folder / "csv" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss", "train/next_item", "train/orthogonality", "val/ndcg@10", "interest/used"} <= set(header)


def test_pretraining_logs_its_losses_and_tests_nothing(pretrained):
    folder, results = pretrained
    assert (results["phase"], results["baselines"]) == ("pretrain", {})
    assert list(results["metrics"]) == [f"val/{name}" for name in NAMES]
    header = (folder / "csv" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss", "train/seq_item", "train/seq_seq", "train/orthogonality"} <= set(header)
    assert len(results["data_fingerprints"]) == 3


def test_same_seed_same_numbers_other_seed_others(finetuned, shared, monkeypatch):
    order = []
    for name in ("peak_rss_mb", "baseline_entries"):
        own = getattr(run_results, name)
        noting = lambda *given, name=name, own=own: (order.append(name), own(*given))[1]  # noqa: E731
        monkeypatch.setattr(run_results, name, noting)
    again = train(tiny(shared, name="again"))
    assert order == ["peak_rss_mb", "baseline_entries"]  # the memory is the model's
    other = train(tiny(shared, "seed=1", name="other"))
    assert again["metrics"] == finetuned[1]["metrics"]
    assert other["metrics"] != finetuned[1]["metrics"]
    assert other["baselines"] == finetuned[1]["baselines"]


def test_masking_the_history_changes_numbers_and_is_said(finetuned, tmp_path):
    folder, results = finetuned
    cfg = composed(
        f"ckpt={folder / 'checkpoints/best.ckpt'}", "trainer=cpu", "metrics.mask_history=true", *places(tmp_path),
        config="eval",
    )  # fmt: skip
    cfg.paths.cache_dir = None  # as in training
    masked = evaluate(cfg)
    assert masked["protocol"] == results["protocol"] | {"mask_history": True}
    assert (
        masked["metrics_beyond_accuracy"]["test/repeats@10"]
        == 0
        < results["metrics_beyond_accuracy"]["test/repeats@10"]
    )
    # Synthetic users never return to an item, so its history can only stand in a target's way.
    assert masked["metrics"]["test/mrr"] > results["metrics"]["test/mrr"]
    assert masked["baselines"]["popularity"]["test/mrr"] > results["baselines"]["popularity"]["test/mrr"]


def test_fast_dev_run_trains_one_batch_and_tests_nothing(tmp_path):
    results = train(tiny(tmp_path, "debug=fdr"))
    assert results["num_params"] > 0
    assert not [name for name in results["metrics"] if name.startswith("test/")]


def test_profiler_says_where_the_time_goes(tmp_path):
    train(tiny(tmp_path, "debug=profiler"))
    assert "InterestRefresh.on_train_epoch_start" in (tmp_path / "run" / "fit-profile.txt").read_text()


@pytest.mark.parametrize("interest", ["kmeans", "random", "none"])
def test_other_interests_train(interest, tmp_path):
    results = train(tiny(tmp_path, f"interest={interest}", "+trainer.limit_train_batches=1"))
    assert 0 < results["metrics"]["test/mrr"] < 1


@pytest.mark.parametrize("placement", ["host", "memmap"])
def test_where_features_reside_changes_nothing(placement, finetuned, shared):
    results = train(tiny(shared, f"features={placement}", "data.num_workers=0", name=f"resident_{placement}"))
    assert results["metrics"] == finetuned[1]["metrics"]


def test_train_only_data_keeps_the_last_epoch(shared):
    overrides = ("data.split=train_only", "callbacks=no_validation", "callbacks.progress=null", "test=false")
    results = train(tiny(shared, "phase=pretrain", "trainer.max_epochs=2", *overrides, name="train_only"))
    assert results["metrics"] == {}
    checkpoint = read_checkpoint(shared / "train_only" / results["checkpoint"])
    assert checkpoint.epochs == 2
