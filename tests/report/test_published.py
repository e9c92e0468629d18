"""Our runs beside the reported numbers."""

from fabricated import mistake, printed, write_run
from runs import composed

R10 = ("--metrics", "recall@10")
TRANSDUCTIVE = {"setting": "transductive"}


def test_table3_prints_ours_theirs_and_the_difference(tmp_path, capsys):
    for seed, value in enumerate((0.16, 0.17, 0.18)):
        write_run(tmp_path, f"tv{seed}", value, seed=seed, experiment="table3/tv")
    write_run(tmp_path, "t", 0.15, 0.07, 0.3, 0.1, modalities=["text"], experiment="table3/t")
    header, *rows = printed(capsys, "table3", tmp_path)
    assert header == ["Data", "Row", "Numbers of", "R@10", "N@10", "R@50", "N@50", "Seeds"]
    data, ours = "Scientific_mm_subset", "MISSRecReleased, from scratch"
    assert rows[:2] == [
        [data, "ID+T", "no runs", "", "", "", "", "0"],
        ["", "", "paper", "0.1633", "0.0793", "0.3272", "0.1150", ""],
    ]
    at = rows.index([data, "T", ours, "0.1500", "0.0700", "0.3000", "0.1000", "1"])
    assert rows[at + 1 : at + 3] == [
        ["", "", "paper", "0.1619", "0.0780", "0.3238", "0.1136", ""],
        ["", "", f"{ours} - paper", "-0.0119", "-0.0080", "-0.0238", "-0.0136", ""],
    ]
    at = rows.index([data, "T+V", ours, *["0.1700 ± 0.0100"] * 4, "3"])
    assert rows[at + 2][2:4] == [f"{ours} - paper", "+0.0067"]
    assert [row[1] for row in rows if row[1]] == ["ID+T", "ID+V", "ID+T+V", "T", "V", "T+V"]


def test_runs_are_recognised_without_an_overlay_and_told_apart(tmp_path, capsys):
    noise = [
        "seed=0",
        "trainer=cpu",
        "paths.data_dir=x",
        "model=missrec",
        "data.modalities=[text]",
        "logger=wandb",
        "data.prefetch_factor=4",
        "baselines.names=[]",
    ]
    write_run(tmp_path, "a", 0.1, model="MISSRec", modalities=["text"], overrides=noise)
    changed = [*noise, "interest=none", "+trainer.limit_train_batches=3"]
    write_run(tmp_path, "b", 0.2, model="MISSRec", modalities=["text"], overrides=changed)
    literal = ["model=missrec_literal"]
    write_run(tmp_path, "c", 0.3, model="MISSRec", modalities=["text"], overrides=literal, init="pretrained")
    rows = printed(capsys, "table3", tmp_path, *R10)
    names = [row[2] for row in rows if row[-1] == "1"]
    assert names == [
        "MISSRec, from scratch",
        "MISSRec, from scratch, +trainer.limit_train_batches=3, interest=none",
        "MISSRec, pre-trained, model=missrec_literal",
    ]


def test_what_does_not_belong_is_left_out_and_said(tmp_path, capsys):
    write_run(tmp_path, "a", 0.1, experiment="table3/tv")
    write_run(tmp_path, "b", 0.2, experiment="table5/full")
    write_run(tmp_path, "c", 0.3, protocol={"mask_history": False, "compat": True})
    write_run(tmp_path, "d", 0.4, phase="pretrain")
    write_run(tmp_path, "e", 0.4, experiment="table3/tv", seed=1, metrics={"val/ndcg@10": 0.1})
    rows = printed(capsys, "table3", tmp_path, *R10)
    notes = [row[0] for row in rows if row[0].startswith("- ")]
    assert notes == [
        "- left out: 1 of experiment table5/full",
        "- left out: 1 of another protocol than the default (compat)",
        "- left out: 1 of pre-training",
        "- left out: 1 of runs without test metrics",
    ]
    error = mistake(capsys, "table3", tmp_path / "b", tmp_path / "d")
    assert "no run belongs to table3; left out: 1 of experiment table5/full; left out: 1 of pre-training" in error


def test_where_chooses_runs(tmp_path, capsys):
    write_run(tmp_path, "a", 0.1, seed=0)
    write_run(tmp_path, "b", 0.2, seed=1)
    write_run(tmp_path, "c", 0.4, seed=2, model="MISSRec")
    rows = printed(capsys, "table", tmp_path, *R10, "--where", "model=MISSRecReleased", "seed=1,2")
    assert [row[4] for row in rows[1:]] == ["0.2000"]
    assert "none of 3 runs has --where seed=7; there is seed 0, 1, 2" in mistake(
        capsys, "table", tmp_path, "--where", "seed=7"
    )
    assert "--where speed=7: write FACT=VALUE with one of data" in mistake(
        capsys, "table", tmp_path, "--where", "speed=7"
    )


