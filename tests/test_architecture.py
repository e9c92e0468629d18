"""The structure that later work builds on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The networks of one paper and what they are made of; the package is called after them.
NAMES = re.compile(r"\bMISSRec|collaborative|cooccurrence")
# Hydra ends the program after --help, so the answer is printed on the way out.
IMPORTED = (
    "import atexit, sys; heavy = {{'torch', 'lightning'}}; "
    "atexit.register(lambda: print(sorted(heavy & {{name.partition('.')[0] for name in sys.modules}}))); {}"
)


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_dependencies_flow_one_way():
    checked = python(
        "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout


def test_the_package_imports_without_torch():
    checked = python("-c", IMPORTED.format("import missrec_pl, missrec_pl.experiment.cli, missrec_pl.errors"))
    assert checked.stdout.strip() == "[]", checked.stderr


@pytest.mark.parametrize("script", ["train", "eval"])
def test_help_does_not_wait_for_torch(script):
    program = (
        f"import runpy; sys.argv = ['{script}.py', '--help']; runpy.run_path('{script}.py', run_name='__main__')"
    )
    checked = python("-c", IMPORTED.format(program))
    assert checked.stdout.strip().endswith("[]"), checked.stderr
    assert "Configuration groups" in checked.stdout


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_entry_points_are_thin(script):
    assert len((ROOT / script).read_text().splitlines()) <= 30


def test_no_package_is_called_utils():
    assert not [path for path in (ROOT / "src").rglob("*util*") if "__pycache__" not in path.parts]


def test_only_the_composition_root_knows_lightning_and_hydra_together():
    """`train`, `evaluate`, `trainer`, what calls them, and what they write and tell; nothing below."""
    both = set()
    for file in (ROOT / "src" / "missrec_pl").rglob("*.py"):
        lines = [line.strip() for line in file.read_text().splitlines()]
        imports = " ".join(line for line in lines if line.startswith(("import ", "from ")))
        if "lightning" in imports and ("hydra" in imports or "omegaconf" in imports):
            both.add(file.stem)
    assert both == {"evaluate", "library", "run_results", "telling", "train", "trainer"}


def test_one_family_of_networks_is_named_in_its_own_rooms_alone():
    rooms = (
        "nn/missrec",
        "nn/scorers",
        "fitting",
        "baselines",
        "checkpoints",
        "report",
        "prepare",
        "config/allowed.py",
    )
    package, naming = ROOT / "src" / "missrec_pl", []
    for file in package.rglob("*.py"):
        place = file.relative_to(package).as_posix()
        if not place.startswith(rooms) and NAMES.search(file.read_text()):
            naming.append(place)
    assert naming == []
