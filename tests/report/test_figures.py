"""The pages say what `docs/results.json` has stored."""

import importlib.util
import json
import shutil
import sys

import pytest
from runs import ROOT

PAGES = (
    "README.md",
    *(
        f"docs/{name}"
        for name in ("results.md", "results_by_group.md", "what_mattered.md", "trials.md", "results.json")
    ),
)


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks" / "figures.py")
    module = sys.modules["figures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in PAGES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_figure_is_the_stored_one(figures):
    assert figures.mistakes() == []


@pytest.mark.parametrize(
    ("page", "before", "after"),
    [
        ("README.md", "| .1053 | .0641 |", "| .1153 | .0641 |"),
        ("docs/results.md", "| 0.1880 ± 0.0020 |", "| 0.1890 ± 0.0020 |"),
        ("docs/results.md", "| .1880 (.1786) |", "| .1990 (.1786) |"),
        ("docs/what_mattered.md", "| .1080 | .3221 |", "| .1096 | .9255 |"),
        ("docs/results.md", "paired tuned --where data=Office", "paired tuned --where data=Offices"),
    ],
    ids=["readme", "table", "summary", "another page", "command"],
)
def test_a_changed_figure_is_named(page, before, after, figures, pages):
    file = pages / page
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    found = figures.mistakes(pages)
    assert found
    assert all(page in one or "no page shows" in one for one in found)


def test_a_table_is_made_again_from_runs(figures, pages, monkeypatch):
    monkeypatch.setattr(figures, "ROOT", pages)
    monkeypatch.setattr(figures, "STORE", pages / "docs" / "results.json")
    monkeypatch.setattr(figures, "output_of", lambda command, runs: ["| A |", "| --- |", "| 1 |"])
    assert figures.record(pages, "paired tuned --where data=Office ") == 1
    stored = json.loads((pages / "docs" / "results.json").read_text(encoding="utf-8"))["tables"]
    (made,) = [entry for entry in stored if entry["rows"] == ["| A |", "| --- |", "| 1 |"]]
    assert made["made"]["on"]
    assert "| A |\n| --- |\n| 1 |\n\n- A:" in (pages / "docs" / "results.md").read_text(encoding="utf-8")