def test_table4_pairs_starts_by_seed(tmp_path, capsys):
    for seed, (scratch, pretrained) in enumerate([(0.10, 0.11), (0.12, 0.15)]):
        shared = {"seed": seed, "data": "Scientific_mm_full", **TRANSDUCTIVE}
        write_run(tmp_path, f"s{seed}", scratch, experiment="table4/scientific", **shared)
        write_run(tmp_path, f"p{seed}", pretrained, experiment="table4/scientific", init="pretrained", **shared)
    write_run(tmp_path, "alone", 0.13, data="Scientific_mm_full", seed=5, init="pretrained", **TRANSDUCTIVE)
    rows = printed(capsys, "table4", tmp_path, *R10)
    at = next(i for i, row in enumerate(rows) if row[1] == "ID+T+V, pre-trained")
    assert rows[at : at + 5] == [
        ["Scientific_mm_full", "ID+T+V, pre-trained", "MISSRecReleased", "0.1300 ± 0.0200", "3"],
        ["", "", "paper", "0.1304", ""],
        ["", "", "MISSRecReleased - paper", "-0.0004", ""],
        ["", "", "MISSRecReleased: effect of pre-training", "+0.0200 ± 0.0141", "2"],
        ["", "", "paper: effect of pre-training", "+0.0076", ""],
    ]
    at = next(i for i, row in enumerate(rows) if row[1] == "T+V, pre-trained")
    assert rows[at][2:] == ["no runs", "", "0"]


def test_table4_on_data_of_ones_own_has_no_reported_numbers(tmp_path, capsys):
    write_run(tmp_path, "p", 0.2, data="Movies_drama", init="pretrained")
    assert printed(capsys, "table4", tmp_path, *R10)[1:] == [
        ["Movies_drama", "T+V, from scratch", "no runs", "", "0"],
        ["Movies_drama", "T+V, pre-trained", "MISSRecReleased", "0.2000", "1"],
        ["", "", "MISSRecReleased: effect of pre-training: no seed in common", "", "0"],
    ]


def test_table5_on_a_part_of_the_papers_data_compares_what_an_ablation_costs(tmp_path, capsys):
    write_run(tmp_path, "a", 0.20, experiment="table5/full", **TRANSDUCTIVE)
    write_run(tmp_path, "b", 0.15, experiment="table5/no_adapters", **TRANSDUCTIVE)
    write_run(tmp_path, "c", 0.15, experiment="table3/tv")
    write_run(tmp_path, "d", 0.15, experiment="figure4/id_only", **TRANSDUCTIVE)
    rows = printed(capsys, "table5", tmp_path, *R10)
    ours, paper = "MISSRecReleased, from scratch", "paper on Scientific_mm_full"
    at = next(i for i, row in enumerate(rows) if row[1] == "(2) without adapters")
    assert rows[at : at + 4] == [
        ["Scientific_mm_subset", "(2) without adapters", ours, "0.1500", "1"],
        ["", "", paper, "0.1015", ""],
        ["", "", f"{ours}: against (0)", "-0.0500", "1"],
        ["", "", f"{paper}: against (0)", "-0.0289", ""],
    ]
    assert rows[1][1] == "(0) whole model"
    assert rows[-2:] == [
        ["- left out: 1 of T+V, from scratch, which has no row"],
        ["- left out: 1 of experiment figure4/id_only"],
    ]


def test_the_whole_model_of_table5_may_have_been_run_for_table3(tmp_path, capsys):
    assert composed("experiment=table5/full") == composed("experiment=table3/id_tv")
    write_run(tmp_path, "a", 0.20, experiment="table3/id_tv", **TRANSDUCTIVE)
    write_run(tmp_path, "b", 0.15, experiment="table5/no_adapters", **TRANSDUCTIVE)
    rows = printed(capsys, "table5", tmp_path, *R10)
    assert rows[1][1:] == ["(0) whole model", "MISSRecReleased, from scratch", "0.2000", "1"]
    assert ["", "", "MISSRecReleased, from scratch: against (0)", "-0.0500", "1"] in rows


