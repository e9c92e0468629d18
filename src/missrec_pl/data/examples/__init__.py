"""What a training row is: a prefix and the next item, a stretch and all next items, or one with items hidden."""

from __future__ import annotations

from typing import Literal, get_args

Example = Literal["prefix", "shifted", "cloze"]
EXAMPLES: tuple[str, ...] = get_args(Example)
