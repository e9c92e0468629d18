"""Work that is shared by those who need the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo(dict[str, Any]):
    """What was made once, by name."""

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made the first time."""
        if name not in self:
            self[name] = make()
        made: T = self[name]
        return made
