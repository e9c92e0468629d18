"""The page: what it says of runs, and that a browser shows it from the disk without an error."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from fabricated import mistake, write_baselines, write_ranks, write_run

from missrec_pl.report.__main__ import main
from missrec_pl.report.page.comparison import compared, pair_facts
from missrec_pl.report.page.facts import config_of, labels_of
from missrec_pl.report.runs.collect import collect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)")
TABS = ("overview", "comparison", "curves", "groups", "cost", "interests", "examples", "configs", "commands")
HOSTILE = "</script><img src=x onerror=alert(1)>"


def write_whole_run(folder, name, *metrics, ranks, **changes):
    """A run with all that a page reads of its folder."""
    file = write_run(
        folder, name, *metrics, timing={"fit_s": 20.0, "fit_cpu_s": 15.5, "epoch_s": [1.0]}, **changes
    )
    write_ranks(folder, name, ranks, redundancy=[0.5] * len(ranks))
    (file.parent / "csv").mkdir()
    curve = "epoch,step,train/loss,val/ndcg@10\n0,9,4.0,\n0,19,2.0,\n0,19,,0.05\n1,39,,0.075\n"
    (file.parent / "csv" / "metrics.csv").write_text(curve)
    (file.parent / ".hydra").mkdir()
    config = f"seed: {changes.get('seed', 0)}\noptim:\n  lr: {metrics[0]}\npaths:\n  data_dir: /home/somebody\n"
    (file.parent / ".hydra" / "config.yaml").write_text(config)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two kinds of runs of two seeds, baselines, a pre-training, and a run without a metric."""
    folder = tmp_path_factory.mktemp("runs")
    easy, hard = [1.0, 2.0, 3.0, 4.0] * 10, [11.0, 2.0, 30.0, 4.0] * 10
    for seed in (0, 1):
        write_whole_run(folder, f"good{seed}", 0.25, ranks=easy, seed=seed, overrides=[f"name={HOSTILE}"])
        write_whole_run(folder, f"poor{seed}", 0.125, ranks=hard, seed=seed)
    baselines = {"hybrid_knn": (hard, hard), "random": ([400.0] * 40, [400.0] * 40)}
    write_baselines(folder, "baselines", baselines)
    write_run(folder, "lacking", 0.9, metrics={"test/recall@10": 0.9})
    write_run(folder, "pretrain", 0.1, phase="pretrain", metrics={"val/ndcg@10": 0.1})
    return folder


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "report"
    assert main(["page", str(runs), "--out", str(folder)]) == 0
    return folder


def read_facts(page):
    return json.loads((page / "data.js").read_text().removeprefix("window.REPORT = ").rstrip(";\n"))


def test_the_facts_are_those_of_the_runs(page, runs):
    facts = read_facts(page)
    rows = {row["place"]: row for row in facts["runs"]}
    assert set(rows) == {"good0", "good1", "poor0", "poor1", "baselines", "pretrain"}
    assert (rows["poor1"]["ndcg@10"], rows["poor1"]["cpu"], rows["poor1"]["seed"]) == (0.125, 15.5, 1)
    assert rows["pretrain"]["ndcg@10"] is None
    assert rows["pretrain"]["validation"] == 0.1
    assert rows["poor0"]["command"] == "python train.py"
    curves = facts["curves"][str(rows["good0"]["id"])]
    assert curves == {"train/loss": [[0, 3.0]], "val/ndcg@10": [[0, 0.05], [1, 0.075]]}
    assert facts["configs"]["keys"] == ["optim.lr", "seed"]
    assert "somebody" not in (page / "data.js").read_text()
    assert any("1 of runs without ndcg@10, recall@50, ndcg@50" in note for note in facts["notes"])


