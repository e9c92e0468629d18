"""What a GPU makes of this project, in four minutes: first whether it is right, then how fast it is.

    python benchmarks/gpu_suite.py                    # needs CUDA
    python benchmarks/gpu_suite.py --rehearse         # the same on CPU at a small size, to try the script out

Data is generated in it; there is no network and nothing to build but what it reports. Each part is a process of
its own under its own time limit, so that one failure loses nothing. The table is printed as it grows, and kept in
`gpu_suite.json`. `busy` is the share of a step in which the device works, `waits` how often a step asks for one of
its values. Steps have 4,096 rows in pre-training and 2,048 in fine-tuning, the paper's 446,975 items, histories
of 50; `--scale` takes a part of the items and users. An epoch has 12,667,821 rows.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from gpu_parts import PARTS, Row

ROOT = Path(__file__).resolve().parents[1]


def in_a_child(name: str, words: list[str], limit: float) -> list[Row]:
    """The rows of a part; one that fails, or takes too long, has a row that says so behind those that it had."""
    command = [sys.executable, __file__, "--part", name, *words]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )
    problem = ""
    try:
        printed, complained = child.communicate(timeout=limit)
        if child.returncode:
            problem = (complained.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        problem = f"took more than {limit:g} s"
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        printed, _ = child.communicate()
    rows = {}
    for line in printed.splitlines():
        with suppress(ValueError):
            row = json.loads(line)
            rows[row["what"]] = {"part": name, **row}
    problem = problem or ("" if rows else "it ended without a row")
    return [*rows.values(), *([{"part": name, "what": name, "ok": False, "problem": problem}] if problem else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="on CPU, at a small size")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--cache", default="", help="folder for generated data; a temporary one unless named")
    parser.add_argument("--scale", type=float, default=None, help="of the paper's counts; 1, in a rehearsal 0.001")
    parser.add_argument("--slower", type=float, default=1.0, help="factor of all time limits")
    parser.add_argument("--json", type=Path, default=Path("gpu_suite.json"))
    options = parser.parse_args()
    options.device = "cpu" if options.rehearse else "cuda"
    options.scale = options.scale or (0.001 if options.rehearse else 1.0)
    if options.part:
        for row in PARTS[options.part].run(options):
            print(json.dumps(row), flush=True)
        return 0
    import torch

    if not options.rehearse and not torch.cuda.is_available():
        print("no CUDA device here: nothing was measured (--rehearse tries the script out)")
        return 0
    card = torch.cuda.get_device_name() if options.device == "cuda" else "rehearsal on CPU"
    facts = {
        "card": card,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": sys.version.split()[0],
    }
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["--cache", options.cache or folder, "--scale", str(options.scale)]
        words += ["--rehearse"] if options.rehearse else []
        for name in options.parts:
            for row in in_a_child(name, words, options.slower * PARTS[name].limit):
                more = "  ".join(
                    f"{key} {value}" for key, value in row.items() if key not in ("part", "what", "ok")
                )
                print(f"{'ok' if row['ok'] else 'FAILED':<8}{row['what']:<34}{more}", flush=True)
                rows.append(row)
            options.json.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
