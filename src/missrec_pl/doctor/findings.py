"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it.

    Attributes:
        level: ``ok``, ``warning`` (something will be slower, or missing where it is asked for) or ``problem``.
        subject: what was looked at.
        text: what was found.
        remedy: what to do; empty where all is well.
    """

    level: str
    subject: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.subject:<12} {self.text}"
        return f"{line}\n{'':<22}-> {self.remedy}" if self.remedy else line
