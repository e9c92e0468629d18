"""A page to look at: a folder that a browser opens from the disk, with tables, charts, interests and examples.

Every run is in the overview. Kinds of runs are compared on their test users' ranks, at most 12 of a data set.
The map of interests and the examples are of the best run of each data set by validation NDCG@10, whose checkpoint
and data have to be there; ``--details 0`` leaves them out.
"""

import argparse
import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from missrec_pl import __version__
from missrec_pl.report.commands.base import (
    DEFAULT_METRICS,
    Command,
    add_selection_arguments,
    chosen_metrics,
    chosen_runs,
)
from missrec_pl.report.commands.interests import CHECKPOINTS, add_place_arguments
from missrec_pl.report.page.comparison import compared, group_facts, pair_facts
from missrec_pl.report.page.facts import (
    VALIDATION,
    Facts,
    baseline_facts,
    config_of,
    curves_of,
    differences,
    labels_of,
    run_row,
)
from missrec_pl.report.page.writing import INDEX, page_folder, require_page, write_page
from missrec_pl.report.runs.records import RunResult, with_metrics

_MAIN = "ndcg@10"
_Item = TypeVar("_Item")


def _run(arguments: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    require_page()
    metrics = chosen_metrics(arguments)
    runs, notes = with_metrics(chosen_runs(arguments.paths, arguments.where), metrics)
    labels, main = labels_of(runs), _MAIN if _MAIN in metrics else metrics[0]
    with page_folder(arguments.out) as folder:
        facts = _facts(runs, labels, metrics, main, notes)
        facts |= _details(runs, labels, arguments, folder, notes)
        write_page(folder, facts)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print("\n".join([f"written: {arguments.out / INDEX}, {len(runs)} runs, {size / 1e6:.1f} MB", *notes]))


def _facts(
    runs: Sequence[RunResult], labels: Sequence[str], metrics: Sequence[str], main: str, notes: list[str]
) -> Facts:
    places = _places(runs)
    rows = [
        run_row(number, run, label, place, metrics)
        for number, (run, label, place) in enumerate(zip(runs, labels, places, strict=True))
    ]
    baselines, found = baseline_facts(runs, metrics)
    notes += found
    groups: list[Facts] = []
    pairs: list[Facts] = []
    tested = dict.fromkeys(run.data for run in runs if run.is_tested)
    for data in _shown(tested, "comparing"):
        one = compared(data, list(zip(runs, labels, strict=True)), main)
        groups += group_facts(one, metrics)
        pairs += pair_facts(one, metrics)
        notes += one.notes
    numbered = list(enumerate(runs))
    read = {number: (config_of(run), curves_of(run)) for number, run in _shown(numbered, "reading")}
    return {
        "made": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "metrics": list(metrics),
        "main": main,
        "validation": VALIDATION,
        "runs": rows,
        "baselines": baselines,
        "curves": {number: curves for number, (_, curves) in read.items() if curves},
        "groups": groups,
        "pairs": pairs,
        "configs": differences({number: config for number, (config, _) in read.items() if config}),
        "notes": notes,
    }


def _details(
    runs: Sequence[RunResult], labels: Sequence[str], arguments: argparse.Namespace, folder: Path, notes: list[str]
) -> Facts:
    """Maps of interests and examples of some runs; what cannot be made is a note."""
    maps: list[Facts] = []
    examples: list[Facts] = []
    for number, file in _shown(_detailed(runs, arguments.details), "interests and examples"):
        # Torch takes seconds to import, and the rest of the page does without.
        from missrec_pl.report.page.details import details_of

        about = {"run": number, "data": runs[number].data, "label": labels[number]}
        of_users, of_interests, found = details_of(runs[number], file, folder, arguments)
        examples += [{**about, "users": of_users}] if of_users else []
        maps += [{**about, **of_interests}] if of_interests else []
        notes += found
    return {"maps": maps, "examples": examples}


def _detailed(runs: Sequence[RunResult], most: int) -> list[tuple[int, Path]]:
    """The best tested run of each data set that keeps a checkpoint, and this checkpoint."""
    chosen: dict[str, tuple[int, Path]] = {}
    order = sorted(enumerate(runs), key=lambda pair: -pair[1].metrics.get(VALIDATION, -1.0))
    for number, run in order:
        if not run.is_tested or run.data in chosen:
            continue
        files = (run.path.parent / "checkpoints" / name for name in CHECKPOINTS)
        if file := next((file for file in files if file.is_file()), None):
            chosen[run.data] = (number, file)
    return list(chosen.values())[:most]


def _places(runs: Sequence[RunResult]) -> list[str]:
    """The runs' folders from the deepest folder that all lie in; no page says where that is."""
    folders = [run.path.parent.resolve() for run in runs]
    top = Path(os.path.commonpath(folders))
    top = top.parent if top in folders else top
    return [folder.relative_to(top).as_posix() for folder in folders]


def _shown(items: Iterable[_Item], doing: str) -> Iterator[_Item]:
    """Items, with a bar on a terminal while they are worked on."""
    console = Console(stderr=True)
    every = list(items)
    yield from track(every, doing, console=console, transient=True, disable=not console.is_terminal)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="replaced if it holds a page")
    parser.add_argument("--metrics", default=DEFAULT_METRICS, help="comma-separated; default: %(default)s")
    parser.add_argument(
        "--details",
        type=int,
        default=3,
        metavar="N",
        help="of so many data sets; default: %(default)s",
    )
    parser.add_argument(
        "--map",
        choices=("auto", "pca", "umap"),
        default="auto",
        help="default: umap where installed",
    )
    parser.add_argument(
        "--image-folder",
        action="append",
        default=[],
        type=Path,
        help="where pictures may lie, too",
    )
    add_place_arguments(parser)


COMMAND = Command(__doc__, _run, _add_arguments)
