"""How the published tables are laid out: which runs belong to which row, and what a row is held against."""

from collections.abc import Callable
from dataclasses import dataclass

from missrec_pl.report.runs.collect import RunResult
from missrec_pl.report.runs.variants import STARTS, input_type

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
_WHOLE_NETWORK = "MISSRec"
_WHOLE_ELSEWHERE = "table3/id_tv"  # says what table5/full says

Place = tuple[str, str]  # input type and variant, as in reported.csv


@dataclass(frozen=True)
class Layout:
    """How one published table is laid out.

    Attributes:
        table: Its name in ``reported.csv``.
        source: What its numbers are called.
        experiments: Overlays whose runs belong to it; an empty string stands for runs without an overlay.
        place: The row that a run belongs to; None for one that it has no row for.
        name: A row's name.
        model: What a run's model is called; runs of the same name are held against each other.
        protocol: The deviations from the default protocol that its numbers have.
        by_start: Whether rows are split by start; otherwise a group of runs says its start.
        reference: The row that another row is held against, and how the table says so.
    """

    table: str
    source: str
    experiments: tuple[str, ...]
    place: Callable[[RunResult], Place | None]
    name: Callable[[Place], str]
    model: Callable[[RunResult], str] = lambda run: run.model
    protocol: tuple[str, ...] = ()
    by_start: bool = False
    reference: Callable[[Place], tuple[Place, str] | None] = lambda place: None


def _by_input(run: RunResult) -> Place:
    return input_type(run), "MISSRec"


def _by_input_and_start(run: RunResult) -> Place | None:
    return None if run.init == "zero_shot" else (input_type(run), run.init)


def _by_ablation(run: RunResult) -> Place | None:
    name = run.experiment.partition("/")[2]
    if run.experiment == _WHOLE_ELSEWHERE:
        name = "full"
    elif not run.experiment.startswith("table5/"):
        return None
    # An override such as model=missrec would run the whole model under an ablation's name.
    is_itself = run.model == _NETWORKS.get(name, run.model)
    return (input_type(run), name) if name in ABLATIONS and is_itself else None


def _whole_network(run: RunResult) -> str:
    return _WHOLE_NETWORK if run.model in _NETWORKS.values() else run.model


def _scratch(place: Place) -> tuple[Place, str] | None:
    return ((place[0], "scratch"), "effect of pre-training") if place[1] == "pretrained" else None


def _whole_model(place: Place) -> tuple[Place, str] | None:
    return None if place[1] == "full" else ((place[0], "full"), "against (0)")


def _input_and_start(place: Place) -> str:
    return f"{place[0]}, {STARTS[place[1]]}"


TABLE2 = Layout("table2", "paper", ("", "table2"), _by_input, lambda place: place[0])
TABLE3 = Layout("table3", "paper", ("", "table3"), _by_input, lambda place: place[0])
TABLE4 = Layout(
    "table4",
    "paper",
    ("", "table2", "table4"),
    _by_input_and_start,
    _input_and_start,
    by_start=True,
    reference=_scratch,
)
TABLE5 = Layout(
    "table5",
    "paper",
    ("table5", "table3"),
    _by_ablation,
    lambda place: ABLATIONS[place[1]],
    model=_whole_network,
    reference=_whole_model,
)
RELEASED = Layout(
    "released",
    "released code",
    ("released",),
    _by_input_and_start,
    _input_and_start,
    protocol=("compat",),
    by_start=True,
    reference=_scratch,
)
