"""SIGTERM as a wish to stop, to be granted where a run can be continued from."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignal:
    """Notes that SIGTERM has come.

    Lightning's own handler broadcasts from within the handler, wherever the program stands: two processes may
    then wait for each other in different exchanges.

    Attributes:
        received: whether SIGTERM has come since the handler was installed.
    """

    def __init__(self) -> None:
        self.received = False

    def install(self) -> None:
        """Take over SIGTERM; Lightning puts the former handler back when it is done."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
