"""What the interests of a run are: a picture, their sizes, and the items nearest to a few of them.

Uses the interest table stored in the checkpoint and the run's data. Prints the text, and writes it with the
picture beside the run: ``interests.png`` and ``interests.md``.
"""

import argparse
from pathlib import Path

from missrec_pl.errors import CheckpointError
from missrec_pl.report.commands.base import Command
from missrec_pl.report.output import check_out, require_matplotlib, write_whole

CHECKPOINTS = ("best.ckpt", "last.ckpt")


def _run(arguments: argparse.Namespace) -> None:
    """Print the text and write the picture and the page."""
    file = _checkpoint(arguments.run)
    beside = file.parent.parent if file.parent.name == "checkpoints" else file.parent
    picture = beside / "interests.png" if arguments.out is None else check_out(arguments.out, ".png")
    require_matplotlib()
    # Torch and matplotlib take seconds to import, and the other reports need neither.
    from missrec_pl.experiment.interests.numbers import choose, describe, measure
    from missrec_pl.experiment.interests.stored import decision_graph, read_interests
    from missrec_pl.experiment.rebuilding import rebuilt
    from missrec_pl.report.interests.figure import draw
    from missrec_pl.report.interests.text import to_lines, to_markdown

    places = {"data_dir": arguments.data_dir, "cache_dir": arguments.cache_dir}
    stored = read_interests(rebuilt(file, **places, trust=arguments.trust))
    numbers = measure(stored)
    chosen = choose(numbers.sizes, arguments.prototypes, stored.seed)
    lines = to_lines(stored, numbers, [describe(stored, *one, arguments.items) for one in chosen])
    print("\n".join(lines))
    page = picture.with_suffix(".md")
    write_whole(picture, draw(stored, numbers, decision_graph(stored)))
    write_whole(page, to_markdown(stored, lines, picture.name).encode())
    print(f"\nwritten: {picture}, {page}")


def _checkpoint(path: Path) -> Path:
    """The best checkpoint of a run folder, else its last one; a file is itself."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path} does not exist: give a run folder or a checkpoint.")
    for name in CHECKPOINTS:
        if (file := path / "checkpoints" / name).is_file():
            return file
    found = sorted(path.rglob("*.ckpt"))
    hint = f", e.g. {found[0]}" if found else ""
    looked_for = " nor ".join(f"checkpoints/{name}" for name in CHECKPOINTS)
    raise CheckpointError(f"{path} holds no {looked_for}: give a training run's folder, or a checkpoint{hint}.")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder (its best checkpoint) or checkpoint")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help="picture; the text goes beside it; default: RUN/interests.png"
    )
    parser.add_argument("--prototypes", type=_count, default=8, help="how many to show; default: %(default)s")
    parser.add_argument("--items", type=_count, default=6, help="items of each; default: %(default)s")
    add_place_arguments(parser)


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where a checkpoint's data lies and whose classes it may name."""
    parser.add_argument("--data-dir", type=Path, help="where the data lies, if not where the run found it")
    parser.add_argument("--cache-dir", type=Path, help="where conversions lie, if not where the run kept them")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package of your own that the checkpoint may name classes of; repeat it for several",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


COMMAND = Command(__doc__, _run, _add_arguments)
