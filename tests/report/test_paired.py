import numpy as np
import pytest
from fabricated import mistake, printed, write_baselines, write_ranks, write_run

from missrec_pl.metrics import RankingMetrics
from missrec_pl.report.runs.bootstrap import bootstrap_means
from missrec_pl.report.runs.collect import collect
from missrec_pl.report.runs.ranks import read_ranks

PRETRAINED = {"init": "pretrained"}


def run_with(folder, name, ranks, *, columns=None, **changes):
    write_run(folder, name, 0.5, **changes)
    write_ranks(folder, name, ranks, **(columns or {}))


def test_differences_by_hand(tmp_path, capsys):
    # A hits 3 of 4 users with both seeds; B hits 1, then 2: mean difference (2 + 1) / 2 / 4.
    for seed, theirs in enumerate(([1, 90, 90, 90], [1, 2, 90, 90])):
        run_with(tmp_path, f"a{seed}", [1, 1, 3, 99], seed=seed, **PRETRAINED)
        run_with(tmp_path, f"b{seed}", theirs, seed=seed)
    run_with(tmp_path, "alone", [1, 1, 1, 1], seed=7)
    pretrained = [tmp_path / "a0", tmp_path / "a1"]
    scratch = [tmp_path / name for name in ("b0", "b1", "alone")]
    header, *rows = printed(capsys, "paired", *pretrained, "--against", *scratch, "--metrics", "recall@10,mrr")
    assert header == ["Metric", "A", "B", "A - B", "95% interval", "d", "p", "p, Holm"]
    assert [row[0] for row in rows[:2]] == ["R@10", "mrr"]
    assert rows[0][1:4] == ["0.7500", "0.3750", "+0.3750"]
    mrr_a = (1 + 1 + 1 / 3 + 1 / 99) / 4
    mrr_b = ((1 + 3 / 90) + (1 + 1 / 2 + 2 / 90)) / 8
    assert rows[1][1:4] == [f"{mrr_a:.4f}", f"{mrr_b:.4f}", f"{mrr_a - mrr_b:+.4f}"]
    assert [row[0] for row in rows[2:]] == [
        "- A: Scientific_mm_subset, T+V, MISSRecReleased, pre-trained",
        "- B: Scientific_mm_subset, T+V, MISSRecReleased, from scratch",
        "- 4 users, seeds 0, 1; without a partner and left out: seed 7 of B",
    ]


def test_where_splits_one_folder_into_both_sides(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 90], **PRETRAINED)
    run_with(tmp_path, "b", [1, 90, 90])
    split = ("--where", "init=pretrained", "--against-where", "init=scratch")
    rows = printed(capsys, "paired", tmp_path, *split, "--metrics", "recall@10")
    assert rows[1][1:4] == ["0.6667", "0.3333", "+0.3333"]
    assert rows[-1] == ["- one seed: interval and p leave out how seeds differ"]
    assert "A has to be runs of one kind, choose with --where" in mistake(
        capsys, "paired", tmp_path, "--against", tmp_path / "b"
    )


def test_interval_is_that_of_the_mean_and_repeats(tmp_path, capsys):
    """Of 0-1 differences the bootstrap is a binomial, whose standard error is known."""
    num_users = 400
    run_with(tmp_path, "a", [1] * 100 + [90] * (num_users - 100))
    run_with(tmp_path, "b", [90] * num_users, model="MISSRec")
    arguments = ("paired", tmp_path / "a", "--against", tmp_path / "b", "--metrics", "recall@10")
    rows = printed(capsys, *arguments)
    assert rows == printed(capsys, *arguments)
    assert float(rows[1][5]) == pytest.approx(0.25 / (0.25 * 0.75) ** 0.5, abs=0.01)
    assert rows[1][6:] == ["< .001", "< .001"]
    low, high = (float(word) for word in rows[1][4].split(" to "))
    error = 1.96 * np.sqrt(0.25 * 0.75 / num_users)
    assert low == pytest.approx(0.25 - error, abs=0.004)
    assert high == pytest.approx(0.25 + error, abs=0.004)
    narrow = printed(capsys, *arguments, "--level", "0.5", "--resamples", "2000", "--seed", "3")
    assert narrow[0][4] == "50% interval"
    inner_low, inner_high = (float(word) for word in narrow[1][4].split(" to "))
    assert low < inner_low < 0.25 < inner_high < high