def test_groups_and_pairs_are_those_of_the_other_reports(page):
    facts = read_facts(page)
    group = next(
        one
        for one in facts["groups"]
        if one["way"] == "item_frequency" and one["group"] == "1-4" and one["kind"].startswith("name=")
    )
    assert (group["users"], group["values"]["recall@10"]) == (4, 1.0)
    pair = next(
        one
        for one in facts["pairs"]
        if one["metric"] == "recall@10" and one["a"].startswith("name=") and one["b"] == "MISSRecReleased"
    )
    assert (pair["ours"], pair["theirs"], pair["difference"], pair["seeds"]) == (1.0, 0.5, 0.5, 2)
    assert pair["lowAll"] <= pair["low"] < 0.5 < pair["high"] <= pair["highAll"]
    assert {one["b"] for one in facts["pairs"]} == {"MISSRecReleased", "hybrid_knn", "random"}


def test_a_difference_that_is_none_has_an_interval_around_zero(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_whole_run(tmp_path, name, 0.5, ranks=[1.0, 20.0, 3.0], overrides=[f"optim.lr={seed}"])
    results = collect([tmp_path])
    one = compared(results[0].data, list(zip(results, labels_of(results), strict=True)), "ndcg@10")
    (pair,) = pair_facts(one, ["ndcg@10"])
    assert pair["low"] == pair["difference"] == pair["high"] == 0


def test_another_folder_is_not_written_over(tmp_path, runs, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "is no page" in mistake(capsys, "page", runs, "--out", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_config_is_left_out(tmp_path):
    write_whole_run(tmp_path, "a", 0.5, ranks=[1.0, 2.0])
    (run,) = collect([tmp_path])
    assert config_of(run)["optim.lr"] == "0.5"
    (tmp_path / "a" / ".hydra" / "config.yaml").write_text("seed: [1\nmodel: {a: 1}\n")
    assert config_of(run) == {}


@pytest.mark.slow
def test_five_hundred_runs_make_a_page_in_seconds(tmp_path):
    for number in range(500):
        ranks = [float(1 + (number * user) % 97) for user in range(2000)]
        overrides = [f"optim.lr={number // 5}"]
        write_whole_run(tmp_path / "runs", f"{number}", 0.1, ranks=ranks, seed=number % 5, overrides=overrides)
    started = time.process_time()
    assert main(["page", str(tmp_path / "runs"), "--out", str(tmp_path / "page")]) == 0
    assert time.process_time() - started < 10
    assert sum(file.stat().st_size for file in (tmp_path / "page").rglob("*")) < 20e6


DRIVER = Path(__file__).with_name("page_driver.js")


def browse(page, tmp_path, *options):
    """What the page's script says of itself after a visit, and the lines of the console."""
    copy = shutil.copytree(page, tmp_path / "page")
    index = copy / "index.html"
    index.write_text(index.read_text().replace("</body>", f"<script>{DRIVER.read_text()}</script></body>"))
    base = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    base += ["--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"]
    ended = subprocess.run(
        [*base, *options, "--dump-dom", index.as_uri()], capture_output=True, text=True, timeout=240
    )
    found = re.search(r'<pre id="said">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found, ended.stderr[-3000:]
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(text), [
        line[line.index("CONSOLE") :] for line in ended.stderr.splitlines() if "CONSOLE" in line
    ]


@browser
def test_every_tab_opens_and_the_table_sorts_and_filters(page, tmp_path):
    said, console = browse(page, tmp_path, "--window-size=1280,900")
    assert console == []
    charts = {name: said[name]["charts"] for name in TABS}
    assert charts == {
        **dict.fromkeys(TABS, 0),
        **{"comparison": 1, "curves": 2, "groups": 3, "cost": 1},
    }
    assert all(said[name]["visible"] and said[name]["text"] for name in TABS)
    assert HOSTILE in said["overview"]["text"]  # as text
    folders = ["baselines", "good0", "good1", "poor0", "poor1", "pretrain"]
    assert said["up"] == folders
    assert said["down"] == folders[::-1]
    assert said["filtered"] == ["poor1"]


@browser
@pytest.mark.slow
def test_it_is_readable_on_a_narrow_screen_and_in_the_dark(page, tmp_path):
    said, console = browse(page, tmp_path, "--window-size=400,800", "--blink-settings=preferredColorScheme=0")
    assert console == []
    assert all(said[name]["wide"] <= 0 for name in TABS)  # nothing but tables and strips scrolls sideways
    red, green, blue = map(int, re.findall(r"\d+", said["dark"])[:3])
    assert max(red, green, blue) < 60
