"""`python train.py phase=baselines`, and the baselines beside a trained model."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from runs import composed, places, run_cli, tiny

from missrec_pl.config.validation import validate_config
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.train import train
from missrec_pl.metrics import RankingMetrics

# What Lightning says of such small runs; the entry points silence it too.
pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE]

NAMES = ["random", "popularity", "text_knn", "image_knn", "content_knn", "cooccurrence_knn", "ease", "hybrid_knn"]
METRICS = [f"test/{name}" for name in ("recall@10", "ndcg@10", "recall@50", "ndcg@50", "mrr", "mrr@10", "mrr@50")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("phase")


def alone(place, *overrides, name="alone"):
    return train(composed("phase=baselines", "data=synthetic", *places(place, name), *overrides))


@pytest.fixture(scope="module")
def results(place):
    return alone(place)


def test_results_show_both_protocols_apart_with_the_constants_of_each(results, place):
    assert json.loads((place / "alone" / "results.json").read_text()) == results
    assert (results["phase"], results["model"], results["setting"], results["init"]) == (
        "baselines",
        None,
        None,
        None,
    )
    assert results["metrics"] == {}
    rules = {"history_excluded": "strict", "split": "leave_one_out"}
    assert results["protocol"] == {"mask_history": False, "compat": False, **rules}
    assert list(results["baselines"]) == list(results["baselines_history_excluded"]) == NAMES
    assert "baselines_history_included" not in results
    assert results["baselines_left_out"] == {}
    for side in ("baselines", "baselines_history_excluded"):
        for metrics in results[side].values():
            assert list(metrics) == METRICS
            assert all(0 <= value <= 1 for value in metrics.values())
    # Synthetic users never return to an item: its history can only stand in a target's way.
    for name in NAMES[1:]:
        assert results["baselines_history_excluded"][name]["test/mrr"] > results["baselines"][name]["test/mrr"]
    for name in ("content_knn", "cooccurrence_knn", "ease", "hybrid_knn"):
        chosen = results["baseline_settings"][name]
        assert list(chosen) == ["history_included", "history_excluded"]
        assert "weight" in chosen["history_excluded"] or "decay" in chosen["history_excluded"]
    assert set(results["baseline_seconds"]) == set(NAMES)
    assert results["baselines"]["hybrid_knn"]["test/mrr"] > results["baselines"]["random"]["test/mrr"]


def test_ranks_of_every_user_make_the_metrics(results, place):
    ranks = pq.read_table(place / "alone" / "baseline_ranks.parquet")
    assert ranks.column_names[:3] == ["domain", "user", "item"]
    protocols = {"history_included": "baselines", "history_excluded": "baselines_history_excluded"}
    assert ranks.column_names[6:] == [f"{name}/{protocol}" for name in NAMES for protocol in protocols]
    for name in NAMES:
        for protocol, side in protocols.items():
            metrics = RankingMetrics(ks=(10, 50))
            metrics.update(torch.tensor(ranks[f"{name}/{protocol}"].to_pylist()))
            found = {f"test/{metric}": float(value) for metric, value in metrics.compute().items()}
            assert found == pytest.approx(results[side][name], abs=1e-6)
    trained = train(tiny(place, "baselines.names=null", name="beside"))
    beside = pq.read_table(place / "beside" / "test_ranks.parquet")
    for column in ("domain", "user", "item", "item_count", "history_length", "redundancy"):
        assert beside[column].to_pylist() == ranks[column].to_pylist()
    assert list(trained["metrics_history_excluded"]) == METRICS
    assert trained["metrics_history_excluded"]["test/mrr"] > trained["metrics"]["test/mrr"]


def test_excluding_the_history_swaps_the_two_and_changes_no_number(results, place):
    masked = alone(place, "metrics.mask_history=true", name="masked")
    assert masked["baselines"] == results["baselines_history_excluded"]
    assert masked["baselines_history_included"] == results["baselines"]
    assert "baselines_history_excluded" not in masked
    assert masked["baseline_settings"] == results["baseline_settings"]


def test_a_trained_model_stands_beside_the_same_numbers_whatever_its_seed(results, place):
    trained = train(tiny(place, "seed=3", "baselines.names=null", name="trained"))
    for key in ("baselines", "baselines_history_excluded", "baseline_settings", "baselines_left_out"):
        assert trained[key] == results[key]


def test_chosen_names_a_limit_and_compat_are_passed_on(place):
    names = "baselines.names=[ease,popularity]"
    some = alone(place, names, "baselines.max_ease_items=10", "metrics.compat=true", "metrics.ks=[5]", name="some")
    assert list(some["baselines"]) == ["popularity"]
    assert "baselines.max_ease_items=10" in some["baselines_left_out"]["ease"]
    assert list(some["baselines"]["popularity"]) == ["test/recall@5", "test/ndcg@5", "test/mrr", "test/mrr@5"]
    assert all(round(value, 4) == value for value in some["baselines"]["popularity"].values())
    assert alone(place, "baselines.names=[]", name="none")["baselines"] == {}


def test_modalities_of_the_run_decide_what_content_there_is(place):
    text = alone(place, "data.modalities=[text]", name="text")
    assert "image_knn" not in text["baselines"]
    assert "content_knn" in text["baselines"]


@pytest.mark.parametrize("phase", ["baselines", "finetune"])
def test_an_unknown_name_is_refused_before_anything_trains(phase, place, tmp_path):
    cfg = tiny(place, f"phase={phase}", "baselines.names=[popularity,text_nn]", name="unknown")
    with pytest.raises(ConfigError, match=r"baselines.names: unknown baseline 'text_nn'.*choose from random"):
        train(cfg)
    assert not list((place / "unknown").glob("**/results.json"))


def test_values_of_a_wrong_kind_are_named():
    with pytest.raises(ConfigError, match=r"baselines.names=ease: must be a list or null"):
        validate_config(composed("baselines.names=ease"))
    with pytest.raises(ConfigError, match=r"baselines.max_ease_items=0: must be a whole number from 1"):
        validate_config(composed("baselines.max_ease_items=0"))


def test_several_domains_are_refused_with_their_names(place):
    with pytest.raises(
        ConfigError, match=r"one domain.* has 2 \(synthetic_3, synthetic_4\): run it once for each"
    ):
        alone(place, "data.by_phase.baselines.count=2", name="several")


def test_other_splits(results, place):
    by_time = alone(place, "data.split=global_time", name="by-time")
    assert list(by_time["baselines"]) == NAMES
    assert by_time["baselines"] != results["baselines"]
    with pytest.raises(ConfigError, match=r"data.split=train_only leaves nobody to test"):
        alone(place, "data.split=train_only", name="train-only")


def test_the_command_prints_a_table_and_the_report_reads_the_file(place):
    out = place / "cli"
    run = run_cli(
        "phase=baselines", "data=synthetic", f"paths.cache_dir={place / 'cache'}", f"hydra.run.dir={out}"
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[0].startswith("data: synthetic_3")
    assert "history included" in lines[1]
    assert "history excluded" in lines[1]
    written = json.loads((out / "results.json").read_text())
    for name, line in zip(NAMES, lines[3:], strict=False):
        cells = line.split()
        assert cells[0] == name
        both = [
            written[side][name][metric]
            for side in ("baselines", "baselines_history_excluded")
            for metric in METRICS
            if "mrr@" not in metric
        ]
        assert cells[1:] == [f"{value:.4f}" for value in both]
    assert lines[-1] == f"results: {out / 'results.json'}"
    assert len(lines) == 3 + len(NAMES) + 1
    from missrec_pl.report.__main__ import main

    assert main(["table", str(out)]) == 0


def test_the_report_shows_baselines_alone_and_beside_runs(results, place, capsys):
    from missrec_pl.report.__main__ import main

    train(tiny(place, "seed=3", "baselines.names=null", name="trained"))
    capsys.readouterr()
    assert main(["table", str(place / "alone"), str(place / "trained"), "--format", "markdown"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| synthetic")]
    assert [row.split("|")[4].strip() for row in rows[: len(NAMES)]] == NAMES
    assert len(rows) == len(NAMES) + 1
    assert "MISSRecReleased" in rows[-1]


@pytest.mark.slow
def test_a_mistake_is_one_line_with_exit_code_2(place):
    run = run_cli(
        "phase=baselines", "data=synthetic", "baselines.names=[nope]", f"paths.cache_dir={place / 'cache'}",
        f"hydra.run.dir={place / 'mistake'}",
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("error: baselines.names: unknown baseline 'nope'")
    assert len(run.stderr.strip().splitlines()) == 1
