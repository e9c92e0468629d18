import io
import json
import re
from pathlib import Path

import pytest
from forked import run_forked
from rich.console import Console

from missrec_pl.report.__main__ import COMMANDS, main
from missrec_pl.report.commands import table
from missrec_pl.report.runs.collect import collect

POPULARITY = {"test/recall@10": 0.04, "test/ndcg@10": 0.02, "test/recall@50": 0.16, "test/ndcg@50": 0.05}
RANDOM = {name: value / 10 for name, value in POPULARITY.items()}
TEXT_KNN = {name: value * 2 for name, value in POPULARITY.items()}


def write(folder: Path, name: str, **changes: object) -> Path:
    """A results.json as DESIGN section 5 has it, of one fine-tuning run."""
    seed = changes.get("seed", 0)
    content = {
        "phase": "finetune",
        "data": "groceries",
        "setting": "inductive",
        "init": "scratch",
        "ckpt": None,
        "model": "missrec_released",
        "protocol": {"history_excluded": "strict"},
        "seed": seed,
        "metrics": {
            "val/ndcg@10": 0.2,
            "test/recall@10": 0.1 + 0.02 * seed,
            "test/ndcg@10": 0.05,
            "test/recall@50": 0.3,
            "test/ndcg@50": 0.09,
        },
        "baselines": {"random": RANDOM, "text_knn": TEXT_KNN, "popularity": POPULARITY},
        "timing": {"fit_s": 10.0 + seed, "epoch_s": [1.0], "interest_refresh_s": [], "test_s": 0.1},
        "versions": {},
        **changes,
    }
    path = folder / name / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


def write_pretraining(folder: Path, **changes: object) -> Path:
    return write(
        folder,
        "pretrain",
        **{
            "phase": "pretrain",
            "data": ["deli", "meat"],
            "setting": None,
            "init": "scratch",
            "metrics": {"val/loss": 3.0, "val/ndcg@10": 0.123},
            "baselines": {},
            **changes,
        },
    )


