"""The application: its paths, and what it says to those who ask wrongly."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from missrec_pl import __version__
from missrec_pl.errors import MissrecError, printable
from missrec_pl.serving.answers import Ranked
from missrec_pl.serving.http.limits import SECONDS, App, BodyLimits
from missrec_pl.serving.http.live import Live
from missrec_pl.serving.http.metrics import ServerMetrics
from missrec_pl.serving.http.requests import ItemsRequest, RecommendRequest, SimilarRequest, SwapRequest
from missrec_pl.serving.recommender import ServedRecommender

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_PATHS = ("/recommend", "/similar", "/items", "/swap", "/health", "/ready", "/metrics")
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


def make_app(live: Live, *, token: str | None = None, workers: int = 2, seconds: float = SECONDS) -> App:
    """The application.

    Args:
        live: the recommender in use.
        token: allows ``/items`` and ``/swap`` to who says it; None switches both off.
        workers: requests that are computed at a time.
        seconds: for a request to arrive, and again for its answer.
    """
    desk = Desk(live, token, workers, seconds)
    app = FastAPI(
        title="missrec_pl serving",
        version=__version__,
        default_response_class=AsciiJSON,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_questions(app, desk)
    _add_changes(app, desk)
    _add_states(app, desk)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(MissrecError, _mistaken)
    return desk.metrics.measured(BodyLimits(app, seconds=seconds))


def _add_questions(app: FastAPI, desk: Desk) -> None:
    @app.post("/recommend")
    async def recommend(asked: RecommendRequest) -> Any:
        """The best items for one history or many."""
        served, request = desk.live.served, asked.request
        answer = await desk.run(lambda: served.answer(request))
        desk.metrics.histories.inc(len(request.histories))
        desk.metrics.unknown.inc(sum(len(ids) for ids in answer.unknown))
        found = [
            {"items": _shown(one, served), "unknown": list(ids)}
            for one, ids in zip(answer.ranked, answer.unknown, strict=True)
        ]
        return AsciiJSON({"bundle": served.about.fingerprint, "recommendations": found})

    @app.post("/similar")
    async def similar(asked: SimilarRequest) -> Any:
        """The items most like one."""
        served = desk.live.served
        ranked = await desk.run(lambda: served.nearest(asked.item, asked.k))
        return AsciiJSON({"bundle": served.about.fingerprint, "items": _shown(ranked, served)})


def _add_changes(app: FastAPI, desk: Desk) -> None:
    may_change = [Depends(desk.check_token)]  # asked before the body is looked at

    @app.post("/items", dependencies=may_change)
    async def items(asked: ItemsRequest) -> Any:
        """Add items that came after training, and remove items; for who has the token."""
        served = desk.live.served
        await desk.run(lambda: _change(served, asked))
        return AsciiJSON({"added": len(asked.add), "removed": len(asked.remove), "items": served.num_items})

    @app.post("/swap", dependencies=may_change)
    async def swap(asked: SwapRequest) -> Any:
        """Read the bundle again, compare, and use it; for who has the token."""
        try:
            found = await desk.run(lambda: desk.live.swap(**asked.model_dump()))
        except MissrecError as error:
            raise HTTPException(409, f"the bundle in use stays: {printable(str(error))}") from error
        desk.metrics.swaps.inc(found.is_swapped)
        answers = [{"old": old, "new": new} for old, new in found.answers]
        said = {"swapped": found.is_swapped, "old": found.old, "new": found.new, "overlap": found.overlap}
        return AsciiJSON({**said, "answers": answers})


def _add_states(app: FastAPI, desk: Desk) -> None:
    @app.get("/health")
    async def health() -> Any:
        """Whether the process answers."""
        return AsciiJSON({"status": "ok"})

    @app.get("/ready")
    async def ready() -> Any:
        """Whether recommendations can be had, and of which bundle."""
        about = desk.live.served.about
        return AsciiJSON(
            {
                "status": "ready",
                "bundle": about.fingerprint,
                "network": about.network["name"],
                "items": desk.live.served.num_items,
            }
        )

    @app.get("/metrics")
    async def metrics() -> Any:
        """Counters for Prometheus."""
        return Response(desk.metrics.text(desk.live.served), media_type="text/plain; version=0.0.4")


def _change(served: ServedRecommender, asked: ItemsRequest) -> None:
    if asked.add:
        modalities = {name for one in asked.add for name in one.features}
        texts = [one.text for one in asked.add]
        served.add_items(
            [one.id for one in asked.add],
            texts=texts if any(texts) else None,
            features={name: [one.features.get(name) for one in asked.add] for name in modalities},
            titles=[one.title or one.text or "" for one in asked.add],
        )
    served.remove_items(asked.remove)


def _shown(ranked: Ranked, served: ServedRecommender) -> list[dict[str, Any]]:
    return [
        {"item": item, "score": score, "title": served.title(item)}
        for item, score in zip(ranked.items, ranked.scores, strict=True)
    ]


def _errors(status: int, errors: list[dict[str, str]], headers: Mapping[str, str] | None = None) -> Response:
    return AsciiJSON({"errors": errors}, status, headers)


async def _misread(request: Request, error: Exception) -> Response:
    """What pydantic says, without what was sent: it may be large, or no text at all."""
    assert isinstance(error, RequestValidationError)
    told: dict[str, str] = {}
    for one in error.errors()[:20]:
        place = [str(part)[:80] for part in one["loc"] if part != "body" and not _is_kind(part)]
        told.setdefault(".".join(place) or "body", printable(str(one["msg"]), 200))
    return _errors(422, [{"field": field, "reason": reason} for field, reason in told.items()])


def _is_kind(part: str | int) -> bool:
    """Whether a part of a place is pydantic's name for one kind that a value may have."""
    return isinstance(part, str) and part.startswith(("constrained-", "list["))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _errors(
        error.status_code, [{"field": request.url.path[:80], "reason": str(error.detail)}], error.headers
    )


async def _mistaken(request: Request, error: Exception) -> Response:
    field, _, reason = printable(str(error)).partition(": ")
    if not reason or " " in field:
        field, reason = "body", printable(str(error))
    return _errors(422, [{"field": field, "reason": reason}])
