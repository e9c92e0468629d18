"""How the entry points start: what a user can mend is one line and an exit code, a bug is a traceback."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import missrec_pl.system.passive_waiting  # noqa: F401 - train.py and eval.py import this before torch
from missrec_pl.config.places import config_folder
from missrec_pl.errors import RunError, printable
from missrec_pl.experiment.arguments import ordered, without_null_groups
from missrec_pl.experiment.messages import lines_of, say
from missrec_pl.experiment.old_flags import modern_arguments
from missrec_pl.experiment.sweep import JobFailedError, all_failed, summary
from missrec_pl.system.documents import read_yaml
from missrec_pl.system.launched import is_first_process
from missrec_pl.system.terminal import print_anything
from missrec_pl.system.trouble import trouble_of

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


def launch(main: Callable[[], Any]) -> None:
    """Run a Hydra main function.

    Args:
        main: the function that ``hydra.main`` decorated.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves exceptions to us
    print_anything()
    _quieten()
    with user_mistakes():
        arguments, lines = modern_arguments(without_null_groups(ordered(sys.argv[1:]), config_folder()))
    sys.argv[1:] = arguments
    if is_first_process():
        for line in lines:
            print(f"note: {line}", file=sys.stderr)
    with user_mistakes():
        try:
            _check_own_configs(sys.argv[1:])
            main()
        except JobFailedError as error:  # Optuna found too many failures, or the jobs ran elsewhere
            end = summary() if summary()[1] else (str(error), error.exit_code)
        except ValueError:  # so says Optuna of a study without one good trial
            if not all_failed():
                raise
            end = summary()
        except OSError as error:  # about Hydra's own files: a run tells of its own
            if (trouble := trouble_of(error, "the folder of the run")) is None:
                raise
            end = (trouble, RunError.exit_code)
        else:
            end = summary()
    if end[1]:
        print(f"error: {printable(end[0])}", file=sys.stderr)
        sys.exit(end[1])


def _check_own_configs(arguments: Sequence[str]) -> None:
    """Reads the YAML files of ``--config-dir`` under limits before Hydra reads them without.

    Raises:
        DataError: A file is too large or deep, repeats a key, or its aliases grow.
    """
    for place, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name not in ("--config-dir", "-cd"):
            continue
        folder = Path(value or next(iter(arguments[place + 1 :]), ""))
        for file in sorted(folder.rglob("*.yaml")) if value or place + 1 < len(arguments) else ():
            read_yaml(file, "mend or remove it")


@contextmanager
def user_mistakes() -> Iterator[None]:
    """End the program with one line per mistake and its exit code if what runs inside finds a user's mistake.

    To be used inside of the Hydra main function too: Hydra prints a line of its own about errors that leave it.
    """
    try:
        yield
    except Exception as error:
        lines = lines_of(error)
        if not lines:
            raise
        say(lines, error)
        sys.exit(getattr(error, "exit_code", 2))


def quieten_lightning() -> None:
    """Silence Lightning's own log but for warnings."""
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.rank_zero", "fabric.utilities.distributed"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)


def _quieten() -> None:
    """Silence what says nothing about the run: Lightning's banners and advertisements, advice that is wrong."""
    quieten_lightning()
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    if not is_first_process():  # one process speaks
        logging.disable(logging.INFO)
