"""The application: its paths, and what it says to those who ask wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from missrec_pl import __version__
from missrec_pl.errors import MissrecError, printable
from missrec_pl.serving.answers import Ranked
from missrec_pl.serving.http.desk import AsciiJSON, Desk
from missrec_pl.serving.http.limits import SECONDS, App, BodyLimits
from missrec_pl.serving.http.live import Live
from missrec_pl.serving.http.page import add_page, pictures_in
from missrec_pl.serving.http.requests import ItemsRequest, RecommendRequest, SimilarRequest, SwapRequest
from missrec_pl.serving.recommender import ServedRecommender


def make_app(
    live: Live,
    *,
    token: str | None = None,
    workers: int = 2,
    seconds: float = SECONDS,
    pictures: Path | None = None,
) -> App:
    """The application.

    Args:
        live: the recommender in use.
        token: allows ``/items`` and ``/swap`` to who says it; None switches both off.
        workers: requests that are computed at a time.
        seconds: for a request to arrive, and again for its answer.
        pictures: folder of pictures whose names are item ids, for the page.
    """
    known, desk = pictures_in(pictures), Desk(live, token, workers, seconds)
    app = FastAPI(
        title="missrec_pl serving",
        version=__version__,
        default_response_class=AsciiJSON,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_questions(app, desk)
    _add_changes(app, desk)
    _add_states(app, desk, has_pictures=bool(known))
    add_page(app, desk, known)
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


def _add_states(app: FastAPI, desk: Desk, *, has_pictures: bool) -> None:
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
                "reads_times": desk.live.served.scoring.needs_times,
                "pictures": has_pictures,
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
    # No parts where none were asked for, or where there is no score.
    parts = ranked.parts or [{}] * len(ranked.items)
    return [
        {"item": item, "score": score, "title": served.title(item)} | ({"parts": part} if part else {})
        for item, score, part in zip(ranked.items, ranked.scores, parts, strict=True)
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
