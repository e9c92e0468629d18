"""Results and ranks of runs that never happened, with numbers that can be checked by hand."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.report.__main__ import main

NAMES = ("recall@10", "ndcg@10", "recall@50", "ndcg@50")


def write_run(folder: Path, name: str, *metrics: float, **changes: object) -> Path:
    """A results.json; ``metrics`` are Recall@10 and, if given, the other three (by default the same)."""
    values = metrics if len(metrics) == len(NAMES) else metrics[:1] * len(NAMES)
    content = {
        "phase": "finetune",
        "data": "Scientific_mm_subset",
        "setting": "inductive",
        "init": "scratch",
        "ckpt": None,
        "protocol": {"mask_history": False, "compat": False, "history_excluded": "strict"},
        "modalities": ["text", "image"],
        "interest": {"method": "DPCKNN", "num_prototypes": 0.05},
        "experiment": None,
        "overrides": [],
        "model": "MISSRecReleased",
        "seed": 0,
        "metrics": {f"test/{metric}": value for metric, value in zip(NAMES, values, strict=True)},
        "baselines": {},
        "timing": {"fit_s": 10.0},
        **changes,
    }
    path = folder / name / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


def write_ranks(folder: Path, name: str, ranks: list[float], **columns: list) -> Path:
    """A test_ranks.parquet, one line per rank; None leaves a column out."""
    users = list(range(len(ranks)))
    content = {
        "domain": ["d"] * len(ranks),
        "user": users,
        "item": [user + 1 for user in users],
        "item_count": users,
        "history_length": [user + 1 for user in users],
        "rank": pa.array(ranks, pa.float32()),
        **columns,
    }
    path = folder / name / "test_ranks.parquet"
    pq.write_table(pa.table({key: values for key, values in content.items() if values is not None}), path)
    return path


def write_baselines(
    folder: Path, name: str, ranks: dict[str, tuple[list[float], list[float]]], **changes: object
) -> None:
    """A run of ``phase=baselines``: of each baseline the ranks with and without the history."""
    write_run(folder, name, 0.5, phase="baselines", model=None, setting=None, init=None, metrics={}, **changes)
    users = len(next(iter(ranks.values()))[0])
    file = write_ranks(folder, name, [1.0] * users)
    table = pq.read_table(file).drop_columns("rank")
    for baseline, both in ranks.items():
        for protocol, values in zip(("history_included", "history_excluded"), both, strict=True):
            table = table.append_column(f"{baseline}/{protocol}", pa.array(values, pa.float32()))
    pq.write_table(table, file.with_name("baseline_ranks.parquet"))
    file.unlink()


def printed(capsys, *arguments: object) -> list[list[str]]:
    """Cells of the Markdown that a command prints; notes as single cells."""
    assert main([*map(str, arguments), "--format", "markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    assert set(rows[1]) <= {"---", "---:"}
    return [rows[0], *rows[2:]]


def mistake(capsys, *arguments: object) -> str:
    """The single line that a user's mistake gives."""
    assert main([*map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err
