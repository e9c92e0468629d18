"""Small runs of everything that trains, recorded and compared digit by digit: the safety net of a restructuring.

    python benchmarks/recorded_runs.py record outputs/recorded/before     # in the tree as it was
    python benchmarks/recorded_runs.py record outputs/recorded/after      # in the tree as it is
    python benchmarks/recorded_runs.py compare outputs/recorded/before outputs/recorded/after

A run keeps the scores and counts of its ``results.json`` and every curve of its ``metrics.csv``; seconds, memory
and versions are left out. One thread each, so that sums have one order.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("model.hidden_size=32", "model.num_heads=2", "model.inner_size=32", "trainer=cpu", "trainer.max_epochs=2")
SYNTHETIC = ("data=synthetic", *SMALL)
FRESH = (*SYNTHETIC, "callbacks.progress=null", "data.batch_size=64")
PAPER = (*FRESH, "model=missrec")
QUICK = (
    *("experiment=quickstart", "trainer=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=10"),
    *("callbacks.progress=null", "model.hidden_size=32", "baselines.names=[popularity,hybrid_knn]"),
)

# name -> words of the command; {NAME} is the folder of an earlier run.
TRAIN = {
    "released": FRESH,
    "released_id": (*FRESH, "setting=transductive"),
    "paper": PAPER,
    "paper_id": (*PAPER, "setting=transductive"),
    "literal": (*FRESH, "model=missrec_literal"),
    "contextual": (*FRESH, "model.sequence_fusion=contextual"),
    "compat": (*FRESH, "model.compat=true", "interest=kmeans_released", "metrics.compat=true"),
    "pretrain": (*FRESH, "phase=pretrain"),
    "pretrain_paper": (*PAPER, "phase=pretrain"),
    "pretrain_compat": (
        *(*FRESH, "phase=pretrain", "model.compat=true", "interest=kmeans_released"),
        "+objective.augmentation.item_drop_share=1.0",
    ),
    "from_pretrain": (*FRESH, "ckpt={pretrain}/checkpoints/best.ckpt"),
    "from_pretrain_full_id": (
        *(*FRESH, "ckpt={pretrain}/checkpoints/best.ckpt", "finetune=full", "setting=transductive"),
    ),
    "tuned": (*FRESH, "experiment=tuned", "model.collaborative=8"),
    "tuned_id_sampled": (
        *(*FRESH, "experiment=tuned", "model.collaborative=8", "setting=transductive"),
        *("data.candidates=sampled", "data.num_negatives=40"),
    ),
    "sampled": (*FRESH, "data.candidates=sampled", "data.num_negatives=30"),
    "in_batch": (*FRESH, "data.candidates=in_batch"),
    "kmeans": (*FRESH, "interest=kmeans"),
    "no_interest": (*FRESH, "interest=none", "model.fusion_concentration=null"),
    "averaged": (*FRESH, "callbacks=averaged"),
    "context_encoder": (*FRESH, "experiment=table5/context_encoder", "data=synthetic"),
    "interest_encoder": (*FRESH, "experiment=table5/interest_encoder", "data=synthetic"),
    "id_only": (*FRESH, "experiment=figure4/id_only", "data=synthetic"),
    "ddp": (*FRESH, "trainer=ddp_sim", "setting=transductive"),
    "ddp_pretrain": (*FRESH, "trainer=ddp_sim", "phase=pretrain"),
    "ddp_tuned": (*FRESH, "experiment=tuned", "model.collaborative=8", "trainer=ddp_sim"),
    "stopped": (*FRESH, "callbacks=annealed", "trainer.max_epochs=2"),
    "resumed": (*FRESH, "callbacks=annealed", "trainer.max_epochs=4", "resume={stopped}"),
    "quickstart": QUICK,
    "baselines": ("phase=baselines", "data=synthetic"),
}
EVAL = {
    "eval": ("ckpt={released_id}/checkpoints/best.ckpt",),
    "eval_tuned": ("ckpt={tuned}/checkpoints/best.ckpt",),
    "zero_shot": ("ckpt={pretrain}/checkpoints/best.ckpt", "data=synthetic"),
    "ensemble": ("ckpt={released}/checkpoints/best.ckpt", "ensemble=[{paper}/checkpoints/best.ckpt]"),
}
_KEPT = ("metrics", "metrics_history_excluded", "baselines", "num_params", "num_trainable_params", "modalities")
_DROPPED = ("interest/seconds",)


def main() -> None:
    """Record, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record")
    record.add_argument("out", type=Path)
    record.add_argument(
        "--only", nargs="*", default=None, help="names of runs; what they start from has to be there"
    )
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    said = parser.parse_args()
    if said.command == "record":
        record_runs(said.out.resolve(), said.only)
    else:
        sys.exit(compare_runs(said.before, said.after))


def record_runs(out: Path, only: list[str] | None) -> None:
    """Run everything and keep ``<out>/<name>.json``."""
    for script, runs in (("train.py", TRAIN), ("eval.py", EVAL)):
        for name, words in runs.items():
            if only is None or name in only:
                _record(out, name, script, words)


def _record(out: Path, name: str, script: str, words: tuple[str, ...]) -> None:
    folder, start = out / "runs" / name, time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    places = {one: str(out / "runs" / one) for one in (*TRAIN, *EVAL)}
    said = [word.format(**places) if "{" in word else word for word in words]
    said += [f"hydra.run.dir={folder}", f"paths.cache_dir={out / 'cache'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    done = subprocess.run(
        [sys.executable, script, *said], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        kept: dict[str, Any] = {"failed": done.stderr.strip().splitlines()[-1:]}
    else:
        results = json.loads((folder / "results.json").read_text())
        kept = {key: results.get(key) for key in _KEPT} | {"curves": _curves(folder / "csv" / "metrics.csv")}
    (out / f"{name}.json").write_text(json.dumps(kept, indent=1))
    print(f"{name:24} {time.perf_counter() - start:6.1f} s  {kept.get('failed', '')}", flush=True)


def _curves(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open() as lines:
        return [
            {name: value for name, value in row.items() if value and name not in _DROPPED}
            for row in csv.DictReader(lines)
        ]


def compare_runs(before: Path, after: Path) -> int:
    """Print what differs; the number of runs that do."""
    differing = 0
    for file in sorted(before.glob("*.json")):
        theirs, ours = json.loads(file.read_text()), after / file.name
        found = list(_differences(theirs, json.loads(ours.read_text()))) if ours.is_file() else ["not recorded"]
        differing += bool(found)
        print(f"{file.stem:24} {'equal' if not found else ''}")
        for line in found[:8]:
            print(f"    {line}")
    return differing


def _differences(theirs: Any, ours: Any, path: str = "") -> Any:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from _differences(theirs.get(key), ours.get(key), f"{path}/{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(one, other, f"{path}[{index}]")
    elif theirs != ours:
        yield f"{path}: {theirs} -> {ours}"


if __name__ == "__main__":
    main()
