"""An item's text from its metadata: title, categories and brand (the paper's 4.2.1)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

_TAG = re.compile(r"</?\w+[^>]*>")
_SPACE = re.compile(r"[\s\"]+")


def item_text(fields: str | None) -> str:
    """One text: fields in order, each a sentence, the parts of a list separated by spaces.

    Tags and character references of HTML, quotation marks and line ends go, as in UniSRec's preparation.

    Args:
        fields: JSON list of texts and (nested) lists of texts; None if nothing is known.

    Returns:
        ``"Title. Category Sub-category. Brand."``, or "" if no field says anything.
    """
    if fields is None:
        return ""
    sentences = (" ".join(dict.fromkeys(_parts(field))) for field in json.loads(fields))
    return " ".join(sentence.rstrip(". ") + "." for sentence in sentences if sentence.strip(". "))


def _parts(field: Any) -> Iterator[str]:
    """The texts of a field, however deep; a text that itself is JSON (a list in a CSV cell) counts as such."""
    if isinstance(field, list):
        for part in field:
            yield from _parts(part)
    elif isinstance(field, str):
        cleaned = _SPACE.sub(" ", _TAG.sub(" ", html.unescape(field))).strip()
        if cleaned:
            yield cleaned
    elif isinstance(field, int | float) and not isinstance(field, bool):
        yield str(field)
