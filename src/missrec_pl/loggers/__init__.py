"""Lightning's loggers, able to go on where an interrupted run is continued."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Continuable(Protocol):
    """A logger that can go on in a folder that has a part of the run."""

    def continue_from(self, step: int) -> None:
        """Drop what was logged at ``step`` or later: it will be logged again. Called before anything is logged."""
        ...