def test_a_network_of_its_own_is_held_against_the_whole_one_and_not_mistaken_for_it(tmp_path, capsys):
    for seed in (0, 1):
        shared = {"seed": seed, **TRANSDUCTIVE}
        write_run(tmp_path, f"a{seed}", 0.2, experiment="table5/full", model="MISSRec", **shared)
        write_run(tmp_path, f"b{seed}", 0.1, experiment="table5/context_encoder", model="ContextEncoder", **shared)
        write_run(tmp_path, f"c{seed}", 0.2, experiment="table5/context_encoder", model="MISSRec", **shared)
    rows = printed(capsys, "table5", tmp_path, *R10)
    at = next(i for i, row in enumerate(rows) if row[1] == "(3) 2-layer context encoder")
    assert rows[at][2:] == ["MISSRec, from scratch", "0.1000 ± 0.0000", "2"]
    assert rows[at + 2][2:] == ["MISSRec, from scratch: against (0)", "-0.1000 ± 0.0000", "2"]
    assert rows[-1] == ["- left out: 2 of ID+T+V, from scratch, which has no row"]


def test_released_runs_compare_under_the_released_evaluator_alone(tmp_path, capsys):
    compat = {"protocol": {"mask_history": False, "compat": True}}
    of_three = {"experiment": "released/run", "overrides": ["experiment=released/run", "released.run=3"]}
    write_run(tmp_path, "a", 0.13, data="Scientific_mm_full", **of_three, **compat)
    write_run(tmp_path, "b", 0.13, data="Scientific_mm_full", experiment="released/run")
    write_run(tmp_path, "mended", 0.19, data="Scientific_mm_full", seed=1, **compat)
    rows = printed(capsys, "released", tmp_path, *R10)
    at = next(i for i, row in enumerate(rows) if row[1] == "T+V, from scratch")
    assert rows[at : at + 3] == [
        ["Scientific_mm_full", "T+V, from scratch", "MISSRecReleased", "0.1300", "1"],
        ["", "", "released code", "0.1269", ""],
        ["", "", "MISSRecReleased - released code", "+0.0031", ""],
    ]
    assert rows[-2:] == [
        ["- left out: 1 of another protocol than compat (the default)"],
        ["- left out: 1 of experiment none"],
    ]


def test_a_metric_that_nobody_reports_has_an_empty_cell(tmp_path, capsys):
    metrics = {"test/recall@10": 0.2, "test/mrr": 0.1}
    write_run(tmp_path, "a", 0.2, metrics=metrics, modalities=["text"])
    rows = printed(capsys, "table3", tmp_path, "--metrics", "recall@10,mrr")
    at = next(i for i, row in enumerate(rows) if row[1] == "T")
    assert [row[3:] for row in rows[at : at + 3]] == [
        ["0.2000", "0.1000", "1"],
        ["0.1619", "", ""],
        ["+0.0381", "", ""],
    ]


def test_experiments_have_a_column_in_the_plain_table_where_they_differ(tmp_path, capsys):
    write_run(
        tmp_path, "a", 0.1, experiment="table5/full", overrides=["experiment=table5/full", "model.dropout=0.3"]
    )
    write_run(tmp_path, "b", 0.2, experiment="table5/no_adapters")
    header, *rows = printed(capsys, "table", tmp_path, *R10)
    assert header == ["Data", "Setting", "Start", "Model", "Experiment", "R@10", "Seeds", "Seconds"]
    assert [row[4:6] for row in rows] == [
        ["table5/full model.dropout=0.3", "0.1000"],
        ["table5/no_adapters", "0.2000"],
    ]
    assert "Experiment" not in printed(capsys, "table", tmp_path / "b", *R10)[0]


def test_results_of_earlier_versions_can_be_read(tmp_path, capsys):
    import json

    path = write_run(tmp_path, "a", 0.1)
    content = json.loads(path.read_text())
    for name in ("interest", "experiment", "overrides", "modalities", "protocol"):
        del content[name]
    path.write_text(json.dumps(content))
    rows = printed(capsys, "table3", tmp_path, *R10)
    assert rows[-1][:3] == ["Scientific_mm_subset", "unknown", "MISSRecReleased, from scratch"]


