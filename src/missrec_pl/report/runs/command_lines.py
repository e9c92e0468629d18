"""The command lines that repeat runs."""

import shlex

from missrec_pl.report.runs.records import PRETRAIN, RunResult

# Overrides that say where a run lies, and how it came to its end: not what it is.
_OF_THE_MACHINE = ("paths.", "hydra.", "callbacks.progress", "resume=", "seed")


def command_of(run: RunResult) -> str:
    """The command line that repeats a run, but for its seed and where things lie."""
    said = [word for word in run.overrides if not word.lstrip("+~").startswith(_OF_THE_MACHINE)]
    if run.experiment and not any(word.startswith("experiment=") for word in said):
        said.insert(0, f"experiment={run.experiment}")
    if run.phase == PRETRAIN and f"phase={PRETRAIN}" not in said:
        said.append(f"phase={PRETRAIN}")
    return shlex.join(["python", "train.py", *said])
