import pytest
from fabricated import mistake, printed, write_run

R10 = ("--metrics", "recall@10")


def interest(method, number):
    return {"interest": {"method": method, "num_prototypes": number}}


def test_each_way_is_held_against_one_prototype_by_seed(tmp_path, capsys):
    for seed, (base, random, peaks) in enumerate([(0.10, 0.11, 0.13), (0.20, 0.19, 0.25)]):
        shared = {"seed": seed, "experiment": "interest_study"}
        write_run(tmp_path, f"none{seed}", base, **interest("NoInterests", 1), **shared)
        write_run(tmp_path, f"random{seed}", random, **interest("RandomTokens", 0.02), **shared)
        write_run(tmp_path, f"dpc{seed}", peaks, **interest("DPCKNN", 0.5), **shared)
    write_run(tmp_path, "few", 0.3, **interest("DPCKNN", 0.1))
    write_run(tmp_path, "many", 0.3, **interest("DPCKNN", 64))
    ours = "MISSRecReleased, inductive, from scratch"
    against = f"{ours}: against one prototype"
    assert printed(capsys, "interest_study", tmp_path, *R10) == [
        ["Data", "Interests", "Numbers of", "R@10", "Seeds"],
        ["Scientific_mm_subset", "one prototype", ours, "0.1500 ± 0.0707", "2"],
        ["Scientific_mm_subset", "random, 2 %", ours, "0.1500 ± 0.0566", "2"],
        ["", "", against, "+0.0000 ± 0.0141", "2"],
        ["Scientific_mm_subset", "DPC-KNN, 10 %", ours, "0.3000", "1"],
        ["", "", against, "+0.2000", "1"],
        ["Scientific_mm_subset", "DPC-KNN, 50 %", ours, "0.1900 ± 0.0849", "2"],
        ["", "", against, "+0.0400 ± 0.0141", "2"],
        ["Scientific_mm_subset", "DPC-KNN, 64", ours, "0.3000", "1"],
        ["", "", against, "+0.2000", "1"],
    ]


def test_where_chooses_by_method_and_number(tmp_path, capsys):
    for name, number in (("a", 0.02), ("b", 0.5)):
        write_run(tmp_path, name, number, **interest("KMeans", number))
    write_run(tmp_path, "c", 0.3, **interest("DPCKNN", 0.5))
    where = ("--where", "interest=KMeans", "prototypes=0.5")
    assert [row[1] for row in printed(capsys, "interest_study", tmp_path, *R10, *where)[1:] if row[-1] == "1"] == [
        "k-means, 50 %"
    ]


def test_other_experiments_are_taken_by_name(tmp_path, capsys):
    for seed in (0, 1):
        write_run(tmp_path, f"a{seed}", 0.2, seed=seed, experiment="tuned", **interest("NoInterests", 1))
        write_run(tmp_path, f"b{seed}", 0.3, seed=seed, experiment="table3/tv", **interest("DPCKNN", 0.05))
    where = ("--where", "experiment=tuned,table3/tv")
    rows = printed(capsys, "interest_study", tmp_path, *R10, *where)
    assert rows[-1][2:] == [
        "MISSRecReleased, inductive, from scratch: against one prototype", "+0.1000 ± 0.0000", "2"
    ]  # fmt: skip


def test_without_one_prototype_it_says_so(tmp_path, capsys):
    overrides = ["interest=random", "interest.num_prototypes=0.05", "model.dropout=0.1"]
    write_run(tmp_path, "a", 0.2, **interest("RandomTokens", 0.05), overrides=overrides)
    write_run(tmp_path, "b", 0.2, experiment="table3/tv")
    rows = printed(capsys, "interest_study", tmp_path, *R10)
    assert rows[1][1:3] == ["one prototype", "no runs"]
    assert rows[2][2] == "MISSRecReleased, inductive, from scratch, model.dropout=0.1"
    assert rows[3][2].endswith("against one prototype: no seed in common")
    assert rows[-1] == ["- left out: 1 runs of other experiments"]


@pytest.mark.parametrize("number", [True, "many", None])
def test_damaged_interests_are_refused(tmp_path, capsys, number):
    write_run(tmp_path, "a", 0.2, **interest("KMeans", number))
    assert "interest.num_prototypes must be a finite number" in mistake(capsys, "interest_study", tmp_path)


def test_runs_of_other_experiments_alone_are_refused(tmp_path, capsys):
    write_run(tmp_path, "a", 0.2, experiment="table3/tv")
    assert "none of 1 runs is of experiment=interest_study" in mistake(capsys, "interest_study", tmp_path)


def test_networks_without_interests_are_left_out_and_counted(tmp_path, capsys):
    write_run(tmp_path, "none", 0.1, **interest("NoInterests", 1))
    write_run(tmp_path, "dpc", 0.2, **interest("DPCKNN", 0.05))
    for seed in (0, 1):
        write_run(tmp_path, f"sasrec{seed}", 0.3, seed=seed, model="SASRec", interest=None, reads=["ids"])
    write_run(tmp_path, "other", 0.3, model="SASRec", interest=None, reads=["ids"], experiment="table3/tv")
    rows = printed(capsys, "interest_study", tmp_path, *R10)
    assert [row[1] for row in rows[1:3]] == ["one prototype", "DPC-KNN, 5 %"]
    assert [row[0] for row in rows[-2:]] == [
        "- left out: 1 runs of other experiments",
        "- left out: 2 runs that name no interests",
    ]
    assert "none of 2 runs" in mistake(capsys, "interest_study", *tmp_path.glob("sasrec*"))


def test_other_choices_of_a_way_are_rows_of_their_own_against_the_same_prototype(tmp_path, capsys):
    for seed, value in ((0, 0.2), (1, 0.3)):
        shared = {"seed": seed, "experiment": "interest_study"}
        write_run(
            tmp_path, f"none{seed}", 0.1, **interest("NoInterests", 1), overrides=["interest=none"], **shared
        )
        write_run(tmp_path, f"a{seed}", value, overrides=["interest=dpc_knn"], **shared)
    overrides = ["interest=dpc_knn", "interest.method.k=100"]
    write_run(tmp_path, "b", 0.5, overrides=overrides, experiment="interest_study")
    write_run(tmp_path, "trial", 0.5, seed=2, metrics={}, experiment="interest_study")
    ours = "MISSRecReleased, inductive, from scratch"
    rows = [row[2:] for row in printed(capsys, "interest_study", tmp_path, *R10)[2:]]
    assert rows == [
        [ours, "0.2500 ± 0.0707", "2"],
        [f"{ours}, interest.method.k=100", "0.5000", "1"],
        [f"{ours}: against one prototype", "+0.1500 ± 0.0707", "2"],
        [f"{ours}, interest.method.k=100: against one prototype", "+0.4000", "1"],
        [],
    ]
