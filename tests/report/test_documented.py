"""The report commands that the documentation shows can be called as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from missrec_pl.report.__main__ import COMMANDS, main

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
SHOWN = re.findall(r"^python -m missrec_pl\.report ((?:.*\\\n)*.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", SHOWN)
def test_the_command_is_understood_and_misses_nothing_but_the_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command.replace("\\\n", " "))) == 2
    assert "does not exist: name run directories" in capsys.readouterr().err


def test_every_report_on_several_runs_is_shown():
    assert {command.split()[0] for command in SHOWN} >= set(COMMANDS) - {"table", "interests", "refresh"}
