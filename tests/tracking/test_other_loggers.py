"""The same facts in TensorBoard, CSV and MLflow."""

import csv

import pytest


def rows(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_holds_config_numbers_and_tables(tracked):
    folder = tracked.folder / "csv"
    config = {row["name"]: row["value"] for row in rows(folder / "config.csv")}
    assert (config["phase"], config["model.hidden_size"], config["tags"]) == ("finetune", "32", "trial small")
    summary = {row["name"]: float(row["value"]) for row in rows(folder / "summary.csv")}
    assert summary["test/ndcg@10"] == tracked.results["metrics"]["test/ndcg@10"]
    assert len(rows(folder / "examples.csv")) == 50
    groups = rows(folder / "groups_item_frequency.csv")
    users = [int(row["users"]) for row in groups]
    mean = sum(n * float(row["ndcg@10"]) for n, row in zip(users, groups, strict=True)) / sum(users)
    assert mean == pytest.approx(tracked.results["metrics"]["test/ndcg@10"], rel=1e-5)


def test_tensorboard_shows_hparams_text_and_figures(tracked):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = [
        accumulator.EventAccumulator(str(file)).Reload()
        for file in sorted((tracked.folder / "tensorboard").glob("events*"))
    ]
    tags = {kind: {name for one in events for name in one.Tags()[kind]} for kind in ("images", "scalars")}
    assert {"groups_item_frequency", "comparison"} <= tags["images"]
    assert {"best/ndcg@10", "timing/fit_s", "optim/gradient_norm"} <= tags["scalars"]
    plugins = {name for one in events for name in one.summary_metadata}
    assert "_hparams_/session_start_info" in plugins


def test_mlflow_gets_parameters_tags_and_metrics(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes seconds to make
    pytest.importorskip("mlflow", reason="pip install 'missrec-pl[mlflow]'")
    from missrec_pl.loggers.facts import Outcome, RunFacts, Table
    from missrec_pl.loggers.mlflow import MLFlowLogger

    facts = RunFacts(
        "finetune", "a-run", "a-group", ("small",), "why", {"seed": 1, "model.hidden_size": 32}, {}, "val/ndcg@10",
        tmp_path,
    )  # fmt: skip
    where = {"tracking_uri": f"file:{tmp_path / 'mlruns'}", "folder": str(tmp_path)}
    one = MLFlowLogger(**where)
    one.begin(facts)
    one.log_metrics({"val/ndcg@10": 0.5}, step=3)
    again = MLFlowLogger(**where)
    again.continue_from(4)
    again.begin(facts)
    again.finish(Outcome({"test/ndcg@10": 0.25}, {"groups": Table(["a", "b"], [["x", 1.0]])}))
    assert again.run_id == one.run_id
    run = one.experiment.get_run(one.run_id)
    assert run.data.params == {"seed": "1", "model.hidden_size": "32"}
    assert run.data.tags["job_type"] == "finetune"
    assert run.data.metrics == {"val/ndcg_at_10": 0.5, "test/ndcg_at_10": 0.25}
    assert run.info.run_name == "a-run"
