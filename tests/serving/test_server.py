"""The server as a process: where it listens, what a large body sees, SIGHUP and SIGTERM."""

import os
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest
from served_shop import written

from missrec_pl.serving.__main__ import main


def waited_for(read, pattern, seconds=90):
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if found := re.search(pattern, read()):
            return found
        time.sleep(0.05)
    raise AssertionError(read())


def test_a_server_from_its_start_to_its_end(tmp_path):
    folder, log = written(tmp_path / "bundle"), tmp_path / "log"
    command = [sys.executable, "-m", "missrec_pl.serving", "serve", str(folder), "--port", "0"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ)
    try:
        address = waited_for(log.read_text, r"at (http://127\.0\.0\.1:\d+)")[1]
        with httpx.Client(base_url=address, timeout=60) as client:
            assert client.post("/recommend", json={"history": ["i1"]}).status_code == 200
            assert client.post("/recommend", content=b"x" * (3 << 20)).status_code == 413
            assert client.post("/recommend", content=b"[" * 5000).status_code == 400
            process.send_signal(signal.SIGHUP)
            waited_for(log.read_text, "bundle .* in the place of")
            assert client.get("/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert "stopped" in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(("text", "words"), [("short", "16 letters or more are needed"), (None, "cannot be read")])
def test_tokens_that_are_none(tmp_path, capsys, text, words):
    token = tmp_path / "token"
    if text is not None:
        token.write_text(text)
    assert main(["serve", str(tmp_path), "--token-file", str(token)]) == 2
    assert words in capsys.readouterr().err
