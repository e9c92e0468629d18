"""``python -m missrec_pl.serving COMMAND ...``."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from missrec_pl.errors import ConfigError, printable
from missrec_pl.serving import ServedRecommender, load
from missrec_pl.serving.batch import recommend_file
from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.ray_blocks import ranked_on_ray
from missrec_pl.serving.request import Request
from missrec_pl.system.ending import exit_code_of
from missrec_pl.system.ray_workers import add_engine, count, engine_workers
from missrec_pl.system.terminal import print_anything

_TOKEN_LETTERS = 16
_SHOWN = 10  # items of a history that are printed
_MODEL = ("CKPT", "BUNDLE|CKPT")
_TOLD = ("checkpoint, or run folder (its best checkpoint)", "bundle, checkpoint or run folder")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is that of :func:`exit_code_of`."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return exit_code_of(lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m missrec_pl.serving", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], told: str) -> argparse.ArgumentParser:
        """A command that reads a model."""
        command = commands.add_parser(name, help=told)
        command.add_argument("model", type=Path, metavar=_MODEL[name != "export"], help=_TOLD[name != "export"])
        _add_places(command)
        command.set_defaults(run=run)
        return command

    export = add("export", _export, "write a bundle of a checkpoint")
    export.add_argument("out", type=Path, metavar="OUT", help="folder of the bundle")
    export.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    recommend = add("recommend", _recommend, "recommend for one history, or for a file of them")
    _add_index(recommend)
    asked = recommend.add_mutually_exclusive_group(required=True)
    asked.add_argument("--histories", type=Path, metavar="FILE", help=".parquet, .jsonl or .csv of histories")
    asked.add_argument("--history", metavar="ID,ID,...", help="one history, newest item last")
    asked.add_argument("--user", metavar="ID", help="one user of the data that CKPT was trained on")
    recommend.add_argument("--k", type=count, default=10, help="items of each; default: %(default)s")
    recommend.add_argument("--out", type=Path, metavar="FILE.parquet", help="of --histories")
    recommend.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    recommend.add_argument("--with-seen", action="store_true", help="items of a history may be recommended again")
    add_engine(recommend, "blocks of --histories")
    onnx = add("onnx", _onnx, "write the network as ONNX (extra `onnx`)")
    onnx.add_argument("out", type=Path, metavar="OUT", help="folder of the file")
    onnx.add_argument("--overwrite", action="store_true", help="replace a folder that is there")
    serve = add("serve", _serve, "answer over HTTP (extra `serve`)")
    _add_index(serve)
    serve.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine"
    )
    serve.add_argument("--port", type=int, default=8080, help="default: %(default)s; 0 for any that is free")
    serve.add_argument("--workers", type=count, help="requests computed at a time; default: one a core")
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE", help="allows /items and /swap to who says its text"
    )
    serve.add_argument("--pictures", type=Path, metavar="DIR", help="pictures for the page, named by item ids")
    return parser


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", action="store_true", help="score what neighbours nominate (extra `index`)")


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="where the data lies, if not where the run found it")
    parser.add_argument("--cache-dir", type=Path, help="where conversions lie, if not where the run kept them")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package of your own that CKPT may name"
    )


def _places(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"data_dir": arguments.data_dir, "cache_dir": arguments.cache_dir, "trust": arguments.trust}


def _checkpoint(path: Path) -> Path:
    """The best checkpoint of a run folder; anything else is itself."""
    inside = [path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
    return next((file for file in inside if file.is_file()), path)


@contextmanager
def _bundle(arguments: argparse.Namespace) -> Iterator[Path]:
    """The bundle, or that of a checkpoint, which is kept for as long as the program runs."""
    file = _checkpoint(arguments.model)
    if not file.is_file():
        yield file
        return
    from missrec_pl.experiment.exporting import export_checkpoint

    with tempfile.TemporaryDirectory(prefix="missrec-bundle-") as folder:
        yield export_checkpoint(file, Path(folder) / "bundle", **_places(arguments))


def _recommend(arguments: argparse.Namespace) -> None:
    if (arguments.histories is None) != (arguments.out is None):
        raise ConfigError("--histories FILE and --out FILE.parquet go together.")
    workers, elsewhere = engine_workers(arguments), None
    if workers and (arguments.histories is None or _checkpoint(arguments.model).is_file()):
        raise ConfigError(
            "--engine ray ranks --histories by a bundle, which all workers read: make one by export."
        )
    history = _history(arguments) if arguments.histories is None else None
    with _bundle(arguments) as folder:
        served = load(folder, index=arguments.index and not workers)
        if history is not None:
            _print_one(served, history, arguments)
            return
        if workers:
            elsewhere = partial(ranked_on_ray, bundle=folder, index=arguments.index, workers=workers)
        summary = recommend_file(
            served,
            arguments.histories,
            arguments.out,
            k=arguments.k,
            exclude_seen=not arguments.with_seen,
            overwrite=arguments.overwrite,
            elsewhere=elsewhere,
        )
    print(f"written: {arguments.out}; {summary.line()}")


def _history(arguments: argparse.Namespace) -> list[str]:
    if arguments.user is None:
        return [one for one in arguments.history.split(",") if one]
    file = _checkpoint(arguments.model)
    if file.is_dir():
        raise ConfigError("--user: a bundle holds no users; give the checkpoint, or --history ID,ID,...")
    from missrec_pl.experiment.exporting import history_of_user

    return history_of_user(file, arguments.user, **_places(arguments))


def _print_one(served: ServedRecommender, history: list[str], arguments: argparse.Namespace) -> None:
    answer = served.answer(Request([history], arguments.k, not arguments.with_seen))
    for name in answer.unknown[0]:
        print(f"note: item {printable(name, 80)} is unknown and left out", file=sys.stderr)
    known = [one for one in history if served.knows(one)]
    if len(known) > _SHOWN:
        print(f"{len(known)} items; the newest {_SHOWN}, newest last:")
    for item in known[-_SHOWN:]:
        print(f"            {printable(item, 40):>12}  {printable(served.title(item), 90)}")
    print("recommended:" if known else "recommended, as to anybody unknown:")
    for rank, (item, score) in enumerate(zip(answer.ranked[0].items, answer.ranked[0].scores, strict=True), 1):
        shown = "" if score is None else f"{score:.2f}"
        print(f"{rank:>3} {shown:>6}  {printable(item, 40):>12}  {printable(served.title(item), 90)}")


def _serve(arguments: argparse.Namespace) -> None:
    try:
        from missrec_pl.serving.http.server import serve
    except ImportError as error:
        raise ConfigError(
            f"serve needs {error.name}: pip install --constraint constraints.txt --editable '.[serve]'"
        ) from error
    token = None
    if arguments.token_file is not None:
        try:
            token = arguments.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--token-file {arguments.token_file}: cannot be read ({error}).") from error
        if len(token) < _TOKEN_LETTERS:
            raise ConfigError(f"--token-file {arguments.token_file}: {_TOKEN_LETTERS} letters or more are needed.")
    with _bundle(arguments) as folder:
        options = {name: getattr(arguments, name) for name in ("host", "port", "workers", "pictures")}
        serve(lambda: load(folder, index=arguments.index), token=token, **options)


def _onnx(arguments: argparse.Namespace) -> None:
    from missrec_pl.serving.onnx import export_onnx

    with _bundle(arguments) as folder:
        export_onnx(Bundle.read(folder), arguments.out, overwrite=arguments.overwrite)
    print(f"written: {arguments.out}")


def _export(arguments: argparse.Namespace) -> None:
    from missrec_pl.experiment.exporting import export_checkpoint

    file = _checkpoint(arguments.model)
    out = export_checkpoint(file, arguments.out, overwrite=arguments.overwrite, **_places(arguments))
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"written: {out}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
