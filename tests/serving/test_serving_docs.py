"""The commands of docs/serving.md and of the README."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT

from missrec_pl.serving.__main__ import _parser, main

PAGE = (ROOT / "docs" / "serving.md").read_text()
SERVING = "python -m missrec_pl.serving "


def five_commands():
    block = re.search(r"## Five commands.*?```bash\n(.*?)```", PAGE, re.DOTALL)[1]
    return block.strip().splitlines()


def test_there_are_five_and_each_is_a_command():
    commands = five_commands()
    assert len(commands) == 5
    written = [*commands, *re.findall(rf"^{SERVING}.*$", PAGE + (ROOT / "README.md").read_text(), re.MULTILINE)]
    said = [line for line in written if line.startswith(SERVING)]
    assert len(said) >= 5
    for line in said:
        _parser().parse_args(shlex.split(line.removeprefix(SERVING).removesuffix("&")))


def test_on_generated_data(checkpoint, tmp_path, capsys):
    """Recommending for a user and making a bundle, as the page says; the HTTP tests have the rest."""
    run, out = checkpoint("tuned").parent.parent, tmp_path / "bundle"
    places = {"outputs/shop-bundle": str(out), "outputs/shop": str(run), "1": "synthetic_3-user-0"}
    for line in five_commands()[1:3]:
        words = [places.get(word, word) for word in shlex.split(line.removeprefix(SERVING))]
        assert main(words) == 0
    said = capsys.readouterr().out
    assert "recommended:" in said
    assert len(re.findall(r"^ *\d+ +-?\d+\.\d\d ", said, re.MULTILINE)) == 10
    assert f"written: {out}" in said


def test_a_user_whom_the_data_lacks(checkpoint, capsys):
    assert main(["recommend", str(checkpoint("tuned")), "--user", "nobody"]) == 2
    assert "the data has no such user; it has" in capsys.readouterr().err


@pytest.mark.slow
def test_from_checkpoint_to_an_answer_in_five_commands(tmp_path):
    """In a clone, the lines as they stand on the page: the real data, the real server."""
    for name in ("src", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    *lines, ask = [line.replace("8080", port) for line in five_commands()]
    script = "\n".join(
        [*lines, "server=$!", "trap 'kill $server' EXIT", ask, "echo; trap - EXIT; kill $server; wait $server"]
    )
    places = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(
        ["bash", "-ec", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | places,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(re.findall(r"^ *\d+ +-?\d+\.\d\d +\d+  \S", done.stdout, re.MULTILINE)) == 10
    answer = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"bundle"')))
    assert len(answer["recommendations"][0]["items"]) == 3
    assert all(one["title"] for one in answer["recommendations"][0]["items"])
    assert (tmp_path / "outputs" / "shop-bundle" / "bundle.json").is_file()