def table_of(capsys, *arguments: object) -> str:
    assert main(["table", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def error_of(capsys, *arguments: object) -> str:
    """The single line that a user's mistake gives."""
    assert main(["table", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    return captured.err


def test_markdown_table_in_full(tmp_path, capsys):
    for seed in (0, 1, 2):
        write(tmp_path, f"multirun/{seed}", seed=seed)
    write(tmp_path, "a", init="pretrained", ckpt="x.ckpt")
    write(tmp_path, "b", setting="transductive", model="miss|rec")
    write_pretraining(tmp_path)
    assert table_of(capsys, tmp_path, "--format", "markdown").splitlines() == [
        "| Data | Setting | Start | Model | R@10 | N@10 | R@50 | N@50 | Seeds | Seconds |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| groceries |  |  | random | 0.0040 | 0.0020 | 0.0160 | 0.0050 |  |  |",
        "| groceries |  |  | popularity | 0.0400 | 0.0200 | 0.1600 | 0.0500 |  |  |",
        "| groceries |  |  | text_knn | 0.0800 | 0.0400 | 0.3200 | 0.1000 |  |  |",
        "| groceries | inductive | from scratch | missrec_released | 0.1200 ± 0.0200 | 0.0500 ± 0.0000 "
        "| 0.3000 ± 0.0000 | 0.0900 ± 0.0000 | 3 | 11 |",
        "| groceries | inductive | pre-trained | missrec_released | 0.1000 | 0.0500 | 0.3000 | 0.0900 | 1 | 10 |",
        "| groceries | transductive | from scratch | miss\\|rec | 0.1000 | 0.0500 | 0.3000 | 0.0900 | 1 | 10 |",
        "",
        "- pretrain deli+meat: missrec_released, seed 0, val/ndcg@10 0.1230, 10 s",
    ]


def test_text_table_has_the_same_cells(tmp_path, capsys):
    write(tmp_path, "a", data="groceries[bold]")
    write(tmp_path, "b", seed=1, data="groceries[bold]")
    write_pretraining(tmp_path)
    lines = table_of(capsys, tmp_path).splitlines()
    rows = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]
    assert ["Data", "Setting", "Start", "Model", "R@10", "N@10", "R@50", "N@50", "Seeds", "Seconds"] in rows
    assert ["groceries[bold]", "", "", "popularity", "0.0400", "0.0200", "0.1600", "0.0500", "", ""] in rows
    assert [
        *("groceries[bold]", "inductive", "from scratch", "missrec_released"),
        *("0.1100 ± 0.0141", "0.0500 ± 0.0000", "0.3000 ± 0.0000", "0.0900 ± 0.0000", "2", "10"),
    ] in rows
    assert lines[-1] == "pretrain deli+meat: missrec_released, seed 0, val/ndcg@10 0.1230, 10 s"


def test_a_narrow_terminal_keeps_the_numbers(tmp_path):
    write(tmp_path, "a")
    stream = io.StringIO()
    console = Console(file=stream, width=90)
    table.table_of(collect([tmp_path]), ["recall@10", "ndcg@10", "recall@50", "ndcg@50"]).print(console)
    for number in ("0.1000", "0.0500", "0.3000", "0.0900"):
        assert number in stream.getvalue()


def test_metrics_are_chosen_in_order(tmp_path, capsys):
    write(tmp_path, "a", metrics={"test/mrr": 0.5, "test/recall@10": 0.25}, baselines={})
    lines = table_of(capsys, tmp_path, "--format", "markdown", "--metrics", "mrr, test/recall@10,mrr").splitlines()
    assert lines[0] == "| Data | Setting | Start | Model | mrr | R@10 | Seeds | Seconds |"
    assert "| 0.5000 | 0.2500 | 1 | 10 |" in lines[2]


def test_only_pretraining_gives_lines_and_no_table(tmp_path, capsys):
    write_pretraining(tmp_path, data="deli", metrics={"val/loss": 3.25})
    expected = "pretrain deli: missrec_released, seed 0, val/loss 3.2500, 10 s\n"
    assert table_of(capsys, tmp_path) == expected
    assert table_of(capsys, tmp_path, "--format", "markdown") == f"- {expected}"


def test_files_named_twice_count_once(tmp_path, capsys):
    path = write(tmp_path, "a")
    out = table_of(capsys, path, tmp_path, path.parent, "--format", "markdown")
    assert out.splitlines()[-1].endswith("| 1 | 10 |")


def test_a_later_evaluation_of_the_same_run_is_no_second_seed(tmp_path, capsys):
    write(tmp_path, "a")
    write(tmp_path, "eval", phase="eval", timing={"fit_s": None})
    out = table_of(capsys, tmp_path, "--format", "markdown")
    assert out.splitlines()[-1].endswith("| 1 | 10 |")


def test_another_protocol_is_a_data_set_of_its_own(tmp_path, capsys):
    write(tmp_path, "a", protocol={"mask_history": False})
    strict = {"mask_history": True, "history_excluded": "strict"}
    write(tmp_path, "b", protocol=strict, baselines={"popularity": TEXT_KNN})
    write(tmp_path, "c", protocol={"mask_history": True})  # of version 0.1, which kept a repeated target
    write(tmp_path, "d", protocol={"split": "global_time", "eval_target": "last"})
    write(tmp_path, "e", protocol={"split": "leave_one_out", "refit": True})
    lines = table_of(capsys, tmp_path, "--format", "markdown").splitlines()
    assert sum("| groceries (refit) | inductive" in line for line in lines) == 1
    assert "| groceries (mask_history) |  |  | popularity | 0.0800 | 0.0400 | 0.3200 | 0.1000 |  |  |" in lines
    assert sum("| groceries (mask_history) | inductive" in line for line in lines) == 1
    assert sum("| groceries | inductive" in line for line in lines) == 1
    assert sum("| groceries (mask_history_leniently) | inductive" in line for line in lines) == 1
    assert sum("| groceries (global_time, last) | inductive" in line for line in lines) == 1


def test_both_rules_of_exclusion_have_names_of_their_own(tmp_path, capsys):
    excluded = {f"test/{name}": 0.3 for name in ("recall@10", "ndcg@10", "recall@50", "ndcg@50")}
    write(tmp_path, "old", protocol={}, baselines={}, metrics_history_excluded=excluded)
    assert main(["table", str(tmp_path), "--metrics", "ndcg@10/history_excluded"]) == 2
    assert "lacks test/ndcg@10/history_excluded; it has" in capsys.readouterr().err
    assert "0.3000" in table_of(capsys, tmp_path, "--metrics", "ndcg@10/history_excluded_leniently")


def test_a_test_of_some_users_stands_beside_no_other(tmp_path, capsys):
    write(tmp_path, "whole", num_evaluated_users=2098, num_test_users=2098)
    write(tmp_path, "part", num_evaluated_users=1024, num_test_users=2098, baselines={"popularity": TEXT_KNN})
    lines = table_of(capsys, tmp_path, "--format", "markdown").splitlines()
    marked = [line for line in lines if line.startswith("| groceries (PARTIAL: 1,024 of 2,098 test users) |")]
    assert len(marked) == 2
    assert sum("| groceries | inductive" in line for line in lines) == 1


def test_each_data_set_has_its_baselines_and_runs_together(tmp_path, capsys):
    write(tmp_path, "a", data="meat")
    write(tmp_path, "b", data="deli", baselines={"image_knn": TEXT_KNN, "popularity": POPULARITY})
    lines = table_of(capsys, tmp_path, "--format", "markdown").splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [(row[0], row[3]) for row in cells] == [
        ("deli", "popularity"),
        ("deli", "image_knn"),
        ("deli", "missrec_released"),
        ("meat", "random"),
        ("meat", "popularity"),
        ("meat", "text_knn"),
        ("meat", "missrec_released"),
    ]


def test_baselines_that_differ_are_refused(tmp_path, capsys):
    write(tmp_path, "a")
    write(tmp_path, "b", seed=1, baselines={"popularity": {**POPULARITY, "test/ndcg@10": 0.0201}})
    message = error_of(capsys, tmp_path)
    assert "baseline popularity on groceries differs" in message
    assert str(tmp_path / "a") in message
    assert str(tmp_path / "b") in message


def test_baselines_that_read_features_have_a_row_per_choice_of_modalities(tmp_path, capsys):
    both, text = (
        {"modalities": ["text", "image"]},
        {"modalities": ["text"], "overrides": ["data.modalities=[text]"]},
    )
    write(tmp_path, "a", **both, baselines={"popularity": POPULARITY, "content_knn": TEXT_KNN})
    write(tmp_path, "b", **text, baselines={"popularity": POPULARITY, "content_knn": RANDOM})
    lines = table_of(capsys, tmp_path, "--format", "markdown", "--metrics", "recall@10").splitlines()
    names = [line.split("|")[4].strip() for line in lines[2:5]]
    assert names == ["popularity", "content_knn (text+image)", "content_knn (text)"]


def test_baselines_may_differ_by_rounding(tmp_path, capsys):
    write(tmp_path, "a")
    write(tmp_path, "b", seed=1, baselines={"popularity": {**POPULARITY, "test/ndcg@10": 0.02 + 1e-9}})
    assert table_of(capsys, tmp_path).count("popularity") == 1


def test_the_same_seed_with_other_numbers_is_refused(tmp_path, capsys):
    write(tmp_path, "a")
    write(tmp_path, "b", metrics={**POPULARITY})
    assert "same data, setting, start, model, experiment and seed but different metrics" in error_of(
        capsys, tmp_path
    )


def test_no_results_and_missing_paths_are_refused(tmp_path, capsys):
    assert f"no results.json below {tmp_path}" in error_of(capsys, tmp_path)
    assert f"{tmp_path / 'typo'} does not exist" in error_of(capsys, tmp_path / "typo")


def test_no_metric_is_refused(tmp_path, capsys):
    write(tmp_path, "a")
    assert "--metrics names no metric" in error_of(capsys, tmp_path, "--metrics", " , ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"phase": "finetune",\n', "results.json: not valid JSON"),
        ("[1]", "expected a JSON object, found a list"),
        ("\ud83d", "cannot be read"),
    ],
)
def test_damaged_files_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / "results.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert message in error_of(capsys, path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"setting": ..., "init": ...}, "lacks setting, init:"),
        ({"timing": {}}, "lacks timing.fit_s:"),
        ({"timing": 3}, "timing must be an object, found 3"),
        (
            {"metrics": {"test/recall@10": 0.1}},
            "metrics lacks test/ndcg@10, test/recall@50, test/ndcg@50; it has",
        ),
        ({"baselines": {"random": {}}}, "baselines.random lacks test/recall@10"),
        (
            {"metrics": {"test/recall@10": float("nan")}},
            "not valid JSON (NaN is no number of JSON)",
        ),
        ({"metrics": {"test/recall@10": "0.1"}}, "must be a finite number, found '0.1'"),
        ({"init": "warm"}, "init is 'warm', expected one of scratch, zero_shot, pretrained"),
        ({"seed": "0"}, "seed must be a whole number, found '0'"),
    ],
)
def test_incomplete_results_are_refused(tmp_path, capsys, changes, message):
    path = tmp_path / "a" / "results.json"
    content = json.loads(write(tmp_path, "a").read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    error = error_of(capsys, tmp_path)
    assert message in error
    assert str(path) in error


def test_the_module_runs_as_a_command(tmp_path):
    write(tmp_path, "a")
    good = run_forked("-m", "missrec_pl.report", "table", tmp_path)
    assert good.returncode == 0
    assert "missrec_released" in good.stdout
    bad = run_forked("-m", "missrec_pl.report", "table", tmp_path / "none")
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1


def test_help_describes_every_command(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    assert "One table of baselines and runs" in " ".join(out.split())


def test_both_protocols_stand_in_columns_of_their_own(tmp_path, capsys):
    excluded = {name: value + 0.001 for name, value in POPULARITY.items()}
    write(
        tmp_path,
        "a",
        baselines={"popularity": POPULARITY},
        baselines_history_excluded={"popularity": excluded},
        metrics_history_excluded=dict(zip(POPULARITY, (0.11, 0.06, 0.31, 0.1), strict=True)),
    )
    head, _, baseline, run = table_of(capsys, tmp_path, "--metrics", "both", "--format", "markdown").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")][4:12] for line in (head, baseline, run)]
    assert cells[0] == ["R@10", "N@10", "R@50", "N@50", "R@10 excl.", "N@10 excl.", "R@50 excl.", "N@50 excl."]
    assert cells[1] == ["0.0400", "0.0200", "0.1600", "0.0500", "0.0410", "0.0210", "0.1610", "0.0510"]
    assert cells[2] == ["0.1000", "0.0500", "0.3000", "0.0900", "0.1100", "0.0600", "0.3100", "0.1000"]
    write(tmp_path, "b", seed=1, baselines={})
    assert "metrics lacks test/recall@10/history_excluded" in error_of(capsys, tmp_path / "b", "--metrics", "both")


def test_runs_without_a_test_are_counted_below_the_table(tmp_path, capsys):
    write(tmp_path, "a")
    write(tmp_path, "trial", metrics={"val/ndcg@10": 0.1}, baselines={})
    write(tmp_path, "later", phase="eval", timing={"fit_s": None})
    note = "left out: 1 of runs without test metrics"
    assert table_of(capsys, tmp_path).splitlines()[-1] == note
    lines = table_of(capsys, tmp_path, "--format", "markdown").splitlines()
    assert lines[-1] == f"- {note}"
    assert lines[-3].endswith("| 1 | 10 |")


def test_a_terminal_shows_the_best_of_each_metric_in_colour(tmp_path):
    metrics = {
        name: value * factor for (name, value), factor in zip(POPULARITY.items(), (3, 2, 0.5, 1), strict=True)
    }
    write(tmp_path, "a", metrics=metrics, baselines={"popularity": POPULARITY, "random": RANDOM})
    report = table.table_of(collect([tmp_path]), ["recall@10", "recall@50"])
    stream = io.StringIO()
    report.print(Console(file=stream, force_terminal=True, color_system="standard", width=140))
    assert re.findall(r"\x1b\[1;32m\s*([\d.]+)", stream.getvalue()) == ["0.1600", "0.1200"]
    stream = io.StringIO()
    report.print(Console(file=stream, width=140))
    assert "\x1b" not in stream.getvalue()
