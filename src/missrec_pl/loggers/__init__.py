"""Lightning's loggers, able to go on where an interrupted run is continued."""

from missrec_pl.loggers.base import Continuable

__all__ = ["Continuable"]
