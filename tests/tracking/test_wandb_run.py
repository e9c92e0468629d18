"""What W&B gets of a run, read from its run file with its own records."""

import json
import socket
from pathlib import Path

import pytest
from wandb_file import SECRETS, config_of, history_of, of_kind, summary_of, text_of

from missrec_pl.checkpoints.reading import read_checkpoint


def test_a_run_is_named_grouped_and_tagged(tracked):
    run = of_kind(tracked.records, "run")[0]
    assert run.job_type == "finetune"
    assert run.display_name == "finetune-synthetic-MISSRecReleased-inductive-seed0"
    assert run.run_group == "synthetic-MISSRecReleased-inductive"
    assert list(run.tags) == ["trial", "small"]
    assert tracked.note["id"] == run.run_id


def test_the_config_is_flat_and_says_what_users_filter_by(tracked):
    config = config_of(tracked.records)
    assert not [name for name, value in config.items() if isinstance(value, dict)]
    assert not [name for name in config if "_target_" in name or name.startswith(("hydra", "paths", "logger"))]
    known = {"phase": "finetune", "data": "synthetic", "setting": "inductive", "seed": 0, "init": "scratch"}
    assert known.items() <= config.items()
    assert (config["model.class"], config["model.hidden_size"]) == ("MISSRecReleased", 32)
    assert config["objective.temperature"] > 0
    assert config["trainer.max_epochs"] == 2
    assert config["data_fingerprint.synthetic_3"] == tracked.results["data_fingerprints"]["synthetic_3"]
    assert config["encoders.text"]
    assert config["versions.torch"] == tracked.results["versions"]["torch"]
    assert config["num_params"] == tracked.results["num_params"]
    assert {"git.commit", "git.changed", "command", "num_users", "num_items"} <= config.keys()


def test_the_best_of_validation_counts_and_the_last_of_the_test(tracked):
    kept = {one.name or one.glob_name: one.summary for one in of_kind(tracked.records, "metric")}
    assert kept["val/ndcg@10"].max
    assert kept["val/*"].max
    assert kept["test/*"].last
    summary, metrics = summary_of(tracked.records), tracked.results["metrics"]
    assert summary["best/ndcg@10"] == pytest.approx(metrics["val/ndcg@10"])
    assert summary["test/ndcg@10"] == pytest.approx(metrics["test/ndcg@10"])
    best = [row["best/ndcg@10"] for row in history_of(tracked.records) if "best/ndcg@10" in row]
    assert len(best) == 2
    assert best == sorted(best)


def test_baselines_seconds_and_sizes_stand_beside_the_metrics(tracked):
    summary = summary_of(tracked.records)
    assert summary["baseline/popularity/ndcg@10"] == tracked.results["baselines"]["popularity"]["test/ndcg@10"]
    assert summary["params/trainable"] == tracked.results["num_trainable_params"]
    for name in ("timing/fit_s", "timing/epoch_s", "timing/test_s", "memory/peak_rss_mb"):
        assert summary[name] > 0


def test_curves_of_gradients_rates_scalars_and_interests(tracked):
    rows = history_of(tracked.records)
    names = {name for row in rows for name in row}
    assert {"optim/gradient_norm", "optim/lr", "learned/fusion.concentration", "interest/entropy"} <= names
    steps = [row["trainer/global_step"] for row in rows if "optim/gradient_norm" in row]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 2
    histogram = next(row["interest/sizes"] for row in rows if "interest/sizes" in row)
    assert histogram["_type"] == "histogram"
    assert sum(histogram["values"]) == 9  # prototypes


def test_nothing_of_the_machine_or_its_secrets_is_sent(tracked):
    sent = text_of(tracked.records)
    sent += "\n".join(file.read_text() for file in tracked.folder.glob("wandb/*/files/**/*") if file.is_file())
    places = {str(tracked.place), str(Path.cwd()), str(Path.home()), "/tmp", "file:/"}
    told = {one for one in (*places, socket.gethostname(), *SECRETS.values()) if len(one) > 3 and one in sent}
    assert not told
    assert "***" in of_kind(tracked.records, "run")[0].notes
    assert not of_kind(tracked.records, "output_raw")
    assert not of_kind(tracked.records, "environment")


def test_tables_of_groups_examples_and_prototypes(tracked):
    tables = {
        file.parent.name + "/" + file.name.partition("_")[0]: json.loads(file.read_text())
        for file in tracked.folder.glob("wandb/*/files/media/table/tables/*.json")
    }
    examples = tables["tables/examples"]
    assert len(examples["data"]) == 50
    assert examples["columns"] == ["user", "rank", "target", "history", "top_10", "hit"]
    for row in examples["data"]:
        assert (row[1] <= 10) == row[5]
        assert len(row[4].split(" | ")) == 10
    assert {"tables/groups", "tables/prototypes", "tables/comparison"} <= tables.keys()
    names = [row[0] for row in tables["tables/comparison"]["data"]]
    assert names == ["popularity", "text_knn", "MISSRecReleased (inductive)"]
    assert sum(row[2] for row in tables["tables/prototypes"]["data"]) <= 180


def test_artifacts_hold_no_path_and_name_the_data_by_its_fingerprint(tracked):
    artifacts = {one.type: one for one in of_kind(tracked.records, "artifact") if one.type != "run_table"}
    assert artifacts.keys() == {"model", "results", "ranks", "dataset"}
    best = artifacts["model"]
    metadata = json.loads(best.metadata)
    assert {"latest", "best"} < set(best.aliases)
    assert f"epoch-{metadata['epoch']}" in best.aliases
    assert metadata["best/ndcg@10"] == pytest.approx(tracked.results["metrics"]["val/ndcg@10"])
    reference = artifacts["dataset"].manifest.contents[0]
    assert reference.ref == f"missrec://synthetic_3/{tracked.results['data_fingerprints']['synthetic_3']}"
    staged = sorted((tracked.place / "staged").rglob("*"), key=lambda file: file.stat().st_size)[-1]
    kept = read_checkpoint(staged)
    assert str(tracked.place).encode() not in staged.read_bytes()
    assert kept.weights.keys() == read_checkpoint(tracked.folder / "checkpoints" / "best.ckpt").weights.keys()
    assert tracked.note["artifacts"]["best"] == best.name


def test_the_end_is_told(tracked):
    (alert,) = of_kind(tracked.records, "alert")
    assert "has ended" in alert.title
    assert of_kind(tracked.records, "exit")[0].exit_code == 0
