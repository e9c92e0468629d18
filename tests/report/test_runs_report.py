from fabricated import printed, write_run


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
