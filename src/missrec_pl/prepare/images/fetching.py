"""One picture from its address, under limits."""

from __future__ import annotations

import io
import threading
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.features.pictures import FORMATS, MAX_PIXELS
from missrec_pl.prepare.images.addresses import RefusedAddressError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_MAX_REDIRECTS = 5
_BLOCK = 1 << 16
_KINDS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp"}
_MAX_WAIT = 60.0  # seconds that a server may ask us to wait


@dataclass(frozen=True)
class Limits:
    """What a download may cost and where it may lead."""

    connections: int = 16  # downloads at a time
    per_host: int = 8  # of these, at one host
    timeout_s: float = 10.0  # longest wait for a connection or for the next bytes
    total_s: float = 60.0  # longest time of one download
    max_bytes: int = 20_000_000  # largest file
    retries: int = 3  # further tries after a passing failure
    backoff_s: float = 0.5  # wait before the first of them, then twice that, ...
    allowed_hosts: frozenset[str] = frozenset()  # where a server may redirect, besides itself; ``*``: anywhere
    allow_private: bool = False  # whether hosts may be at addresses of private, loopback and other closed networks

    def __post_init__(self) -> None:
        for name in ("connections", "per_host", "timeout_s", "total_s", "max_bytes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: give more than 0")
        if self.retries < 0:
            raise ConfigError(f"--retries {self.retries}: give 0 or more")


class FetchError(Exception):
    """A download that failed.

    Attributes:
        passing: Whether another try may succeed.
        again: Whether a later run may succeed: another try may, or other limits let it.
    """

    def __init__(self, reason: str, *, passing: bool, by_limits: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.passing, self.again, self.wait_s = passing, passing or by_limits, wait_s


class Fetcher:
    """Downloads pictures within limits; safe to call from several threads.

    Raises:
        ConfigError: ``urllib3`` or Pillow is not installed.
    """

    def __init__(self, limits: Limits) -> None:
        try:
            import PIL  # noqa: F401
            import urllib3

            from missrec_pl.prepare.images.connections import checked_pool
        except ImportError as error:
            raise ConfigError('images need urllib3 and Pillow: pip install "missrec-pl[prepare]"') from error
        self._limits, self._errors = limits, urllib3.exceptions
        self._pool = checked_pool(
            timeout_s=limits.timeout_s, per_host=limits.per_host, allow_private=limits.allow_private
        )
        self._turns: dict[str, threading.Semaphore] = {}

    def fetch(self, url: str) -> tuple[bytes, str]:
        """A picture and the suffix of its kind; tries again at passing failures.

        Raises:
            FetchError: The last try's reason.
        """
        for attempt in range(self._limits.retries + 1):
            try:
                content = self._once(url)
                return content, picture_suffix(content)
            except FetchError as error:
                if not error.passing or attempt == self._limits.retries:
                    raise
                time.sleep(max(error.wait_s, self._limits.backoff_s * 2**attempt))
        raise AssertionError("unreachable")

    def _once(self, url: str) -> bytes:
        left = self._limits.total_s
        first, hops = _host(url), 0
        while True:
            with self._turn(_host(url)):
                started = time.monotonic()  # waiting for the turn does not count
                try:
                    response = self._pool.request("GET", url, preload_content=False, redirect=False)
                    try:
                        target = self._checked(response, url, first)
                        if target is None:
                            return self._read(response, started + left)
                    finally:
                        response.close()
                except RefusedAddressError as error:
                    raise FetchError(str(error), passing=False, by_limits=True) from error
                except self._errors.HTTPError as error:
                    raise FetchError(_named(error), passing=True) from error
                left -= time.monotonic() - started
            hops, url = hops + 1, target
            if hops > _MAX_REDIRECTS:
                raise FetchError(f"more than {_MAX_REDIRECTS} redirects", passing=False)

    def _turn(self, host: str) -> threading.Semaphore:
        return self._turns.setdefault(host, threading.Semaphore(self._limits.per_host))

    def _checked(self, response: BaseHTTPResponse, url: str, first: str) -> str | None:
        """Where the server redirects to, or None if this is the answer; raises FetchError where it is neither."""
        if response.status in (301, 302, 303, 307, 308):
            try:
                target = urljoin(url, response.headers.get("Location", ""))
            except ValueError as error:
                raise FetchError(f"redirected to no address: {error}", passing=False) from error
            host = _host(target)
            if host != first and not self._limits.allowed_hosts & {host, "*"}:
                told = f"redirected to {host}; allow it with --allow-host {host}"
                raise FetchError(told, passing=False, by_limits=True)
            return target
        if response.status != 200:
            passing = response.status in (408, 425, 429) or response.status >= 500
            wait_s = min(float(_number(response, "Retry-After")), _MAX_WAIT)
            raise FetchError(f"HTTP {response.status}", passing=passing, wait_s=wait_s)
        if _number(response, "Content-Length") > self._limits.max_bytes:
            raise self._too_large()
        return None

    def _read(self, response: BaseHTTPResponse, deadline: float) -> bytes:
        content = bytearray()
        # read1 returns what has arrived. Waiting for a whole block, a slow server would never meet the deadline.
        while block := response.read1(_BLOCK):
            content += block
            if len(content) > self._limits.max_bytes:
                raise self._too_large()
            if time.monotonic() > deadline:
                raise FetchError(f"not done after {self._limits.total_s:g} s", passing=True)
        return bytes(content)

    def _too_large(self) -> FetchError:
        told = f"larger than {self._limits.max_bytes} bytes; allow it with --max-bytes"
        return FetchError(told, passing=False, by_limits=True)


def picture_suffix(content: bytes) -> str:
    """``.jpg``, ``.png``, ``.gif`` or ``.webp``, told from the content alone.

    Raises:
        FetchError: It is no picture, or half of one.
    """
    from PIL import Image

    if not content:
        raise FetchError("empty", passing=True)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            kind = image.format or ""
            if image.width * image.height > MAX_PIXELS:
                raise FetchError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}", passing=False)
            image.load()  # verify() would let half a JPEG pass
    except FetchError:
        raise
    except Exception as error:  # decoders raise whatever they please on damaged files
        start = content[:200].lstrip().lower()
        what = "a web page" if start.startswith((b"<!doctype", b"<html", b"<")) else "no picture"
        raise FetchError(f"{what} instead of a picture", passing=False) from error
    return _KINDS[kind]


def _host(url: str) -> str:
    from urllib3.util import parse_url  # the parser of the connection: another one may see another host

    try:
        parts = parse_url(url)
        host = (parts.host or "").strip("[]").lower()
    except ValueError as error:
        raise FetchError(f"no address: {error}", passing=False) from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError("no http or https address", passing=False)
    return host


def _number(response: BaseHTTPResponse, header: str) -> int:
    """The number in a header; 0 where it says something else, ``10 ** 18`` for numbers past all limits."""
    text = response.headers.get(header, "").strip()
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) <= 18 else 10**18


def _named(error: Exception) -> str:
    """A short name for what urllib3 tells at length."""
    names = {"IncompleteRead": "truncated", "ProtocolError": "truncated", "ReadTimeoutError": "too slow"}
    names |= {"ConnectTimeoutError": "no connection", "NewConnectionError": "no connection"}
    names |= {"NameResolutionError": "no connection"}
    return names.get(type(error).__name__, type(error).__name__)
