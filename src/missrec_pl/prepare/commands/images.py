"""``images DOMAIN``: items' pictures by address."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import image_urls
from missrec_pl.prepare.commands.base import Command, settings_from
from missrec_pl.prepare.images.fetching import Limits
from missrec_pl.prepare.images.run import FAILURES, download


def _add_arguments(parser: ArgumentParser) -> None:
    default, add = Limits(), parser.add_argument
    add("domain", metavar="DOMAIN", help="domain folder made with addresses")
    add("--folder", help="for the pictures (default: <DOMAIN>.images beside it)")
    add("--retry-failed", action="store_true", help="try again what failed for good")
    add("--allow-host", nargs="+", metavar="HOST", default=[], help="hosts to redirect to; '*': any")
    add("--allow-private", action="store_true", help="hosts at addresses of private and other closed networks")
    add("--connections", type=int, default=default.connections, help="default 16")
    add("--per-host", type=int, default=default.per_host, help="default 8")
    add("--timeout-s", type=float, default=default.timeout_s, help="for the next bytes (10)")
    add("--total-s", type=float, default=default.total_s, help="for one picture (60)")
    add("--max-bytes", type=int, default=default.max_bytes, help="of one picture (20000000)")
    add("--retries", type=int, default=default.retries, help="of passing failures (3)")
    add("--backoff-s", type=float, default=default.backoff_s, help="first wait (0.5), then twice")


def _run(arguments: Namespace, console: Console) -> None:
    """Download the pictures of a domain's items (Amazon, or a table with --image-url); resumable."""
    domain = real_path(arguments.domain)
    Domain.open(domain)
    folder = Path(arguments.folder) if arguments.folder else domain.parent / f"{domain.name}.images"
    limits = settings_from(arguments, Limits, allowed_hosts=frozenset(arguments.allow_host))
    total = len({url for url in image_urls(domain) if url})
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("pictures", total=total)

        def advance(number: int) -> None:
            bar.advance(task, number)

        result = download(domain, folder, limits, retry_failed=arguments.retry_failed, advance=advance)
    print(f"{folder}: {result.new:,} downloaded, {result.there:,} there before, {result.without:,} items without")
    for reason, number in result.failed.items():
        print(f"  {number:,} failed: {reason}")
    if result.failed:
        print(f"  each of them in {folder / FAILURES}")


COMMAND = Command("images", _add_arguments, _run)
