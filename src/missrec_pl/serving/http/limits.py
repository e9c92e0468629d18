"""What a request may be, and what becomes of one that is larger: read off, then told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from missrec_pl.system.documents import MAX_DEPTH, check_depth

MAX_BODY = 1 << 20
"""Bytes of a request's body."""
MAX_BATCH = 256
"""Histories of a request."""
MAX_K = 1000
"""Recommendations of a history."""
MAX_HISTORY = 10_000
"""Items of a history."""
MAX_FILTER = 100_000
"""Ids that are allowed or blocked."""
MAX_NEW = 1000
"""Items that a request adds or removes."""
MAX_ID = 256
"""Letters of an id."""
MAX_TEXT = 10_000
"""Letters of a title or a text."""
SECONDS = 30.0
"""For a request to arrive, and again for its answer."""
_READ_OFF = 64 << 20  # bytes that are read of a body that is too large, so that its sender sees the status

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyLimits:
    """Reads bodies before anything parses them: 413, 408, or 400 where they are too large, slow or deep.

    Args:
        app: what answers the others.
        max_body: see :data:`MAX_BODY`.
        seconds: see :data:`SECONDS`.
    """

    def __init__(self, app: App, max_body: int = MAX_BODY, seconds: float = SECONDS) -> None:
        self.app, self.max_body, self.seconds = app, max_body, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.seconds):
                body, size = await self._read(receive)
        except TimeoutError:
            await _refuse(send, 408, f"the request did not arrive within {self.seconds:.0f} s")
            return
        if body is None:  # the client left
            return
        if size > self.max_body:
            await _refuse(send, 413, f"{size:,} bytes or more; at most {self.max_body:,} are read")
            return
        if reason := _too_deep(body):
            await _refuse(send, 400, reason)
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> tuple[bytes | None, int]:
        """The body and its size; of one that is too large the rest is read and thrown away."""
        body, size = bytearray(), 0
        while size <= _READ_OFF:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, size
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= self.max_body:
                body += chunk
            if not message.get("more_body", False):
                break
        return bytes(body), size


def error_body(field: str, reason: str) -> bytes:
    """What every refusal says: which field, and why."""
    return json.dumps({"errors": [{"field": field, "reason": reason}]}).encode()


def _too_deep(body: bytes) -> str | None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return None
    try:
        check_depth(body.decode("utf-8", "replace"))
    except ValueError as error:
        return str(error)
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What receives a body that has been read already, and whatever follows it."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(send: Send, status: int, reason: str) -> None:
    content = error_body("body", reason)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