def test_resamples_keep_the_metrics_of_a_user_together():
    differences = np.random.default_rng(0).normal(size=(50, 1)) * [1.0, -2.0]
    means = bootstrap_means(differences, 64, seed=1)
    assert means.shape == (64, 2)
    assert means[:, 1] == pytest.approx(-2 * means[:, 0])
    assert means[:, 0].std() == pytest.approx(differences[:, 0].std() / np.sqrt(50), rel=0.4)
    assert np.array_equal(means, bootstrap_means(differences, 64, seed=1))


@pytest.mark.parametrize("compat", [False, True])
def test_users_metrics_have_the_mean_that_the_run_reports(tmp_path, compat):
    import torch

    ranks = [1.0, 10.0, 10.5, 11.0, 50.5, 51.0, 700.0]
    run_with(tmp_path, "a", ranks, protocol={"compat": compat})
    metrics = RankingMetrics(compat=compat)
    metrics.update(torch.tensor(ranks))
    expected = {name: float(value) for name, value in metrics.compute().items()}
    found = read_ranks(collect([tmp_path])[0]).metrics(list(expected)).mean(0)
    assert found == pytest.approx(list(expected.values()), abs=6e-5 if compat else 1e-9)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1, 2, 9]}, "differ in item"),
        ({"user": [0, 1, 5]}, "differ in user"),
        ({"domain": ["d", "d", "e"]}, "differ in domain"),
        ({"rank": None}, "lacks rank"),
    ],
)
def test_what_cannot_be_paired_is_refused(tmp_path, capsys, columns, message):
    run_with(tmp_path, "a", [1, 2, 3], **PRETRAINED)
    run_with(tmp_path, "b", [1, 2, 3], columns=columns)
    assert message in mistake(capsys, "paired", tmp_path / "a", "--against", tmp_path / "b")


def test_mistakes_are_named(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 2])
    run_with(tmp_path, "b", [1, 2], seed=1)
    a, b = tmp_path / "a", tmp_path / "b"
    assert "A has seeds [0], B has seeds [1]: none in common" in mistake(capsys, "paired", a, "--against", b)
    assert "--metrics speed: ranks give recall@K" in mistake(capsys, "paired", a, "--metrics", "speed")
    assert "--resamples 0" in mistake(capsys, "paired", a, "--resamples", "0")
    assert "--level 1.0" in mistake(capsys, "paired", a, "--level", "1")
    write_run(tmp_path, "c", 0.5)
    assert "c/test_ranks.parquet is missing: test the run's checkpoint again" in mistake(
        capsys, "paired", tmp_path / "c"
    )
    (a / "test_ranks.parquet").write_text("no parquet")
    assert "test_ranks.parquet cannot be read" in mistake(capsys, "paired", a)


def test_a_later_evaluation_brings_the_ranks_of_an_earlier_run(tmp_path, capsys):
    write_run(tmp_path, "fit", 0.5)
    run_with(tmp_path, "eval", [1, 90], phase="eval", timing={"fit_s": None})
    rows = printed(capsys, "paired", tmp_path, "--metrics", "recall@10")
    assert rows[1][1:4] == ["0.5000", "0.5000", "+0.0000"]
    assert float(rows[1][6]) > 0.05


BASELINES = {"hybrid_knn": ([1, 90, 90, 90], [1, 1, 90, 90]), "ease": ([11, 11, 11, 40], [90, 90, 90, 90])}


def test_a_baseline_is_paired_with_every_seed(tmp_path, capsys):
    for seed, ranks in enumerate(([1, 1, 1, 90], [1, 1, 1, 1])):
        run_with(tmp_path, f"a{seed}", ranks, seed=seed)
    write_baselines(tmp_path, "baselines", BASELINES)
    for name, value in (("hybrid_knn", 0.25), ("hybrid_knn/history_excluded", 0.5)):
        rows = printed(capsys, "paired", tmp_path, "--against-baseline", name, "--metrics", "recall@10")
        assert rows[1][1:4] == ["0.8750", f"{value:.4f}", f"{0.875 - value:+.4f}"]
        assert rows[3:] == [[f"- B: Scientific_mm_subset, {name}"], ["- 4 users, seeds 0, 1"]]


