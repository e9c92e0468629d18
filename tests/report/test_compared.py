"""What table 2 says of groups of runs: intervals, corrected tests, the settings that a search prefers."""

import json

import numpy as np
import pytest
from fabricated import mistake, printed, write_ranks, write_run

from missrec_pl.report.runs.bootstrap import bootstrap_groups, effect_size, holm, permutation_chance
from missrec_pl.report.runs.ranks import packed

USERS = 400
GOOD, BAD = [1.0] * 300 + [80.0] * 100, [80.0] * 300 + [1.0] * 100
DATA = {"data": "Scientific_mm_subset", "reads": ["ids"], "setting": "transductive"}


def record(folder, column, rate, stage, val, ranks=None, seed=0, **changes):
    """A record of the comparison, whose test's ranks are packed."""
    path = write_run(folder, f"{column}-{rate}-{stage}-{seed}", 0.5, seed=seed, **{**DATA, **changes})
    content = json.loads(path.read_text())
    content |= {"comparison": {"stage": stage, "column": column, "rate": rate, "dropout": 0.5}}
    content |= {"num_params": 1234, "best_epoch": 4}
    content["timing"] |= {"fit_cpu_s": 60.0}
    if stage == "search":
        content["metrics"] = {}
    content["metrics"]["val/ndcg@10"] = val
    if ranks is not None:
        content["ranks"] = {name: packed(np.array(ranks)) for name in ("rank", "rank_history_excluded")}
    path.write_text(json.dumps(content))


@pytest.fixture
def records(tmp_path):
    """SASRec's better rate is the one whose test is worse; MISSRec has two seeds."""
    sasrec = {"model": "SASRec", "experiment": "table2/sasrec", "experiment_model": "sasrec"}
    ours = {"model": "MISSRecReleased", "experiment": "table2/tv", "experiment_model": "missrec_released"}
    for rate, val, ranks in ((0.001, 0.2, BAD), (0.01, 0.1, GOOD)):
        record(tmp_path, "sasrec", rate, "search", val, **sasrec)
        record(tmp_path, "sasrec", rate, "seeds", val, ranks, **sasrec)
    for seed in (0, 1):
        record(tmp_path, "tv", 0.001, "seeds", 0.3, GOOD, seed, **{**ours, "reads": ["features"]})
    return tmp_path


def test_a_network_stands_with_the_settings_that_validation_prefers(records, capsys):
    head, *rows = printed(capsys, "table2", records, "--metrics", "ndcg@10,recall@10")
    ours, theirs = (
        [row for row in rows if len(row) > 1 and name in row[2]] for name in ("tv: lr 0.001", "sasrec: lr")
    )
    assert [row[2] for row in theirs] == ["sasrec: lr 0.001, dropout 0.5"]
    cells = dict(zip(head, theirs[0], strict=True))
    assert (cells["Tried"], cells["Parameters"], cells["Best epoch"], cells["CPU s"]) == ("2", "1,234", "5", "60")
    assert cells["against *"] == "-0.5000"  # 100 hits of 400 against 300
    assert cells["p, Holm"] == "< .001"
    low, high = map(float, cells["N@10: 95 %"].split(" to "))
    assert low < 0.25 < high
    assert high - low < 0.1
    assert dict(zip(head, ours[0], strict=True))["against *"] == "*"
    assert ours[0][-1] == "2"


def test_runs_with_their_files_are_compared_too(tmp_path, capsys):
    for name, model, ranks in (("a", "SASRec", BAD), ("b", "MISSRecReleased", GOOD)):
        write_run(tmp_path, name, 0.5, **DATA, model=model, experiment="table2/x", experiment_model="")
        write_ranks(tmp_path, name, ranks)
    rows = printed(capsys, "table2", tmp_path, "--metrics", "ndcg@10")
    assert any("-0.5000" in row for row in rows)


def test_damaged_ranks_are_named(records, capsys):
    file = records / "tv-0.001-seeds-0" / "results.json"
    content = json.loads(file.read_text())
    content["ranks"]["rank"] = "AAAA"
    file.write_text(json.dumps(content))
    assert "ranks cannot be read" in mistake(capsys, "table2", records)


def test_simple_methods_stand_below(records, capsys):
    baselines = {"ease": {"test/ndcg@10": 0.25}}
    write_run(records, "simple", 0.0, phase="baselines", data=DATA["data"], baselines=baselines)
    rows = printed(capsys, "table2", records, "--metrics", "ndcg@10")
    assert not any("baselines alone" in row[0] for row in rows)
    assert [row[:4] for row in rows if row[1:2] == ["simple methods"]] == [
        [DATA["data"], "simple methods", "ease", "0.2500"]
    ]


def seeds_of(random, deviation, count, users=USERS):
    """``[U, S]`` hits whose rate differs by seed."""
    return (random.random((users, count)) < random.normal(0.4, deviation, count)).astype(float)


@pytest.mark.parametrize(("deviation", "count"), [(0.0, 1), (0.1, 5), (0.1, 8)])
def test_of_equal_networks_one_in_twenty_differs(deviation, count):
    """Both the interval and the permutation know how users and seeds differ."""
    random, trials = np.random.default_rng(0), 100
    called, outside = 0, 0
    for _ in range(trials):
        first, second = seeds_of(random, deviation, count), seeds_of(random, deviation, count)
        called += permutation_chance(first, second, 200) < 0.05
        drawn = bootstrap_groups({"a": first, "b": second}, 200)
        low, high = np.quantile(drawn["a"] - drawn["b"], [0.025, 0.975])
        outside += not low <= 0 <= high
    assert called / trials < 0.15  # of users alone .6 would be called different, were seeds left out
    assert outside / trials < 0.15


def test_networks_that_differ_are_told_apart():
    random = np.random.default_rng(0)
    worse, better = ((random.random((USERS, 3)) < rate).astype(float) for rate in (0.3, 0.5))
    assert permutation_chance(better, worse) < 0.001
    one_of_four = np.array([[1.0], [0.0], [0.0], [0.0]])
    assert effect_size(one_of_four, np.zeros((4, 2))) == pytest.approx(0.25 / 0.5)
    drawn = bootstrap_groups({"a": better[:, :1]}, resamples=500)["a"]
    assert drawn.std() == pytest.approx(better[:, 0].std() / USERS**0.5, rel=0.15)
    assert effect_size(np.ones((4, 1)), np.zeros((4, 2))) is None


def test_a_permutation_of_few_users_by_hand():
    # Of the 8 ways to change the signs of (1, 1, 1) two are as far from 0.
    gaps = np.array([[1.0], [1.0], [1.0], [0.0]])
    assert permutation_chance(gaps, np.zeros((4, 1)), 20_000) == pytest.approx(0.25, abs=0.02)
    assert permutation_chance(gaps, gaps) == 1


def test_holm_corrects_for_the_number():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
