"""Entry point: ``python -m missrec_pl.doctor``; exit code 0, or 2 if there is a problem."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path

import missrec_pl.system.passive_waiting  # noqa: F401 - before anything imports torch
from missrec_pl.doctor import checks
from missrec_pl.doctor.checks import OK, PROBLEM, Finding
from missrec_pl.system.terminal import print_anything


def findings(data_dir: Path, cache_dir: Path, output_dir: Path, *, tries_keops: bool = False) -> Iterator[Finding]:
    """What all checks find. A check that breaks is a finding, and the next one follows."""
    for check in (
        checks.check_python,
        checks.check_packages,
        checks.check_known_bad,
        lambda: checks.check_keops(cache_dir, tries=tries_keops),
        checks.check_accelerator,
        lambda: checks.check_disk([output_dir, cache_dir]),
        lambda: checks.check_data(data_dir),
        checks.check_wandb,
    ):
        try:
            yield from check()
        except Exception as error:  # one broken thing must not hide the others
            yield Finding(PROBLEM, "doctor", f"{type(error).__name__}: {error}", "report it, with this line")


def main(argv: Sequence[str] | None = None) -> int:
    """Print all findings of the arguments, by default the process's; return the exit code."""
    parser = ArgumentParser(prog="python -m missrec_pl.doctor", description="What is wrong with this machine.")
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("MISSREC_DATA_DIR", "data")))
    parser.add_argument("--cache-dir", type=Path, default=Path(os.environ.get("MISSREC_CACHE_DIR", "data/cache")))
    parser.add_argument("--output-dir", type=Path, default=Path("outputs"))
    parser.add_argument("--try-keops", action="store_true", help="compile and try KeOps in a child process now")
    parser.add_argument("--quiet", action="store_true", help="warnings and problems only")
    arguments = parser.parse_args(argv)
    found = list(
        findings(arguments.data_dir, arguments.cache_dir, arguments.output_dir, tries_keops=arguments.try_keops)
    )
    for one in found:
        if one.level != OK or not arguments.quiet:
            print(one)
    problems = sum(one.level == PROBLEM for one in found)
    print(f"{len(found)} findings, {problems} problems")
    return 2 if problems else 0


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
