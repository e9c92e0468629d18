"""How the entry points start: what a user can mend is one line and an exit code, a bug is a traceback."""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import missrec_pl.system.passive_waiting  # noqa: F401 - train.py and eval.py import this before torch
from missrec_pl.errors import MissrecError, printable
from missrec_pl.experiment.arguments import ordered, without_null_groups
from missrec_pl.experiment.old_flags import modern_arguments

RANKS = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "SLURM_PROCID")

# What Lightning says that is no news about the run. Its sync_dist advice does not know that our metrics have
# gathered the sums of all processes already.
NOISE = (
    ".*LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*does not have many workers.*",
    ".*It is recommended to use `self.log.*sync_dist=True.*",
    ".*Total length of `list` across ranks is zero.*",
    # Ours are: the data module leaves out what was trained on, see ResumedSampler.
    ".*ended before the epoch ended and your dataloader is not resumable.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Experiment logs directory .* exists and is not empty.*",
)

_OLD_RELEASED_RUN = re.compile(r"'experiment/(released/run(\d\d))'")


def launch(main: Callable[[], Any]) -> None:
    """Run a Hydra main function.

    Args:
        main: the function that ``hydra.main`` decorated.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves exceptions to us
    _quieten()
    configs = Path(inspect.getfile(inspect.unwrap(main))).parent / "configs"
    with user_mistakes():
        arguments, lines = modern_arguments(without_null_groups(ordered(sys.argv[1:]), configs))
    sys.argv[1:] = arguments
    if is_first_process():
        for line in lines:
            print(f"note: {line}", file=sys.stderr)
    with user_mistakes():
        main()


@contextmanager
def user_mistakes() -> Iterator[None]:
    """End the program with one line per mistake and its exit code if what runs inside finds a user's mistake.

    To be used inside of the Hydra main function too: Hydra prints a line of its own about errors that leave it.
    """
    try:
        yield
    except Exception as error:
        lines = _lines(error)
        if not lines:
            raise
        for line in lines:
            print(f"error: {printable(line)}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def _quieten() -> None:
    """Silence what says nothing about the run: Lightning's banners and advertisements, advice that is wrong."""
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    if not is_first_process():  # one process speaks
        logging.disable(logging.INFO)


def is_first_process() -> bool:
    """Whether this is the first process of its run, by what Lightning, torchrun and SLURM tell it at its start."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


def _lines(error: BaseException | None) -> list[str]:
    """The messages if this is a user's mistake, one line for each; nothing if it is a bug."""
    from hydra.errors import HydraException, InstantiationException
    from omegaconf.errors import OmegaConfBaseException

    if error is None:
        return []
    if isinstance(error, MissrecError):
        text = str(error).strip()
        if text.startswith("Caught "):  # from a loader's worker, with its traceback
            return [text.splitlines()[-1].partition(": ")[2]]
        return text.splitlines()
    if isinstance(error, InstantiationException) and (cause := _lines(error.__cause__)):
        return cause
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, HydraException | OmegaConfBaseException) or "MisconfigurationException" in kinds:
        text = str(error).partition("Config search path:")[0]
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        if old := _OLD_RELEASED_RUN.search(line):
            return [f"experiment={old[1]}: say experiment=released/run released.run={int(old[2])}."]
        return [line + _advice(line)] if line else _lines(error.__cause__) or [repr(error)]
    return []


def _advice(line: str) -> str:
    """What to do, where Hydra's message does not say it or not all of it."""
    if line.startswith("Could not override"):
        return ", if what its _target_ names takes it; `--cfg job` prints all keys."
    return " `--help` lists the groups." if line.startswith("In '") else ""
