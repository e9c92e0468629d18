"""``images DOMAIN``: items' pictures by address."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import image_urls
from missrec_pl.prepare.images.fetching import Limits
from missrec_pl.prepare.images.run import FAILURES, download


class Images:
    """Downloads pictures."""

    name = "images"
    help = "download the pictures of a domain's items (Amazon, or a table with --image-url); resumable"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        default = Limits()
        parser.add_argument("domain", metavar="DOMAIN", help="domain folder made with addresses")
        parser.add_argument("--folder", help="for the pictures (default: <DOMAIN>.images beside it)")
        parser.add_argument("--retry-failed", action="store_true", help="try again what failed for good")
        parser.add_argument(
            "--allow-host", nargs="+", metavar="HOST", default=[], help="hosts to redirect to; '*': any"
        )
        parser.add_argument("--connections", type=int, default=default.connections, help="default 16")
        parser.add_argument("--per-host", type=int, default=default.per_host, help="default 8")
        parser.add_argument("--timeout-s", type=float, default=default.timeout_s, help="for the next bytes (10)")
        parser.add_argument("--total-s", type=float, default=default.total_s, help="for one picture (60)")
        parser.add_argument("--max-bytes", type=int, default=default.max_bytes, help="of one picture (20000000)")
        parser.add_argument("--retries", type=int, default=default.retries, help="of passing failures (3)")
        parser.add_argument(
            "--backoff-s", type=float, default=default.backoff_s, help="first wait (0.5), then twice"
        )

    def run(self, arguments: Namespace, console: Console) -> None:
        """Downloads, with a progress bar; prints what became of the addresses."""
        domain = real_path(arguments.domain)
        Domain.open(domain)
        folder = Path(arguments.folder) if arguments.folder else domain.parent / f"{domain.name}.images"
        limits = Limits(
            connections=arguments.connections,
            per_host=arguments.per_host,
            timeout_s=arguments.timeout_s,
            total_s=arguments.total_s,
            max_bytes=arguments.max_bytes,
            retries=arguments.retries,
            backoff_s=arguments.backoff_s,
            allowed_hosts=frozenset(arguments.allow_host),
        )
        total = len({url for url in image_urls(domain) if url})
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("pictures", total=total)
            result = download(
                domain,
                folder,
                limits,
                retry_failed=arguments.retry_failed,
                advance=lambda number: bar.advance(task, number),
            )
        print(
            f"{folder}: {result.new:,} downloaded, {result.there:,} there before, {result.without:,} items without"
        )
        for reason, number in result.failed.items():
            print(f"  {number:,} failed: {reason}")
        if result.failed:
            print(f"  each of them in {folder / FAILURES}")
