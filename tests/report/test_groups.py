import pytest
from fabricated import mistake, printed, write_baselines, write_ranks, write_run

R10 = ("--metrics", "recall@10")
COUNTS = [0, 1, 4, 5, 9, 60]


def run_with(folder, name, ranks, counts=COUNTS, **changes):
    write_run(folder, name, 0.5, **changes)
    write_ranks(folder, name, ranks, item_count=counts)


def test_item_frequency_groups_by_hand(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 90, 1, 90, 90, 1])
    run_with(tmp_path, "b", [90, 1, 1, 1, 90, 1], seed=1)
    run_with(tmp_path, "c", [1, 1, 1, 1, 1, 90], model="MISSRec")
    released, paper = "T+V, MISSRecReleased, from scratch", "T+V, MISSRec, from scratch"
    data = "Scientific_mm_subset"
    assert printed(capsys, "groups", tmp_path, "--by", "item_frequency", *R10) == [
        ["Data", "Item frequency", "Users", "Runs", "R@10", "Seeds"],
        [data, "0", "1", paper, "1.0000", "1"],
        ["", "", "", released, "0.5000 ± 0.7071", "2"],
        [data, "1-4", "2", paper, "1.0000", "1"],
        ["", "", "", released, "0.7500 ± 0.3536", "2"],
        [data, "5-9", "2", paper, "1.0000", "1"],
        ["", "", "", released, "0.2500 ± 0.3536", "2"],
        [data, "50+", "1", paper, "0.0000", "1"],
        ["", "", "", released, "1.0000 ± 0.0000", "2"],
    ]


def test_history_length_with_edges_of_ones_own(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 90, 90, 1, 1])
    rows = printed(capsys, "groups", tmp_path, "--by", "history_length", "--edges", "2,5", *R10)
    assert [row[1:3] + row[4:] for row in rows[1:]] == [
        ["1", "1", "1.0000", "1"],
        ["2-4", "3", "0.3333", "1"],
        ["5+", "2", "1.0000", "1"],
    ]


def test_baselines_stand_before_the_runs(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 90, 1, 90, 90, 1], counts=[0, 1, 2, 3, 4, 5])
    write_baselines(tmp_path, "baselines", {"ease": ([1, 90, 90, 90, 90, 90], [1, 1, 90, 90, 90, 90])})
    arguments = ("groups", tmp_path, "--by", "item_frequency", "--edges", "4", *R10)
    rows = printed(capsys, *arguments, "--baselines", "ease", "ease/history_excluded", "--where", "phase=finetune")
    data, kind = "Scientific_mm_subset", "T+V, MISSRecReleased, from scratch"
    assert rows[1:] == [
        [data, "0-3", "4", "ease", "0.2500", ""],
        ["", "", "", "ease/history_excluded", "0.5000", ""],
        ["", "", "", kind, "0.5000", "1"],
        [data, "4+", "2", "ease", "0.0000", ""],
        ["", "", "", "ease/history_excluded", "0.0000", ""],
        ["", "", "", kind, "0.5000", "1"],
    ]
    assert "no baseline knn; choose from ease, ease/history_excluded" in mistake(
        capsys, *arguments, "--baselines", "knn"
    )


def test_redundancy_leaves_out_users_with_nothing_to_compare(tmp_path, capsys):
    write_run(tmp_path, "a", 0.5)
    write_ranks(tmp_path, "a", [1, 90, 1, 1], redundancy=[0.123, 0.456, 0.459, None])
    rows = printed(capsys, "groups", tmp_path, "--by", "redundancy", *R10)
    assert [row[1:3] + row[4:] for row in rows[1:]] == [
        ["0-39", "1", "1.0000", "1"],
        ["40-49", "2", "0.5000", "1"],
    ]
    write_run(tmp_path, "b", 0.5)
    write_ranks(tmp_path, "b", [1])
    assert "lacks redundancy: test the run's checkpoint again" in mistake(
        capsys, "groups", tmp_path / "b", "--by", "redundancy"
    )


