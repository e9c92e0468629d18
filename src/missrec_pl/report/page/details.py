"""What of a page needs a run's network: the map of its interests, and what it recommends to some users."""

import argparse
from pathlib import Path

from missrec_pl.errors import MissrecError
from missrec_pl.experiment.interests.stored import read_interests
from missrec_pl.experiment.rebuilding import rebuilt
from missrec_pl.report.page.examples import examples_of
from missrec_pl.report.page.facts import Facts
from missrec_pl.report.page.interest_map import map_of
from missrec_pl.report.page.pictures import Pictures
from missrec_pl.report.runs.records import RunResult


def details_of(
    run: RunResult, file: Path, folder: Path, arguments: argparse.Namespace
) -> tuple[list[Facts], Facts, list[str]]:
    """Examples, the map, and why one of them is missing.

    Args:
        run: the run.
        file: its checkpoint.
        folder: of the page, for pictures.
        arguments: of the command.
    """
    try:
        stored = rebuilt(file, data_dir=arguments.data_dir, cache_dir=arguments.cache_dir, trust=arguments.trust)
    except MissrecError as error:
        return [], {}, [f"no interests and no examples: {error}"]
    pictures = Pictures(folder, stored.datamodule.catalogue.domains, arguments.image_folder)
    examples = examples_of(stored, run.seed, pictures, excludes_history="mask_history" in run.protocol)
    if "interests" not in stored.module.model.fitted:
        return examples, {}, [*pictures.notes, f"no map: {run.model} has no interests"]
    try:
        return examples, map_of(read_interests(stored), pictures, arguments.map), pictures.notes
    except MissrecError as error:
        return examples, {}, [*pictures.notes, f"no map: {error}"]
