"""Reports on runs of networks that have no interests, and that say what they read."""

import pytest
from fabricated import mistake, printed, write_baselines, write_ranks, write_run

from missrec_pl.report.__main__ import main

R10 = ("--metrics", "recall@10")
BOTH = ["text", "image"]
DATA = "Scientific_mm_subset"


@pytest.fixture
def runs(tmp_path):
    """Two seeds of SASRec, which has no interests, and of the released network."""
    for seed in (0, 1):
        sasrec = {"model": "SASRec", "interest": None, "reads": ["ids"], "overrides": ["model=sasrec"]}
        write_run(tmp_path, f"sasrec{seed}", 0.2, seed=seed, **sasrec)
        write_run(tmp_path, f"ours{seed}", 0.3, seed=seed, reads=["features"])
        for name in ("sasrec", "ours"):
            write_ranks(tmp_path, f"{name}{seed}", [1.0, 20.0])
    write_baselines(tmp_path, "baselines", {"ease": ([1.0, 9.0], [1.0, 9.0])}, interest=None, reads=[])
    return tmp_path


def test_tables_have_rows_for_them(runs, capsys):
    assert printed(capsys, "table", runs, *R10)[1:] == [
        [DATA, "inductive", "from scratch", "MISSRecReleased", "0.3000 ± 0.0000", "2", "10"],
        [DATA, "inductive", "from scratch", "SASRec", "0.2000 ± 0.0000", "2", "10"],
    ]
    assert [DATA, "ID", "SASRec, from scratch", "0.2000 ± 0.0000", "2"] in printed(capsys, "table3", runs, *R10)
    commands = [row[1] for row in printed(capsys, "runs", runs, "--where", "model=SASRec")[1:]]
    assert commands == ["python train.py model=sasrec"]


@pytest.mark.parametrize(
    "command", ["table2", "table4", "interest_study", "figure4", "groups --by history_length"]
)
def test_every_table_copes(runs, capsys, command):
    assert printed(capsys, *command.split(), runs, *R10)


def test_a_chart_has_bars_for_them(runs):
    out = runs / "chart.svg"
    assert main(["chart", str(runs), "--where", "phase=finetune", "--out", str(out)]) == 0
    assert "SASRec" in out.read_text()


def test_they_can_be_paired_with_others(runs, capsys):
    split = ("--where", "model=SASRec", "--against-where", "model=MISSRecReleased")
    notes = [row[0] for row in printed(capsys, "paired", runs, *split, *R10)[2:]]
    assert notes[:2] == [
        f"- A: {DATA}, ID, SASRec, from scratch",
        f"- B: {DATA}, T+V, MISSRecReleased, from scratch",
    ]
    rows = printed(capsys, "paired", runs, "--where", "model=SASRec", "--against-baseline", "ease", *R10)
    assert rows[1][1:3] == ["0.5000", "1.0000"]


def test_conditions_on_interests_leave_them_out(runs, capsys):
    rows = printed(capsys, "table", runs, *R10, "--where", "interest=DPCKNN", "phase=finetune")
    assert [row[3] for row in rows[1:]] == ["MISSRecReleased"]
    assert "there is interest DPCKNN" in mistake(capsys, "table", runs, "--where", "interest=KMeans")


@pytest.mark.parametrize(
    ("reads", "modalities", "shown"),
    [
        (["ids"], BOTH, "ID"),
        (["features"], BOTH, "T+V"),
        (["features", "ids"], ["text"], "ID+T"),
        (["attributes", "ids", "timestamps"], BOTH, "ID+attributes"),
        (["timestamps"], BOTH, "unknown"),
    ],
)
def test_the_input_is_what_the_network_reads(tmp_path, capsys, reads, modalities, shown):
    network = {"model": "Another", "interest": None, "setting": "transductive"}
    write_run(tmp_path, "a", 0.2, reads=reads, modalities=modalities, **network)
    (row,) = (row for row in printed(capsys, "table3", tmp_path, *R10) if row[-1] == "1")
    assert row[1:3] == [shown, "Another, from scratch"]


def test_what_is_read_is_checked(tmp_path, capsys):
    write_run(tmp_path, "a", 0.2, reads="ids")
    assert "a/results.json: reads must be a list of strings, found 'ids'" in mistake(capsys, "table", tmp_path)
