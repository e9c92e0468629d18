"""The published tables: their numbers, which of our runs belong to which row, and what a row is held against."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.variants import STARTS, input_type

METRICS = ("recall@10", "ndcg@10", "recall@50", "ndcg@50")
ABLATIONS = {
    "full": "(0) whole model",
    "no_seq_seq": "(1) without seq-seq",
    "no_adapters": "(2) without adapters",
    "context_encoder": "(3) 2-layer context encoder",
    "interest_encoder": "(4) 2-layer interest encoder",
    "no_orthogonality": "(5) without orthogonality",
}
# These two are networks of their own; every other variant is the whole model's network.
_NETWORKS = {"context_encoder": "ContextEncoder", "interest_encoder": "InterestEncoder"}
# Table 2's names of rivals, by the model's config; one class may serve several.
_COLUMNS = {
    **{"sasrec": "SASRec", "sasrec_text": "SASRec", "bert4rec": "BERT4Rec", "gru4rec": "GRU4Rec", "fdsa": "FDSA"},
    **{"s3rec": "S3-Rec", "unisrec": "UniSRec", "unisrec_reference": "UniSRec, as published", "zesrec": "ZESRec"},
    **{"vqrec": "VQRec", "vqrec_reference": "VQRec, as published", "gsasrec": "gSASRec", "ligr": "LiGR"},
    "hstu": "HSTU",
}
_WHOLE_NETWORK = "MISSRec"
_WHOLE_ELSEWHERE = "table3/id_tv"  # says what table5/full says

Place = tuple[str, str]  # input type and variant, as in reported.csv


@dataclass(frozen=True)
class Reported:
    """One reported row."""

    table: str  # `table2` to `table5` of the paper, or `released`: the table of the authors' README
    data: str  # by this project's name
    input: str  # what describes an item: ID, T (texts), V (images), joined by +
    variant: str  # the model (tables 2, 3), the start (table 4, released) or the ablation (table 5)
    metrics: dict[str, float]  # {"recall@10": ...}


@cache
def reported() -> tuple[Reported, ...]:
    """All rows of ``reported.csv``, whose comments name the sources."""
    text = files("missrec_pl.report.paper").joinpath("reported.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Reported(row["table"], row["data"], row["input"], row["variant"], {m: float(row[m]) for m in METRICS})
        for row in rows
    )


@dataclass(frozen=True)
class Layout:
    """How one published table is laid out."""

    table: str  # its name in reported.csv
    about: str  # the help text of its command
    experiments: tuple[str, ...]  # overlays whose runs belong to it; "" stands for runs without an overlay
    place: Callable[[RunResult], Place | None]  # the row of a run; None for a run without one
    name: Callable[[Place], str] = lambda place: place[0]  # of a row
    source: str = "paper"  # what its numbers are called
    model: Callable[[RunResult], str] = lambda run: run.model  # runs of one name are held against each other
    protocol: tuple[str, ...] = ()  # the deviations from the default protocol that its numbers have
    variants: tuple[str, ...] | None = ("MISSRec", *STARTS, *ABLATIONS)  # reported rows that it shows; None: all
    is_compared: bool = False  # whether groups are told with intervals, tests, sizes and costs
    by_start: bool = False  # whether rows are split by start; otherwise a group of runs says its start
    reference: Callable[[Place], tuple[Place, str] | None] = lambda place: None
    """The row that another row is held against, and how the table says so."""


def _by_input(run: RunResult) -> Place:
    return input_type(run), "MISSRec"


def model_config(run: RunResult) -> str:
    """The config of the model that a run was made with; empty in old results."""
    said = [word.partition("=")[2] for word in run.overrides if word.partition("=")[0] == "model"]
    return said[-1] if said else run.experiment_model


def _by_column(run: RunResult) -> Place:
    """The column of table 2: a rival by its config or its class, else MISSRec."""
    name = _COLUMNS.get(model_config(run)) or _COLUMNS.get(run.model.lower())
    return input_type(run), "MISSRec" if name is None and run.model.startswith("MISSRec") else name or run.model


def _by_input_and_start(run: RunResult) -> Place | None:
    return None if run.init == "zero_shot" else (input_type(run), run.init)


def _by_ablation(run: RunResult) -> Place | None:
    table, _, name = run.experiment.partition("/")
    if run.experiment == _WHOLE_ELSEWHERE:
        name = "full"
    elif table != "table5":
        return None
    # An override such as model=missrec would run the whole model under an ablation's name.
    is_itself = run.model == _NETWORKS.get(name, run.model)
    return (input_type(run), name) if name in ABLATIONS and is_itself else None


def _scratch(place: Place) -> tuple[Place, str] | None:
    return ((place[0], "scratch"), "effect of pre-training") if place[1] == "pretrained" else None


def _whole_model(place: Place) -> tuple[Place, str] | None:
    return None if place[1] == "full" else ((place[0], "full"), "against (0)")


_OURS_AND_THEIRS = "our runs, the paper's MISSRec, the difference"
_TABLE4 = Layout(
    "table4",
    "Effect of pre-training (paper's table 4), ours seed by seed, and the paper's.",
    ("", "table2", "table4"),
    _by_input_and_start,
    lambda place: f"{place[0]}, {STARTS[place[1]]}",
    by_start=True,
    reference=_scratch,
)
LAYOUTS = (
    Layout(
        "table2",
        "Main comparison (paper's table 2): our runs of each network, the reported numbers, the difference.",
        ("", "table2", "tuned"),
        _by_column,
        lambda place: f"{place[0]}, {place[1]}",
        variants=None,
        is_compared=True,
    ),
    Layout("table3", f"Input types (paper's table 3): {_OURS_AND_THEIRS}.", ("", "table3"), _by_input),
    _TABLE4,
    Layout(
        "table5",
        "Ablations (paper's table 5): ours and the paper's, each against its whole model.",
        ("table5", "table3"),
        _by_ablation,
        lambda place: ABLATIONS[place[1]],
        model=lambda run: _WHOLE_NETWORK if run.model in _NETWORKS.values() else run.model,
        reference=_whole_model,
    ),
    replace(
        _TABLE4,
        table="released",
        about="The 20 released runs: ours under metrics.compat=true, theirs, the difference.",
        experiments=("released",),
        source="released code",
        protocol=("compat",),
    ),
)