def test_another_config_of_the_same_class_is_told_apart(tmp_path, capsys):
    tuned = {"experiment": "tuned", "experiment_model": "missrec_tuned"}
    table3 = {"experiment": "table3/tv", "experiment_model": "missrec_released"}
    plain = ["model=missrec_released"]
    write_run(tmp_path, "a", 0.20, **tuned)
    write_run(tmp_path, "b", 0.30, **tuned, seed=1, overrides=["experiment=tuned", "model=missrec_tuned"])
    write_run(tmp_path, "c", 0.10, **tuned, seed=2, overrides=["experiment=tuned", *plain])
    write_run(tmp_path, "d", 0.40, **table3)
    write_run(tmp_path, "e", 0.60, **table3, seed=1, overrides=plain)
    write_run(tmp_path, "f", 0.50, **table3, model="MISSRec", overrides=["model=missrec"])
    assert [row[3:6] for row in printed(capsys, "table", tmp_path, *R10)[1:]] == [
        ["MISSRec", "table3/tv", "0.5000"],
        ["MISSRecReleased", "table3/tv", "0.5000 ± 0.1414"],
        ["MISSRecReleased", "tuned", "0.2500 ± 0.0707"],
        ["MISSRecReleased", "tuned model=missrec_released", "0.1000"],
    ]


def test_runs_from_other_pretrainings_are_rows_of_their_own_against_the_same_runs_from_scratch(tmp_path, capsys):
    origin = {"phase": "pretrain", "data": "Office", "setting": "inductive", "experiment": "table4/scientific"}
    longer = {**origin, "overrides": ["trainer.max_epochs=9", "model=missrec_released", "trainer=cpu"]}
    again = {**origin, "phase": "finetune", "experiment": None, "ckpt_origin": origin}
    for seed, value in ((0, 0.1), (1, 0.2)):
        shared = {"seed": seed, "experiment": "table4/scientific"}
        write_run(tmp_path, f"s{seed}", value, **shared)
        write_run(
            tmp_path, f"a{seed}", value + 0.1, init="pretrained", ckpt=f"{seed}", ckpt_origin=origin, **shared
        )
        write_run(tmp_path, f"b{seed}", value + 0.3, init="pretrained", ckpt_origin=longer, **shared)
    write_run(tmp_path, "c", 0.9, init="pretrained", ckpt_origin=again, experiment="table4/scientific")
    words = "from [Office table4/scientific]", "from [Office table4/scientific trainer.max_epochs=9]"
    last = "from [Office finetune from [Office table4/scientific]]"
    assert [row[4:6] for row in printed(capsys, "table", tmp_path, *R10)[2:]] == [
        [f"table4/scientific {last}", "0.9000"],
        [f"table4/scientific {words[1]}", "0.4500 ± 0.0707"],
        [f"table4/scientific {words[0]}", "0.2500 ± 0.0707"],
    ]
    assert "Experiment" not in printed(capsys, "table", tmp_path / "s0", tmp_path / "a0", *R10)[0]
    rows = [row[2:] for row in printed(capsys, "table4", tmp_path / "s0", *tmp_path.glob("?[01]"), *R10)]
    effect = "effect of pre-training"
    for name, gap in zip(words, ("+0.1000", "+0.3000"), strict=True):
        assert [f"MISSRecReleased, {name}: {effect}", f"{gap} ± 0.0000", "2"] in rows


def test_a_damaged_origin_is_refused(tmp_path, capsys):
    write_run(tmp_path, "a", 0.1, ckpt_origin={"phase": "pretrain", "data": "Office"})
    assert "a/results.json: lacks ckpt_origin.setting" in mistake(capsys, "table", tmp_path)


def test_table2_has_a_row_for_each_network_beside_the_reported_one(tmp_path, capsys):
    data = {"data": "Scientific_mm_full"}
    ids = {**data, "setting": "transductive", "reads": ["ids"], "experiment": "table2/sasrec"}
    write_run(tmp_path, "a", 0.1, **ids, model="SASRec", experiment_model="sasrec")
    write_run(tmp_path, "b", 0.2, **ids, model="SASRec", overrides=["model=gsasrec"], experiment_model="sasrec")
    text = {**data, "reads": ["features"], "modalities": ["text"], "experiment": "table2/zesrec"}
    write_run(tmp_path, "c", 0.3, **text, model="SASRec", experiment_model="zesrec")
    write_run(tmp_path, "d", 0.4, **data, reads=["features"], experiment=None, model="MISSRec")
    rows = [row for row in printed(capsys, "table2", tmp_path, *R10) if len(row) > 1]  # without notes
    mine = {row[1]: row[3] for row in rows if row[-1] == "1"}
    assert mine == {
        "ID, SASRec": "0.1000",
        "T, ZESRec": "0.3000",
        "T+V, MISSRec": "0.4000",
        "ID, gSASRec": "0.2000",
    }
    names = [row[1] for row in rows if row[1]]
    assert len(names) == 1 + 11 + 1  # the header, the paper's eleven, gSASRec
    at = [row[1] for row in rows].index("T, ZESRec")
    assert rows[at + 1][2:4] == ["paper", "0.0851"]
