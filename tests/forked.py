"""Commands in processes that have the libraries imported already, which takes longer than most tests.

A server, itself a process without anything of this project, imports the libraries once and forks for each command.
What a command does from its first line on is what it does in an interpreter of its own. Start an interpreter where
the test is about the start: variables that libraries read when they are imported, threads, signals, encodings.
"""

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

LIBRARIES = ("torch", "lightning.pytorch", "hydra", "pyarrow.parquet", "scipy.sparse", "rich.progress")
ROOT = Path(__file__).resolve().parents[1]
_LONGEST = 1 << 20  # bytes of a request


def run_forked(*words, cwd=ROOT, env=os.environ, timeout=240):
    """Run ``python WORDS`` to its end: a script, ``-m MODULE`` or ``-c PROGRAM``, and arguments.

    Raises:
        subprocess.TimeoutExpired: It did not end in time, and was killed.
    """
    command = [sys.executable, *map(str, words)]
    request = json.dumps({"words": command[1:], "cwd": str(cwd), "env": dict(env)}).encode()
    ended, status = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, os.fdopen(ended) as answer:
        socket.send_fds(_server()[0], [request], [out.fileno(), err.fileno(), status])
        os.close(status)
        pid = int(answer.readline())
        if not select.select([answer], [], [], timeout)[0]:
            os.killpg(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout)
        code, said = int(answer.readline()), []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(command, code, *said)


@cache
def _server():
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, __file__, str(there.fileno())], pass_fds=[there.fileno()], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    there.close()
    return here, process  # which ends when the tests do, for then the socket is closed


def serve(channel):
    """Answer requests until the tests end; returns the command's words in the process that is to run it."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, *_ = socket.recv_fds(channel, _LONGEST, 3)
        if not request:
            sys.exit()
        if not os.fork():
            channel.close()
            return _watched(json.loads(request), *descriptors)
        for one in descriptors:
            os.close(one)


def _watched(request, out, err, status):
    """Fork once more: the one process tells how the other, which returns, has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        os.write(status, f"{child}\n".encode())
        _, code = os.waitpid(child, 0)
        os.write(status, f"{os.waitstatus_to_exitcode(code)}\n".encode())
        os._exit(0)
    os.setsid()
    os.close(status)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[1:1] = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    return request["words"]


def run_as_main(words):
    """What the interpreter does with its arguments."""
    kind, words = (words[0], words[1:]) if words[0] in ("-m", "-c") else ("", words)
    sys.argv = [kind or words[0], *words[1:]]
    sys.path[0] = "" if kind else str(Path(words[0]).parent)
    if kind == "-m":
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(compile(words[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    run_as_main(serve(socket.socket(fileno=int(sys.argv[1]))))
