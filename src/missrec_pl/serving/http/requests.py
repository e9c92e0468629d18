"""What requests say, checked before anything is computed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from missrec_pl.serving.http.limits import MAX_BATCH, MAX_FILTER, MAX_HISTORY, MAX_ID, MAX_K, MAX_NEW, MAX_TEXT
from missrec_pl.serving.request import Request

_SECONDS = Annotated[int, Field(ge=-(2**62), le=2**62)]
_COUNTS = Annotated[int, Field(ge=1, le=MAX_K)]
ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID)] | Annotated[int, Field(ge=-(2**63), lt=2**63)]
History = Annotated[list[ItemId], Field(max_length=MAX_HISTORY)]
Clock = Annotated[list[_SECONDS], Field(max_length=MAX_HISTORY)]
Ids = Annotated[list[ItemId], Field(max_length=MAX_FILTER)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RecommendRequest(_Request):
    """One history or many, newest item last, and what may be recommended."""

    history: History | None = None
    histories: Annotated[list[History], Field(max_length=MAX_BATCH)] | None = None
    k: _COUNTS = 10
    exclude_seen: bool = True
    allowed: Ids | None = None
    blocked: Ids | None = None
    times: Annotated[list[Clock], Field(max_length=MAX_BATCH)] | None = None
    at: _SECONDS | Annotated[list[_SECONDS], Field(max_length=MAX_BATCH)] | None = None
    unknown: Literal["skip", "refuse"] = "skip"
    with_parts: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> RecommendRequest:
        if (self.history is None) == (self.histories is None):
            raise ValueError("give history, or histories")
        return self

    @property
    def request(self) -> Request:
        """What it asks for."""
        histories = self.histories if self.history is None else [self.history]
        return Request(histories or [], **self.model_dump(exclude={"history", "histories"}))


class SimilarRequest(_Request):
    """An item, and how many like it."""

    item: ItemId
    k: _COUNTS = 10


class NewItem(_Request):
    """An item that came after training."""

    id: ItemId
    title: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    text: Annotated[str, Field(max_length=MAX_TEXT)] | None = None
    features: dict[
        Annotated[str, Field(max_length=MAX_ID)], list[Annotated[float, Field(allow_inf_nan=False)]]
    ] = Field(default_factory=dict)


class ItemsRequest(_Request):
    """Items to add and to remove."""

    add: Annotated[list[NewItem], Field(max_length=MAX_NEW)] = Field(default_factory=list)
    remove: Annotated[list[ItemId], Field(max_length=MAX_NEW)] = Field(default_factory=list)


class SwapRequest(_Request):
    """Read the bundle again; compare before it is taken."""

    histories: Annotated[list[History], Field(max_length=MAX_BATCH)] = Field(default_factory=list)
    k: _COUNTS = 10
    min_overlap: Annotated[float, Field(ge=0, le=1)] = 0.0
    dry_run: bool = False
