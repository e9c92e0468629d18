from fabricated import mistake, printed, write_run


def test_one_row_per_command_with_its_seeds(tmp_path, capsys):
    overrides = [
        "experiment=table3/tv",
        "seed=0",
        "model.dropout=0.3",
        "paths.data_dir=/x",
        "hydra.run.dir=out/a b",
    ]
    for seed, cpu in ((1, 20), (0, 10)):
        timing = {"fit_s": 100.0 * (1 + seed), "fit_cpu_s": cpu, "epoch_s": [1.0] * (3 + seed)}
        said = [word.replace("seed=0", f"seed={seed}") for word in overrides] + ["resume=last"] * seed
        write_run(tmp_path, f"a{seed}", 0.5, seed=seed, overrides=said, experiment="table3/tv", timing=timing)
    write_run(tmp_path, "b", 0.5, overrides=["+callbacks.x={a:1}"])
    header, *rows = printed(capsys, "runs", tmp_path)
    assert header == ["Data", "Command", "Seeds", "Epochs", "Seconds", "CPU seconds"]
    data = "Scientific_mm_subset"
    assert rows == [
        [data, "python train.py '+callbacks.x={a:1}'", "0", "0", "10", ""],
        [data, "python train.py experiment=table3/tv model.dropout=0.3", "0, 1", "3, 4", "150", "15"],
    ]


def test_pretraining_is_a_command_too(tmp_path, capsys):
    write_run(tmp_path, "a", 0.5, phase="pretrain", overrides=["phase=pretrain"], setting=None, init=None)
    assert printed(capsys, "runs", tmp_path)[1][1] == "python train.py phase=pretrain"


def test_what_some_seeds_alone_know_says_of_how_many_it_is(tmp_path, capsys):
    for seed, cpu in enumerate((258, None, None)):
        write_run(tmp_path, f"a{seed}", 0.5, seed=seed, timing={"fit_s": 10.0, "fit_cpu_s": cpu})
    assert printed(capsys, "runs", tmp_path)[1][-1] == "258 (1 of 3)"


def test_evaluations_are_no_runs(tmp_path, capsys):
    write_run(tmp_path, "a", 0.2, experiment="tuned")
    timing = {"timing": {"fit_s": None}, "phase": "eval"}
    write_run(tmp_path, "ensemble", 0.3, experiment="tuned", model="MISSRecReleased x3", **timing)
    write_run(tmp_path, "zero-shot", 0.1, init="zero_shot", overrides=["phase=pretrain"], **timing)
    _, *rows = printed(capsys, "runs", tmp_path)
    assert [row[1] for row in rows[:-1]] == ["python train.py experiment=tuned"]
    assert rows[-1] == ["- left out: 2 evaluations"]
    assert "these 1 are evaluations" in mistake(capsys, "runs", tmp_path / "ensemble")
