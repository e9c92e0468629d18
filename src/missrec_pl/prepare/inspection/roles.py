"""Which column of a table means what, guessed by its name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_ID = r"(_?id|_?no|_?number|_?key|_?code|_?idx)?"
_NAMES = {  # the likelier first
    "user": (
        rf"(user|customer|visitor|reviewer|member|client|account|buyer|shopper|person){_ID}",
        r"username|uid|u|session_?id|user.*|customer.*",
    ),
    "item": (
        r"parent_asin",
        rf"(item|product|article|movie|film|book|business|video|artist|track|song|news|game|place|location|poi){_ID}",
        r"sku|asin|iid|i|isbn|ean|gtin|(item|product).*id",
    ),
    "time": (
        r"(unix)?_?(review)?_?(time|timestamp|date|datetime|moment)(_?stamp)?|ts|t_dat",
        r".*(_at|_time|_date|_ts|time|date|timestamp|when)|when",
    ),
    "rating": (r"rating|ratings|stars|overall|score|grade", r".*(rating|stars|score)"),
    "image": (
        r"image_?urls?|img_?urls?|picture_?urls?|imurl|imageurl(highres)?",
        r".*(image|img|picture|photo|cover).*",
    ),
}
_TEXTS = (
    r"title|name|.*_title|.*_name|headline",
    r"categor.*|genres?|class.*|tags?|type",
    r"brand|maker|store|author",
)
_FURTHER = r"desc.*|abstract|summary|about|.*description"


@dataclass(frozen=True)
class Roles:
    """Columns by what they mean; None or empty where no name says so."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None
    image: str | None = None
    text: tuple[str, ...] = ()

    def is_log(self) -> bool:
        """Whether these are the columns of interactions."""
        return self.user is not None and self.item is not None

    def is_metadata(self) -> bool:
        """Whether these are the columns of items."""
        return self.user is None and bool(self.text)


def guess(names: Sequence[str]) -> Roles:
    """The roles of a table's columns."""
    found: dict[str, str] = {}
    for role, patterns in _NAMES.items():
        left = [name for name in names if name not in found.values()]
        match = next((name for pattern in patterns for name in left if re.fullmatch(pattern, name.lower())), None)
        if match is not None:
            found[role] = match
    left = [name for name in names if name not in found.values()]
    texts = [name for pattern in (*_TEXTS, _FURTHER) for name in left if re.fullmatch(pattern, name.lower())]
    if "item" not in found and any(name.lower() == "id" for name in left):
        found["item"] = next(name for name in left if name.lower() == "id")
    return replace(Roles(), **found, text=tuple(dict.fromkeys(texts)))
