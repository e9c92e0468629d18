"""Mutation testing: which small changes of the code do the tests of its room let pass?

    python benchmarks/mutants.py                        # 40 mutants of each room, drawn with seed 0: minutes
    python benchmarks/mutants.py --only splits --all    # every mutant of a room
    python benchmarks/mutants.py --seed 1 --count 20

cosmic-ray finds the mutants. Each is written into a copy of the tree and tested in a process of its own, with -x
and a time limit. What is no behaviour is left out: annotations, messages of errors and of the log. Survivors are
listed with their change. `docs/testing.md` has the last table, and explains the equivalents.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/missrec_pl"
PARTS = ("src", "tests", "configs", "pyproject.toml", "train.py", "eval.py")
ROOMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "metrics": (("metrics/ranks.py", "metrics/ranking.py", "metrics/masking.py"), ("tests/metrics",)),
    "splits": (("data/splits.py",), ("tests/data/test_splits.py",)),
    "candidates": (
        ("data/candidates.py",),
        ("tests/data/test_candidates.py", "tests/data/test_training_batches.py"),
    ),
    "fitting": (
        ("fitting/sequence_pairs.py", "fitting/spectral.py", "fitting/whitening.py"),
        ("tests/fitting", "tests/data/test_whitening.py", "tests/nn/test_cooccurrence.py"),
    ),
    "losses": (
        ("losses/base.py", "losses/contrast.py", "losses/pairwise.py", "losses/step.py"),
        ("tests/losses", "tests/modules/test_sampled_step.py", "tests/modules/test_training_step.py"),
    ),
    "comparison": (
        ("experiment/comparison.py",),
        ("tests/baselines/test_phase.py", "tests/noise/test_baseline_noise.py"),
    ),
}
"""Of each room its files below the package, and the tests that hold them."""
PRELOADED = (
    "lightning",
    "pyarrow.parquet",
    "scipy.sparse.linalg",
    "torchmetrics",
    "hypothesis",
    "hydra",
    "pytest",
)


@dataclass(frozen=True)
class Mutant:
    """A change of one file.

    Attributes:
        file: below the package.
        line: where the change is, from 1.
        text: the file with the change.
        change: the lines that differ.
    """

    file: str
    line: int
    text: str
    change: str


def mutants_of(file: str) -> Iterator[Mutant]:
    """Every mutant of a file that changes what it does."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = (ROOT / PACKAGE / file).read_text()
    lines, silent, seen = source.splitlines(), _silent(source), {ast.dump(ast.parse(source))}
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        positions = (place for node in ast_nodes(get_ast(source)) for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(positions):
            is_bare_star = lines[start[0] - 1][start[1] :].startswith(("*,", "*)"))
            if is_bare_star or any(first <= start < last for first, last in silent):
                continue
            text = mutate_code(source, operator, occurrence)
            with contextlib.suppress(SyntaxError, TypeError):
                if (tree := ast.dump(ast.parse(text))) not in seen:
                    seen.add(tree)
                    yield Mutant(file, start[0], text, _change(source, text))


def _silent(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where annotations, messages of errors and of the log, and type aliases stand."""
    found: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found.append(node.returns)
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            found.append(node.annotation)
        elif isinstance(node, ast.Raise):
            found.append(node.exc)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("info", "warning")
        ):
            found.append(node)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.BinOp)
            and isinstance(node.value.op, ast.BitOr)
        ):
            found.append(node.value)
    spans = [node for node in found if isinstance(node, (ast.expr, ast.stmt))]
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in spans]


def _change(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[3:]
    return " | ".join(line[0] + " " + line[1:].strip() for line in lines)


def survives(mutant: Mutant | None, tree: Path, tests: tuple[str, ...], limit: float) -> bool:
    """Whether all tests pass within the limit, in a forked process; None for the code as it is."""
    place = None if mutant is None else tree / PACKAGE / mutant.file
    original = None if place is None else place.read_text()
    if place is not None and mutant is not None:
        place.write_text(mutant.text)
    try:
        child = os.fork()
        if child == 0:
            _test(tree, tests)
        return _waited(child, limit) == 0
    finally:
        if place is not None and original is not None:
            place.write_text(original)


def _test(tree: Path, tests: tuple[str, ...]) -> None:
    os.setsid()
    os.chdir(tree)
    sys.path[:0] = [str(tree / "src")]
    os.environ["PYTHONPATH"] = str(tree / "src")  # of commands that the tests start
    sys.dont_write_bytecode = True
    with Path(os.environ.get("MUTANTS_LOG", os.devnull)).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    import pytest

    quiet = (
        "-q",
        "-x",
        "-n",
        "0",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    )
    os._exit(int(pytest.main([*quiet, *tests])))


def _waited(child: int, limit: float) -> int:
    """Exit code of a process; 1 where it had to be ended."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROOMS, default=list(ROOMS), help="rooms")
    parser.add_argument("--count", type=int, default=40, help="mutants drawn of each room")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--all", action="store_true", help="all mutants instead of a draw")
    chosen = parser.parse_args()
    for name in PRELOADED:  # once for all mutants; nothing of the package
        __import__(name)
    rows, lost = [], []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        _copy(tree)
        for room in chosen.only:
            files, tests = ROOMS[room]
            every = list(itertools.chain.from_iterable(map(mutants_of, files)))
            drawn = every if chosen.all or len(every) <= chosen.count else sorted(
                random.Random(chosen.seed).sample(every, chosen.count), key=lambda one: (one.file, one.line)
            )  # fmt: skip
            started = time.monotonic()
            if not survives(None, tree, tests, 600):
                print(f"{room}: its tests fail without any mutant", flush=True)
                continue
            limit = 5 * (time.monotonic() - started) + 20
            survivors = []
            for one in drawn:
                if survives(one, tree, tests, limit):
                    survivors.append(one)
                    print(f"  survives: {one.file}:{one.line}: {one.change}", flush=True)
            lost += [(room, one) for one in survivors]
            killed = len(drawn) - len(survivors)
            rows.append((room, len(every), len(drawn), killed, len(survivors)))
            print(f"{room}: {killed} of {len(drawn)} killed, {time.monotonic() - started:.0f} s", flush=True)
    _print_table(rows, lost)
    return 0 if len(rows) == len(chosen.only) else 1


def _copy(tree: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, tree / part)


def _print_table(rows: list[tuple[str, int, int, int, int]], lost: list[tuple[str, Mutant]]) -> None:
    print("\n| room | mutants | drawn | killed | survived | score |\n|---|---|---|---|---|---|")
    total = tuple(sum(row[column] for row in rows) for column in range(1, 5))
    for name, every, drawn, killed, survived in [*rows, ("all", *total)]:
        print(f"| {name} | {every} | {drawn} | {killed} | {survived} | {killed / max(drawn, 1):.0%} |")
    print("\nSurvivors:\n" if lost else "\nNo survivors.")
    for room, one in lost:
        print(f"- {room}, `{one.file}:{one.line}`: `{one.change}`")


if __name__ == "__main__":
    sys.exit(main())
