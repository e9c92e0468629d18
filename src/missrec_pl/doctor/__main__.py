"""Entry point: ``python -m missrec_pl.doctor``; exit code 0, or 2 if there is a problem."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import missrec_pl.system.passive_waiting  # noqa: F401 - before anything imports torch
from missrec_pl.doctor.findings import OK, PROBLEM, Finding
from missrec_pl.doctor.machine import check_accelerator, check_data, check_disk, check_keops, check_wandb
from missrec_pl.doctor.software import check_known_bad, check_packages, check_python


def findings(data_dir: Path, cache_dir: Path, output_dir: Path) -> Iterator[Finding]:
    """Everything, whatever goes wrong on the way."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        check_python,
        check_packages,
        check_known_bad,
        check_keops,
        check_accelerator,
        lambda: check_disk([output_dir, cache_dir]),
        lambda: check_data(data_dir),
        check_wandb,
    )
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # one broken thing must not hide the others
            yield Finding(PROBLEM, "doctor", f"{type(error).__name__}: {error}", "report it, with this line")


def main(argv: Sequence[str] | None = None) -> int:
    """Print all findings.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    parser = ArgumentParser(prog="python -m missrec_pl.doctor", description="What is wrong with this machine.")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("MISSREC_DATA_DIR", "data")))
    parser.add_argument("--cache-dir", type=Path, default=Path(os.environ.get("MISSREC_CACHE_DIR", "data/cache")))
    parser.add_argument("--output-dir", type=Path, default=Path("outputs"))
    parser.add_argument("--quiet", action="store_true", help="warnings and problems only")
    arguments = parser.parse_args(argv)
    found = list(findings(arguments.data_dir, arguments.cache_dir, arguments.output_dir))
    for one in found:
        if one.level != OK or not arguments.quiet:
            print(one)
    problems = sum(one.level == PROBLEM for one in found)
    print(f"{len(found)} findings, {problems} problems")
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
