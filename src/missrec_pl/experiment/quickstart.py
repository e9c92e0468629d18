"""The first ten minutes: ``python -m missrec_pl.experiment.quickstart``, which ``make run`` calls.

Trains on the groceries, two steps at a time, and ends with a table, a page and ten recommendations. Each step is a
run of its own with one thread, so that the figures are the same whatever the number of cores. What is done
already is not done again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from missrec_pl.system.documents import read_json
from missrec_pl.system.files import RESULTS_NAME

_SHOWN_OF_LOG = 15  # lines, where a step fails
_HOUSEHOLD = "1"


@dataclass(frozen=True)
class Step:
    """A run, and what has to be done before."""

    name: str  # of its folder
    about: str
    seconds: int  # on an idle core
    words: tuple[str, ...]  # overrides
    after: str | None = None


def steps(out: Path) -> list[Step]:
    """The steps, those first that others wait for or that take longest."""
    no_baselines = "baselines.names=[]"  # a step of their own
    start = f"ckpt={out / 'pretrain' / 'checkpoints' / 'best.ckpt'}"
    kinds = {"transductive": "with item IDs", "inductive": "without item IDs"}
    seconds = iter((120, 90, 75, 55))
    return [
        Step("pretrain", "pre-train on five departments", 110, ("phase=pretrain",)),
        *(
            Step(f"scratch/{kind}", f"train on a sixth {about}", next(seconds), (f"setting={kind}", no_baselines))
            for kind, about in kinds.items()
        ),
        Step("baselines", "simple baselines, constants chosen on validation", 35, ("phase=baselines",)),
        *(
            Step(
                f"pretrained/{kind}",
                f"fine-tune the pre-trained network {about}",
                next(seconds),
                (f"setting={kind}", no_baselines, start),
                after="pretrain",
            )
            for kind, about in kinds.items()
        ),
    ]


@dataclass
class _Running:
    step: Step
    process: subprocess.Popen[bytes]
    task: TaskID
    started: float = field(default_factory=time.monotonic)


def run(out: Path, jobs: int, console: Console) -> int:
    """Do the steps; 0, or the exit code of the one that failed or of the interruption."""
    planned = steps(out)
    total, done = len(planned), {step.name for step in planned if _is_done(step, out)}
    waiting = [step for step in planned if step.name not in done]
    bars = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    running: list[_Running] = []
    with Progress(*bars, console=console, transient=True) as progress:
        try:
            while waiting or running:
                ready = [step for step in waiting if step.after is None or step.after in done]
                for step in ready[: jobs - len(running)]:
                    waiting.remove(step)
                    running.append(_Running(step, _start(step, out), progress.add_task(step.about, total=None)))
                time.sleep(0.2)
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    progress.remove_task(one.task)
                    if one.process.returncode:
                        return _failed(one, out, console)
                    done.add(one.step.name)
                    seconds = time.monotonic() - one.started
                    progress.console.print(
                        f"[{len(done)}/{total}] {one.step.about}: {seconds:.0f} s", markup=False
                    )
        finally:
            _stop(running)
    return 0


def _start(step: Step, out: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    file = _log(step, out)
    file.parent.mkdir(parents=True, exist_ok=True)
    words = ["train.py", "experiment=quickstart", *step.words, f"hydra.run.dir={out / step.name}", "resume=last"]
    with file.open("ab") as log:
        return subprocess.Popen([sys.executable, *words], stdout=log, stderr=log, env=environment)


def _log(step: Step, out: Path) -> Path:
    return out / "logs" / f"{step.name.replace('/', '-')}.log"


def _is_done(step: Step, out: Path) -> bool:
    """Baselines keep no checkpoint that says whether they have ended; ``resume=last`` knows it of the others."""
    return step.name == "baselines" and (out / step.name / RESULTS_NAME).is_file()


def _stop(running: Sequence[_Running]) -> None:
    """End what is left; a run keeps its checkpoint before it goes."""
    for one in running:
        one.process.terminate()
    for one in running:
        one.process.wait()


def _failed(one: _Running, out: Path, console: Console) -> int:
    log = _log(one.step, out)
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_OF_LOG:]:
        console.print(line, markup=False, highlight=False)
    console.print(f"error: {one.step.about}: exit code {one.process.returncode}, see {log}", markup=False)
    return int(one.process.returncode)


def best_of(out: Path) -> Path:
    """The folder of the trained run with the best validation score."""
    files = [file for name in ("scratch", "pretrained") for file in (out / name).glob(f"*/{RESULTS_NAME}")]
    return max(files, key=lambda file: float(read_json(file, "remove it")["metrics"]["val/ndcg@10"])).parent


def _shown(out: Path, console: Console) -> int:
    """The table, the page, the recommendations; the last two are made while the table is."""
    page, best = out / "report", best_of(out)
    module = [sys.executable, "-m"]
    others = {
        "A page with charts, for a browser:": ["missrec_pl.report", "page", str(out), "--out", str(page)],
        f"Ten products for household {_HOUSEHOLD}, from {best}, the best on validation:": (
            ["missrec_pl.serving", "recommend", str(best), "--user", _HOUSEHOLD]
        ),
    }
    started = {
        title: subprocess.Popen([*module, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for title, words in others.items()
    }
    codes = [subprocess.run([*module, "missrec_pl.report", "table", str(out)], check=False).returncode]
    for title, process in started.items():
        said, _ = process.communicate()
        console.print(f"\n{title}\n{said}", markup=False, highlight=False, soft_wrap=True, end="")
        codes.append(process.returncode)
    return next(filter(None, codes), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Do the steps and show what came of them."""
    parser = argparse.ArgumentParser(prog="python -m missrec_pl.experiment.quickstart", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/groceries"), help="default: %(default)s")
    parser.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="at a time; default: %(default)s"
    )
    arguments = parser.parse_args(argv)
    console, started = Console(highlight=False), time.monotonic()
    planned = steps(arguments.out)
    total = sum(step.seconds for step in planned) / arguments.jobs
    console.print(
        f"{len(planned)} steps, {arguments.jobs} at a time, about {total / 60:.0f} minutes on idle cores:"
    )
    for step in planned:
        console.print(f"  {step.about}, {step.seconds} s", markup=False)
    try:
        code = run(arguments.out, arguments.jobs, console)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130
    if code == 0:
        console.print(f"all steps: {time.monotonic() - started:.0f} s\n")
        code = _shown(arguments.out, console)
    return code


if __name__ == "__main__":
    sys.exit(main())
