import re
from xml.etree import ElementTree

import pytest
from fabricated import NAMES, mistake, write_run

from missrec_pl.report.__main__ import main
from missrec_pl.report.commands.chart import bars_by_data
from missrec_pl.report.runs.collect import collect

BASELINES = {
    "ease": {f"test/{name}": 0.02 for name in NAMES},
    "hybrid_knn": {f"test/{name}": 0.03 for name in NAMES},
}
EXCLUDED = {
    name: {metric: value + 0.01 for metric, value in metrics.items()} for name, metrics in BASELINES.items()
}


@pytest.fixture
def runs(tmp_path):
    both = {"baselines": BASELINES, "baselines_history_excluded": EXCLUDED}
    write_run(tmp_path, "a", 0.05, **both)
    write_run(tmp_path, "b", 0.07, seed=1, **both)
    write_run(tmp_path, "c", 0.09, model="MISSRec", data="Office", setting="transductive", **both)
    return tmp_path


def texts(file):
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    return [
        re.sub(r"<[^>]+>", "", found) for found in re.findall(r"<text[^>]*>(.*?)</text>", file.read_text(), re.S)
    ]


def test_a_panel_per_data_set_with_a_bar_for_each_baseline_and_kind_of_runs(runs, capsys):
    out = runs / "chart.svg"
    baselines = ("--baselines", "hybrid_knn", "ease/history_excluded")
    assert main(["chart", str(runs), "--metric", "recall@10", *baselines, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"written: {out}\n"
    shown = texts(out)
    assert {"Scientific_mm_subset: R@10", "Office: R@10"} <= set(shown)
    for label, count in {
        "hybrid_knn": 2,
        "ease, history excluded": 2,
        "MISSRecReleased, inductive": 1,
        "MISSRec, transductive": 1,
    }.items():
        assert shown.count(label) == count
    values = sorted(text.strip() for text in shown if re.fullmatch(r"\s*0\.\d{4}", text))
    assert values == ["0.0300"] * 4 + ["0.0600", "0.0900"]


def test_bars_in_rising_order(runs):
    out = runs / "chart.svg"
    assert main(["chart", str(runs), "--sort", "--baselines", "hybrid_knn", "ease", "--out", str(out)]) == 0
    # of a picture's texts a panel's labels come in the order of its bars
    labels = [text for text in texts(out) if text in ("hybrid_knn", "ease", "MISSRecReleased, inductive")]
    assert labels == ["ease", "hybrid_knn", "MISSRecReleased, inductive", "ease", "hybrid_knn"]


@pytest.mark.parametrize(
    ("changed", "labels"),
    [
        ({}, ["MISSRecReleased"]),
        ({"experiment": "tuned"}, ["MISSRecReleased", "tuned"]),
        ({"init": "pretrained", "ckpt": "x.ckpt"}, ["from scratch", "pre-trained"]),
        ({"overrides": ["model.content=none"]}, ["MISSRecReleased", "model.content=none"]),
    ],
)
def test_labels_say_what_tells_runs_apart(tmp_path, changed, labels):
    write_run(tmp_path, "a", 0.2)
    write_run(tmp_path, "b", 0.3, **(changed or {"seed": 1}))
    (bars,) = bars_by_data(collect([tmp_path]), "recall@10", []).values()
    assert [bar.label for bar in bars] == labels


def test_the_same_runs_give_the_same_file(runs):
    for name in ("first", "second"):
        assert main(["chart", str(runs), "--out", str(runs / f"{name}.svg")]) == 0
    assert (runs / "first.svg").read_bytes() == (runs / "second.svg").read_bytes()


def test_mistakes_are_named_and_leave_nothing(runs, capsys):
    out = ("--out", runs / "chart.svg")
    assert "the picture is a SVG; write for example --out chart.svg" in mistake(
        capsys, "chart", runs, "--out", "chart.png"
    )
    assert "there is no folder" in mistake(capsys, "chart", runs, "--out", runs / "none" / "chart.svg")
    assert "--baselines knn: " in mistake(capsys, "chart", runs, *out, "--baselines", "knn")
    assert "lacks test/speed" in mistake(capsys, "chart", runs, *out, "--metric", "speed")
    assert not (runs / "chart.svg").exists()


def test_baselines_of_other_modalities_have_bars_of_their_own(tmp_path):
    for name, value in (("text", 0.1), ("image", 0.3)):
        baselines = {one: {f"test/{metric}": value for metric in NAMES} for one in ("hybrid_knn", name)}
        baselines["popularity"] = {f"test/{metric}": 0.01 for metric in NAMES}
        write_run(tmp_path, name, 0.2, modalities=[name], experiment=f"table3/{name}", baselines=baselines)
    write_run(tmp_path, "trial", 0.2, metrics={})
    bars = bars_by_data(collect([tmp_path]), "recall@10", ["hybrid_knn", "popularity"])["Scientific_mm_subset"]
    assert [(bar.label, bar.value) for bar in bars if bar.is_baseline] == [
        ("hybrid_knn (image)", 0.3),
        ("hybrid_knn (text)", 0.1),
        ("popularity", 0.01),
    ]


def test_nothing_to_draw_is_said(tmp_path, capsys):
    write_run(tmp_path, "trial", 0.2, metrics={})
    assert "none of 1 runs tested a model or baselines" in mistake(
        capsys, "chart", tmp_path, "--out", tmp_path / "chart.svg"
    )
