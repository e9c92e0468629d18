"""What a user is told: one line for each mistake, in letters that the terminal can show."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from missrec_pl.errors import ConfigError, MissrecError, printable
from missrec_pl.system.launched import is_first_process

_NO_OPTION = re.compile(r"Could not override 'trainer\.(\w+)'")
_OLD_RELEASED_RUN = re.compile(r"'experiment/(released/run(\d\d))'")


def say(lines: Sequence[str], error: BaseException) -> None:
    """Print what went wrong; what all processes find in the config, the first one says."""
    if is_first_process() or not isinstance(error, ConfigError):
        for line in lines:
            print(f"error: {printable(line)}", file=sys.stderr)


def lines_of(error: BaseException | None) -> list[str]:
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
    if isinstance(error, InstantiationException) and (cause := lines_of(error.__cause__)):
        return cause
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, HydraException | OmegaConfBaseException) or "MisconfigurationException" in kinds:
        text = str(error).partition("Config search path:")[0]
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        if old := _OLD_RELEASED_RUN.search(line):
            return [f"experiment={old[1]}: say experiment=released/run released.run={int(old[2])}."]
        if (option := _NO_OPTION.match(line)) and (instead := _set_by_the_program().get(option[1])):
            return [f"trainer.{option[1]}: the program sets it itself; {instead}."]
        return [line + _advice(line)] if line else lines_of(error.__cause__) or [repr(error)]
    return []


def _set_by_the_program() -> dict[str, str]:
    from missrec_pl.config.trainer_options import SET_BY_THE_PROGRAM  # which waits for torch

    return SET_BY_THE_PROGRAM


def _advice(line: str) -> str:
    """What to do, where Hydra's message does not say it or not all of it."""
    if line.startswith("Could not override"):
        return ", if what its _target_ names takes it; `--cfg job` prints all keys."
    return " `--help` lists the groups." if line.startswith("In '") else ""
