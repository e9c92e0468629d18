"""How the commands of this package end: a line for what a person can mend, a traceback for a bug."""

from __future__ import annotations

import sys
from collections.abc import Callable

from missrec_pl.errors import MissrecError, RunError, printable
from missrec_pl.system.trouble import mistaken_for_damage, trouble_of


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command.

    Returns:
        0; after a message on stderr, a line for each mistake, 2 (a mistake in what was asked or in the data) or 3
        (the disk is full or read-only, too many files are open).
    """
    try:
        command()
    except (MissrecError, PermissionError) as error:
        if (trouble := mistaken_for_damage(error)) is not None:
            return _refused_by_the_machine(trouble)
        for line in str(error).splitlines():
            print(f"error: {printable(line)}", file=sys.stderr)
        return getattr(error, "exit_code", MissrecError.exit_code)
    except Exception as error:
        if (trouble := trouble_of(error)) is None:
            raise
        return _refused_by_the_machine(trouble)
    return 0


def _refused_by_the_machine(trouble: str) -> int:
    print(f"error: {printable(trouble)} Then repeat the command.", file=sys.stderr)
    return RunError.exit_code
