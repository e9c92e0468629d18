"""The commands of docs/serving.md and of the README."""

import json
import re
import shlex
import signal
import subprocess

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
    """As a user: the real data, the real server."""
    train, recommend, export, serve, ask = [
        line.replace("outputs/", f"{tmp_path}/").removesuffix("&") for line in five_commands()
    ]
    quiet = " trainer=cpu callbacks.progress=null"
    for line in (train + quiet, recommend, export):
        done = subprocess.run(shlex.split(line), capture_output=True, text=True, cwd=ROOT, timeout=1500)
        assert done.returncode == 0, done.stderr
        if line == recommend:
            assert len(done.stdout.split("recommended:\n")[1].splitlines()) == 10
    with subprocess.Popen(shlex.split(serve.replace("8080", "18080")), cwd=ROOT) as server:
        try:
            words = shlex.split(ask.replace("8080", "18080"))
            answer = json.loads(subprocess.run(words, capture_output=True, text=True, timeout=120).stdout)
        finally:
            server.send_signal(signal.SIGTERM)
    assert len(answer["recommendations"][0]["items"]) == 3
    assert all(one["title"] for one in answer["recommendations"][0]["items"])
    assert server.returncode == 0
