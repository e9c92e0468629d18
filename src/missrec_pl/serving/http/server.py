"""The server: uvicorn, which ends after the requests that it has begun, and reads the bundle again on SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import uvicorn

from missrec_pl.errors import MissrecError, RunError
from missrec_pl.serving.http.app import make_app
from missrec_pl.serving.http.live import Live
from missrec_pl.serving.recommender import ServedRecommender

log = logging.getLogger(__name__)

_GRACE = 30  # seconds for requests that were begun


class _Server(uvicorn.Server):
    """uvicorn, whose signals are ours: it ends with the exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    read: Callable[[], ServedRecommender],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    workers: int | None = None,
    pictures: Path | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Args:
        read: reads the bundle, at the start and for every exchange.
        host: the address to listen at.
        port: 0 for any that is free.
        token: see :func:`make_app`.
        pictures: see :func:`make_app`.
        workers: threads that compute; None for as many as there are cores.

    Raises:
        RunError: the port is taken.
        MissrecError: the bundle cannot be read.
    """
    threads = workers or os.cpu_count() or 1
    torch.set_num_threads(1)  # requests run beside each other
    live = Live(read)
    config = uvicorn.Config(
        make_app(live, token=token, workers=threads, pictures=pictures),
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
        lifespan="off",
    )
    server = _Server(config)
    try:
        asyncio.run(_run(server, live, config))
    except SystemExit as error:  # uvicorn's way to say that it could not bind
        raise RunError(f"--host {host} --port {port}: cannot listen there; choose another port.") from error


async def _run(server: uvicorn.Server, live: Live, config: uvicorn.Config) -> None:
    loop, swaps = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def stop() -> None:
        server.should_exit = True

    def swap() -> None:
        task = loop.create_task(_swap(live))
        swaps.add(task)
        task.add_done_callback(swaps.discard)

    for name, handler in (("SIGTERM", stop), ("SIGINT", stop), ("SIGHUP", swap)):
        if hasattr(signal, name):
            loop.add_signal_handler(getattr(signal, name), handler)
    said = loop.create_task(_say_where(server, live))
    await server.serve()
    said.cancel()
    log.info("stopped")


async def _say_where(server: uvicorn.Server, live: Live) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    log.info("serving bundle %s at http://%s:%d (/docs)", live.served.about.fingerprint, host, port)


async def _swap(live: Live) -> None:
    try:
        found = await asyncio.to_thread(live.swap)
    except MissrecError as error:
        log.error("the bundle in use stays: %s", error)
        return
    log.info("bundle %s in the place of %s", found.new, found.old)