def test_the_best_baseline_is_of_each_metric_and_either_protocol(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 1, 90])
    write_baselines(tmp_path, "baselines", BASELINES)
    rows = printed(capsys, "paired", tmp_path, "--against-baseline", "best", "--metrics", "recall@10,recall@50")
    assert [row[2] for row in rows[1:3]] == ["0.5000", "1.0000"]
    assert rows[4] == ["- B: Scientific_mm_subset, the best baseline: R@10 hybrid_knn/history_excluded; R@50 ease"]


def test_baselines_that_are_not_there_or_not_of_these_users_are_named(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 1, 90])
    arguments = ("paired", tmp_path, "--against-baseline")
    assert "no run of phase=baselines for Scientific_mm_subset (text+image)" in mistake(capsys, *arguments, "best")
    write_baselines(tmp_path, "text", BASELINES, modalities=["text"])
    assert "no run of phase=baselines for Scientific_mm_subset (text+image)" in mistake(capsys, *arguments, "best")
    write_baselines(tmp_path, "both", BASELINES)
    assert "no baseline knn; choose from hybrid_knn, hybrid_knn/history_excluded, ease" in mistake(
        capsys, *arguments, "knn"
    )
    (tmp_path / "both" / "baseline_ranks.parquet").unlink()
    assert "both/baseline_ranks.parquet is missing: run phase=baselines again" in mistake(
        capsys, *arguments, "best"
    )


def test_metrics_without_the_history_are_of_the_other_ranks(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 11, 11, 90], columns={"rank_history_excluded": [1.0, 1.0, 11.0, 90.0]})
    write_baselines(tmp_path, "baselines", BASELINES)
    metrics = ("--metrics", "recall@10,recall@10/history_excluded")
    rows = printed(capsys, "paired", tmp_path, "--against-baseline", "hybrid_knn", *metrics)
    assert [row[:3] for row in rows[1:3]] == [["R@10", "0.2500", "0.2500"], ["R@10 excl.", "0.5000", "0.5000"]]
    run_with(tmp_path, "old", [1, 11, 11, 90], seed=1)
    assert "lacks rank_history_excluded: test the run's checkpoint again" in mistake(
        capsys, "paired", tmp_path, *metrics
    )


def test_baselines_of_several_runs_count_together_unless_they_disagree(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 1, 90])
    write_baselines(tmp_path, "first", {"ease": BASELINES["ease"]})
    write_baselines(tmp_path, "second", BASELINES)
    write_run(tmp_path, "trial", 0.5, metrics={})
    arguments = ("paired", tmp_path, "--against-baseline", "best", "--metrics", "recall@10")
    rows = printed(capsys, *arguments)
    assert rows[2] == ["- A: Scientific_mm_subset, T+V, MISSRecReleased, from scratch"]
    assert rows[3] == ["- B: Scientific_mm_subset, the best baseline: R@10 hybrid_knn/history_excluded"]
    assert rows[-1] == ["- left out: 1 of runs without test metrics"]
    write_baselines(tmp_path, "third", {"ease": ([11, 11, 11, 40], [90, 90, 90, 80])})
    error = mistake(capsys, *arguments)
    assert "baseline ease differs between" in error
    assert "first/baseline_ranks.parquet and" in error
    assert "third/baseline_ranks.parquet: name one of them only" in error


def test_baselines_that_read_longer_histories_are_not_paired(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 1, 90], columns={"history_length": [1, 2, 2, 2]})
    write_baselines(tmp_path, "baselines", BASELINES)
    error = mistake(capsys, "paired", tmp_path, "--against-baseline", "hybrid_knn")
    assert "a/test_ranks.parquet reads at most 2 items and" in error
    assert "baselines/baseline_ranks.parquet reads at most 4 items of a history" in error
    run_with(tmp_path, "b", [1, 90, 90, 90], model="MISSRec")  # two models may differ in it
    rows = printed(capsys, "paired", tmp_path / "a", "--against", tmp_path / "b", "--metrics", "recall@10")
    assert rows[1][3] == "+0.5000"
