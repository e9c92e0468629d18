"""An intact checkpoint to damage, and the table of all cases, written when asked for."""

import os
from pathlib import Path

import pytest
from bad_input import CASES, SEEN, TABLE
from runs import tiny

from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.train import train

HERE = Path(__file__).parent
HEAD = """# Bad input

Each row names one kind of broken or hostile input and the line that the program prints. The exit code is 2.
Nothing is written, and nothing of the input is executed. A few kinds are read all the same: their row says so.
Each row is a test. `MISSREC_WRITE_TABLE=1 python -m pytest tests/hostile` writes this page. `DIR` is the folder of
the input.

| shown to | what is wrong | error |
| --- | --- | --- |
"""


def pytest_collection_modifyitems(items):
    """The entry points silence the same advice; every other warning stays an error."""
    for item in items:
        if HERE in item.path.parents:
            for message in NOISE:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


def pytest_sessionfinish(session):
    """Write the table if all cases have run and it is asked for."""
    if os.environ.get("MISSREC_WRITE_TABLE") and len(SEEN) == len(CASES):
        rows = [f"| {area} | {what} | {line} |\n" for (area, what), line in SEEN.items()]
        TABLE.write_text(HEAD + "".join(rows), encoding="utf-8")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The checkpoint of a small run."""
    folder = tmp_path_factory.mktemp("hostile")
    train(tiny(folder, "test=false", "+trainer.limit_train_batches=1", "baselines.names=[]"))
    return folder / "run" / "checkpoints" / "last.ckpt"
