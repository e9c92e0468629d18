"""SIGTERM and Ctrl-C as a wish to stop, to be granted where a run can be continued from."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any


class StopSignal:
    """Notes that SIGTERM has come, or SIGINT; a second SIGINT does what one did before.

    Lightning's own handler broadcasts from within the handler, wherever the program stands: two processes may
    then wait for each other in different exchanges.

    Attributes:
        received: the signal that has come since the handlers were installed, empty if none has.
    """

    def __init__(self) -> None:
        self.received = ""
        self._before: Any = None

    def install(self) -> None:
        """Take over both signals; Lightning puts the former handler of SIGTERM back when it is done."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGTERM, self._note)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)

    def restore(self) -> None:
        """Give SIGINT back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        if number == signal.SIGINT:
            self.restore()
            print("\nstopping where the run can be continued from; Ctrl-C again stops at once", file=sys.stderr)
