"""Where requests become work in threads, and answers JSON."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from missrec_pl.serving.http.live import Live
from missrec_pl.serving.http.metrics import ServerMetrics

_T = TypeVar("_T")
_PATHS = ("/recommend", "/similar", "/items", "/swap", "/health", "/ready", "/metrics", "/", "/search", "/titles")
_WAITING = 256  # requests that may wait for a thread


class AsciiJSON(JSONResponse):
    """JSON of ASCII letters: half a Unicode pair in a title is no reason to fail."""

    def render(self, content: Any) -> bytes:
        """See starlette."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Desk:
    """Does the work of requests in threads, so many at a time.

    Args:
        live: the recommender in use.
        token: what those who change something have to say; None: nobody may.
        workers: threads.
        seconds: for an answer.
    """

    def __init__(self, live: Live, token: str | None, workers: int, seconds: float) -> None:
        self.live, self.token, self.seconds = live, token, seconds
        self.metrics = ServerMetrics(frozenset(_PATHS))
        self.threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="recommend")
        self._waiting = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """What a function returns that runs in a thread.

        Raises:
            HTTPException: 503 where too many wait, or it takes too long.
        """
        if self._waiting >= _WAITING:
            raise HTTPException(503, "too many requests wait; try again", {"Retry-After": "1"})
        self._waiting += 1
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        except TimeoutError:
            raise HTTPException(503, f"no answer within {self.seconds:.0f} s") from None
        finally:
            self._waiting -= 1

    def check_token(self, request: Request) -> None:
        """Refuse who may not change anything.

        Raises:
            HTTPException: 403 where nobody may, 401 without the right token.
        """
        if self.token is None:
            raise HTTPException(403, "switched off: start the server with --token-file to allow it")
        said = request.headers.get("authorization", "").removeprefix("Bearer ").encode("utf-8", "replace")
        if not hmac.compare_digest(said, self.token.encode()):
            raise HTTPException(401, "the header Authorization: Bearer TOKEN is missing or wrong")
