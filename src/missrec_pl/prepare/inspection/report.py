"""What was found about a source, on one page."""

from dataclasses import dataclass, field

_MOST = 14  # lines of a part; a page has some fifty


@dataclass
class Report:
    """Findings in four parts.

    Attributes:
        what: What the source is.
        how: How it would be read.
        odd: What looks like a mistake, or has to be decided.
        use: Commands that read it.
    """

    what: list[str] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    use: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The page."""
        parts = {"what it is": self.what, "how it would be read": self.how, "odd": self.odd, "to use it": self.use}
        lines = []
        for title, found in parts.items():
            known = list(dict.fromkeys(found)) or ["nothing that is known" if title != "odd" else "nothing"]
            more = [f"... and {len(known) - _MOST} more"] if len(known) > _MOST else []
            lines += [f"{title}:", *(f"  {line}" for line in [*known[:_MOST], *more])]
        return lines
