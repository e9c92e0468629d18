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
        "protocol": {"mask_history": False, "compat": False},
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