def test_figure4_is_relative_to_the_runs_with_ids_alone(tmp_path, capsys):
    run_with(tmp_path, "a", [1, 1, 1, 1, 90, 90], setting="transductive")
    run_with(tmp_path, "b", [90, 1, 90, 1, 1, 1], setting="transductive", model="IDOnly")
    _, *rows = printed(capsys, "figure4", tmp_path)
    ours, ids = "ID+T+V, MISSRecReleased, from scratch", "ID, IDOnly, from scratch"
    assert [row[1:] for row in rows] == [
        ["0", "1", ids, "0.0000", "", "1"],
        ["", "", ours, "1.0000", "", "1"],
        ["1-4", "2", ids, "0.5000", "", "1"],
        ["", "", ours, "1.0000", "+100.0%", "1"],
        ["5-9", "2", ids, "1.0000", "", "1"],
        ["", "", ours, "0.5000", "-50.0%", "1"],
        ["50+", "1", ids, "1.0000", "", "1"],
        ["", "", ours, "0.0000", "-100.0%", "1"],
    ]
    assert "no runs with item IDs alone" in printed(capsys, "figure4", tmp_path / "a")[-1][0]


@pytest.mark.parametrize("edges", ["5,5", "10,5", "0,5", "-1", "1.5", "few", ""])
def test_unusable_edges_are_refused(tmp_path, capsys, edges):
    run_with(tmp_path, "a", [1] * 6)
    error = mistake(capsys, "groups", tmp_path, "--by", "item_frequency", f"--edges={edges}")
    assert "give ascending whole numbers above 0" in error


def test_other_mistakes_are_named(tmp_path, capsys):
    run_with(tmp_path, "a", [1] * 6)
    run_with(tmp_path, "b", [1] * 6, counts=None, seed=1)
    error = mistake(capsys, "groups", tmp_path, "--by", "item_frequency")
    assert "b/test_ranks.parquet lacks item_count: test the run's checkpoint again" in error
    run_with(tmp_path, "c", [1] * 5, counts=[1] * 5, seed=2)
    assert "differ in domain" in mistake(
        capsys, "groups", tmp_path / "a", tmp_path / "c", "--by", "history_length"
    )
    write_run(tmp_path, "d", 0.1, phase="pretrain")
    assert "pre-training runs, which test nobody" in mistake(
        capsys, "groups", tmp_path / "d", "--by", "history_length"
    )


def test_baselines_of_other_modalities_or_histories_are_told_apart(tmp_path, capsys):
    same = [1, 90]
    for name, ranks in (("text", [1, 90]), ("image", [90, 90])):
        run_with(tmp_path, f"run-{name}", [1, 1], counts=[0, 0], modalities=[name])
        both = {"hybrid_knn": (ranks, ranks), "popularity": (same, same)}
        write_baselines(tmp_path, f"simple-{name}", both, modalities=[name])
    names = ("--baselines", "hybrid_knn", "hybrid_knn/history_excluded", "popularity")
    arguments = ("groups", tmp_path, "--by", "history_length", "--edges", "9", *R10, *names)
    rows = printed(capsys, *arguments, "--where", "phase=finetune")
    assert [row[3:5] for row in rows[1:6]] == [
        ["hybrid_knn (image)", "0.0000"],
        ["hybrid_knn (text)", "0.5000"],
        ["hybrid_knn/history_excluded (image)", "0.0000"],
        ["hybrid_knn/history_excluded (text)", "0.5000"],
        ["popularity", "0.5000"],
    ]
    write_run(tmp_path, "short", 0.5, modalities=["text"], model="MISSRec")
    write_ranks(tmp_path, "short", [1, 1], history_length=[1, 1])
    assert "run phase=baselines with the run's data.max_history" in mistake(capsys, *arguments)


def test_runs_without_a_test_are_left_out(tmp_path, capsys):
    origin = {"phase": "pretrain", "data": "Office", "setting": "inductive"}
    run_with(tmp_path, "a", [1] * 6, init="pretrained", ckpt_origin=origin)
    write_run(tmp_path, "trial", 0.5, metrics={"val/ndcg@10": 0.1})
    for arguments in (("groups", "--by", "history_length"), ("figure4",)):
        rows = printed(capsys, arguments[0], tmp_path, *arguments[1:], *R10)
        assert rows[1][3] == "T+V, MISSRecReleased, pre-trained, from [Office]"
        assert rows[-1] == ["- left out: 1 of runs without test metrics"]
    assert "or runs without a test" in mistake(capsys, "groups", tmp_path / "trial", "--by", "history_length")
