"""``python -m missrec_pl.serving COMMAND ...``."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from missrec_pl.errors import MissrecError, printable
from missrec_pl.system.terminal import print_anything
from missrec_pl.system.trouble import trouble_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or after a one-line message 2 (a mistake in the input) or 3 (no room)."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        arguments.run(arguments)
    except MissrecError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if (trouble := trouble_of(error)) is None:
            raise
        print(f"error: {trouble} Then repeat the command.", file=sys.stderr)
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m missrec_pl.serving", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    export = commands.add_parser("export", help="write a bundle of a checkpoint")
    export.add_argument("ckpt", type=Path, metavar="CKPT", help="checkpoint, or run folder (its best checkpoint)")
    export.add_argument("out", type=Path, metavar="OUT", help="folder of the bundle")
    export.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    _add_places(export)
    export.set_defaults(run=_export)
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="where the data lies, if not where the run found it")
    parser.add_argument("--cache-dir", type=Path, help="where conversions lie, if not where the run kept them")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package of your own that CKPT may name"
    )


def _export(arguments: argparse.Namespace) -> None:
    from missrec_pl.experiment.exporting import export_checkpoint

    out = export_checkpoint(
        arguments.ckpt,
        arguments.out,
        data_dir=arguments.data_dir,
        cache_dir=arguments.cache_dir,
        trust=arguments.trust,
        overwrite=arguments.overwrite,
    )
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"written: {out}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
