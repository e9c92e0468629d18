"""What table 2 says of groups of runs: intervals, corrected tests, the settings that a search prefers."""

import json

import numpy as np
import pytest
from fabricated import mistake, printed, write_ranks, write_run

from missrec_pl.report.runs import compared
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


def test_equal_networks_do_not_differ():
    random = np.random.default_rng(0)
    hits = (random.random((USERS, 3)) < 0.3).astype(float)
    drawn = compared.bootstrap_groups({"a": hits, "b": hits[::-1]}, resamples=500)
    assert compared.two_sided(drawn["a"] - drawn["b"]) > 0.1
    one = compared.bootstrap_groups({"a": hits[:, :1]}, resamples=500)["a"]
    assert one.std() == pytest.approx(hits[:, 0].std() / USERS**0.5, rel=0.15)


def test_holm_corrects_for_the_number():
    assert compared.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
