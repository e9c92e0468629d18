"""The page at ``/`` for people who want to look, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import FileResponse, HTMLResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from missrec_pl.errors import ConfigError
from missrec_pl.serving.http.desk import AsciiJSON, Desk
from missrec_pl.serving.http.limits import MAX_ID
from missrec_pl.serving.http.requests import History
from missrec_pl.serving.recommender import ServedRecommender

_KINDS = (".jpg", ".jpeg", ".png", ".webp")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self'; connect-src 'self'"
)


def pictures_in(folder: Path | None) -> dict[str, Path]:
    """The pictures of a folder by item id, which is a file's name without its ending.

    What a request names is looked up here and never made a path.

    Raises:
        ConfigError: there is no such folder.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError(f"--pictures {folder}: there is no such folder.")
    return {
        file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in _KINDS and file.is_file()
    }


class TitlesRequest(BaseModel):
    """Items whose titles are asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ids: History


def add_page(app: FastAPI, desk: Desk, pictures: Mapping[str, Path]) -> None:
    """Add the page, and its searches and pictures."""
    page = files("missrec_pl.serving.http").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def look() -> HTMLResponse:
        """The page."""
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    @app.get("/search")
    async def search(
        text: Annotated[str, Query(max_length=MAX_ID)] = "", k: Annotated[int, Query(ge=1, le=100)] = 10
    ) -> Any:
        """Items by an id or by words of their titles, most frequent first."""
        served = desk.live.served
        found = await desk.run(lambda: served.search(text, k))
        return AsciiJSON({"items": [_named(item, served) for item in found]})

    @app.post("/titles")
    async def titles(asked: TitlesRequest) -> Any:
        """The titles of the ids that are known."""
        served = desk.live.served
        return AsciiJSON({"items": [_named(str(one), served) for one in asked.ids if served.knows(one)]})

    @app.get("/picture", include_in_schema=False)
    async def picture(item: Annotated[str, Query(max_length=MAX_ID)]) -> FileResponse:
        """The picture of an item."""
        if item not in pictures:
            raise HTTPException(404, "no picture of this item")
        return FileResponse(pictures[item], headers={"Cache-Control": "max-age=3600"})


def _named(item: str, served: ServedRecommender) -> dict[str, str]:
    return {"item": item, "title": served.title(item)}
