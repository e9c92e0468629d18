"""Pieces of work on the workers of a Ray cluster, by Ray Data (extra ``ray``)."""

from __future__ import annotations

import logging
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from missrec_pl import errors
from missrec_pl.errors import ConfigError

Work: TypeAlias = Callable[[int], object]
_STORE_BYTES = 1 << 27  # numbers alone go through Ray's store


class _Worker:
    def __init__(self, make: Callable[[], Work], places: Sequence[str]) -> None:
        sys.path += [place for place in places if place not in sys.path]
        self._work = make()

    def __call__(self, row: dict[str, int]) -> dict[str, int]:
        self._work(int(row["piece"]))
        return row


def on_workers(
    make: Callable[[], Work], pieces: Sequence[int], workers: int, *, uses_gpu: bool = False
) -> Iterator[int]:
    """Yields the pieces as they are done. Each worker is made once and keeps what it has loaded.

    Args:
        make: makes a worker; a plain function with plain arguments (``functools.partial``), for it is sent.
        pieces: numbers of the pieces of work, which the workers find and leave in files that all of them see.
        workers: how many; on this machine, or in the cluster that ``RAY_ADDRESS`` names.
        uses_gpu: whether the cluster's GPUs are shared out among them.

    Raises:
        ConfigError: Ray is missing.
        MissrecError: what a worker raised.
    """
    if not pieces:
        return
    with _cluster(workers) as ray:
        data = ray.data.from_items([{"piece": piece} for piece in pieces], override_num_blocks=len(pieces))
        size = min(workers, len(pieces))
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0) / size) if uses_gpu else 0
        pool = ray.data.ActorPoolStrategy(size=size)
        try:
            places = [place or str(Path.cwd()) for place in sys.path]
            done = data.map(_Worker, fn_constructor_args=(make, places), compute=pool, num_gpus=gpus or None)
            for row in done.iter_rows():
                yield int(row["piece"])
        except ray.exceptions.RayError as error:
            raise _own_error(error) from error


def add_engine(parser: ArgumentParser, what: str) -> None:
    """Add the flags that :func:`engine_workers` reads.

    Args:
        parser: of the command.
        what: is shared among the workers.
    """
    parser.add_argument("--engine", choices=("ray",), help=f"Ray Data shares {what} among workers (extra `ray`)")
    told = "workers of --engine ray, of one core each; default: the cores of this machine"
    parser.add_argument("--ray-workers", type=count, metavar="N", help=told)


def engine_workers(arguments: Namespace) -> int | None:
    """How many workers are asked for; None: no engine is.

    Raises:
        ConfigError: workers without an engine, or Ray is missing.
    """
    if arguments.engine is None:
        if arguments.ray_workers is not None:
            raise ConfigError("--ray-workers goes with --engine ray.")
        return None
    require_ray()
    return arguments.ray_workers or os.cpu_count() or 1


def count(text: str) -> int:
    """A number of things, as argparse asks for it."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def require_ray() -> None:
    """Fails early, in one line.

    Raises:
        ConfigError: Ray is missing.
    """
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--engine ray needs {error.name}: pip install --constraint constraints.txt --editable '.[ray]'"
        ) from error


@contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    """Ray, on a cluster of this machine for as long as it is needed, unless there is one."""
    require_ray()
    import ray

    if ray.is_initialized():
        yield ray
        return
    place: dict[str, Any] = {}
    if "RAY_ADDRESS" not in os.environ:
        place = {"num_cpus": workers + 1, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **place)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    try:
        yield ray
    finally:
        ray.shutdown()


def _own_error(error: BaseException) -> BaseException:
    """What a worker raised, out of the traceback that Ray tells of; else Ray's own."""
    found = re.findall(r"missrec_pl\.errors\.(\w+): (.+)", str(error))
    kind = getattr(errors, found[-1][0], None) if found else None
    return kind(found[-1][1]) if kind is not None else error
