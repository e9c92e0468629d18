"""``prepare images``: the pictures of a domain into a folder beside it."""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import image_urls, set_image_paths
from missrec_pl.errors import DataError
from missrec_pl.prepare.features.picture_folders import stored_folder
from missrec_pl.prepare.images.fetching import Fetcher, FetchError, Limits
from missrec_pl.system.files import whole_file

FAILURES = "failures.csv"
_HEADER = ("url", "again", "reason")
_SUFFIXES = (".jpg", ".png", ".gif", ".webp")


@dataclass(frozen=True)
class Downloaded:
    """What became of the addresses."""

    there: int  # had been downloaded before
    new: int  # downloaded now
    failed: dict[str, int]  # how often which reason, of this and of earlier runs
    without: int  # items without an address


def download(
    path: Path, folder: Path, limits: Limits, *, retry_failed: bool, advance: Callable[[int], None]
) -> Downloaded:
    """Downloads what is missing, then notes the files in ``items.parquet``.

    Files are named by a digest of their address; equal addresses are asked once. A file that is there is complete.
    Permanent failures (404, no picture) are noted in ``failures.csv`` and not tried again unless
    ``retry_failed``. An item whose download fails keeps the file that it had. ``advance`` is called with numbers
    of addresses that are done.

    Raises:
        ConfigError: A library is missing.
        DataError: The domain is damaged or has no addresses, or another process downloads into the folder.
    """
    path = real_path(path)
    Domain.open(path)
    addresses = image_urls(path)
    fetcher = Fetcher(limits)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for part in folder.glob("*/.*.part"):
            part.unlink()
        urls = dict.fromkeys(url for url in addresses if url)
        present = {url for url in urls if _found(folder, url)}
        failed = {} if retry_failed else _read_failures(folder / FAILURES)
        wanted = [url for url in urls if url not in present and failed.get(url, ("yes", ""))[0] != "no"]
        advance(len(urls) - len(wanted))
        new = 0
        for url, problem in _fetched(fetcher, wanted, folder, limits.connections):
            failed.pop(url, None)
            advance(1)
            if problem is None:
                new += 1
                continue
            failed[url] = ("yes" if problem.again else "no", str(problem))
            if not problem.again:
                _append_failure(folder / FAILURES, url, failed[url])
        failed = {url: told for url, told in failed.items() if url in urls}
        _write_failures(folder / FAILURES, failed)
        set_image_paths(path, _image_paths(path, folder, addresses))
    reasons = Counter(reason for _, reason in failed.values())
    return Downloaded(len(present), new, dict(reasons.most_common()), sum(not url for url in addresses))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DataError(f"{folder}: another process downloads into it; wait for it") from error


def _fetched(
    fetcher: Fetcher, urls: Sequence[str], folder: Path, connections: int
) -> Iterator[tuple[str, FetchError | None]]:
    """Results as they come; only a few addresses more than connections wait at a time."""
    left = iter(urls)
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(connections) as pool:
        try:
            while True:
                while len(running) < 2 * connections and (url := next(left, None)) is not None:
                    running[pool.submit(_save, fetcher, url, folder)] = url
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    error = future.exception()
                    if error is not None and not isinstance(error, FetchError):
                        raise error
                    yield running.pop(future), error
        finally:
            pool.shutdown(cancel_futures=True)


def _save(fetcher: Fetcher, url: str, folder: Path) -> None:
    content, suffix = fetcher.fetch(url)
    target = _base(folder, url).with_suffix(suffix)
    with whole_file(target) as part:
        part.write_bytes(content)


def _base(folder: Path, url: str) -> Path:
    digest = hashlib.sha256(url.encode()).hexdigest()
    return folder / digest[:2] / digest[:24]


def _found(folder: Path, url: str) -> Path | None:
    base = _base(folder, url)
    return next((file for suffix in _SUFFIXES if (file := base.with_suffix(suffix)).is_file()), None)


def _image_paths(path: Path, folder: Path, addresses: Sequence[str | None]) -> list[str | None]:
    """Every item's file as ``items.parquet`` keeps it: the one in the folder, else the one that it had."""
    stored = stored_folder(folder, path)
    files = {url: file.relative_to(folder) for url in set(addresses) if url and (file := _found(folder, url))}
    paths: list[str | None] = []
    for url, before in zip(addresses, Domain.open(path).image_paths()[1:], strict=True):
        lost = Path(before).is_relative_to(stored) and not (path / before).is_file()  # removed from the folder
        had = None if lost else before or None
        paths.append((stored / files[url]).as_posix() if url in files else had)
    return paths


def _read_failures(path: Path) -> dict[str, tuple[str, str]]:
    if not path.is_file():
        return {}
    try:
        rows = _rows(path)
    except (csv.Error, UnicodeDecodeError):
        return {}  # all of them are tried again
    return {url: (again, reason) for url, again, reason in rows[1:]}


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.reader(stream) if len(row) == len(_HEADER)]  # a kill may cut the last line


def _append_failure(path: Path, url: str, told: tuple[str, str]) -> None:
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([*([_HEADER] if is_new else []), (url, *told)])


def _write_failures(path: Path, failed: dict[str, tuple[str, str]]) -> None:
    with whole_file(path, several_writers=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([_HEADER, *((url, *told) for url, told in sorted(failed.items()))])
