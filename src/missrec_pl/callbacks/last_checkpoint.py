"""The checkpoint that a run is continued from, and the signals after which it is written."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from missrec_pl.checkpoints.files import LAST, keep_previous
from missrec_pl.errors import StoppedError
from missrec_pl.system.processes import any_process, world_size
from missrec_pl.system.shapes import are_fixed

log = logging.getLogger(__name__)

_EXCHANGED_EVERY = 16  # steps


class StopSignal:
    """Notes that SIGTERM has come, or SIGINT; a second SIGINT does what one did before.

    Lightning's own handler broadcasts from within the handler, wherever the program stands: two processes may
    then wait for each other in different exchanges.

    Args:
        limit_s: seconds in which the program has to end after a signal; then it is ended, whatever it is doing,
            such as compiling. None: it takes its time.
        last_words: what is to be said then.

    Attributes:
        received: the signal that has come since the handlers were installed, empty if none has.
    """

    def __init__(self, limit_s: float | None = None, last_words: Callable[[], str] = str) -> None:
        self.received = ""
        self.limit_s = limit_s
        self.last_words = last_words
        self.processes: list[Any] = []
        self._before: Any = None
        self._timer: threading.Timer | None = None

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

    def finish(self) -> None:
        """The program has ended what it did: give SIGINT back, and leave the rest to it."""
        self.restore()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        if self.limit_s is not None and self._timer is None:
            self._timer = threading.Timer(self.limit_s, self._end)
            self._timer.daemon = True
            self._timer.start()
        if number == signal.SIGINT:
            self.restore()
            print("\nstopping where the run can be continued from; Ctrl-C again stops at once", file=sys.stderr)

    def _end(self) -> None:
        print(f"error: {self.last_words()}", file=sys.stderr, flush=True)
        for process in (*self.processes, *multiprocessing.active_children()):
            process.kill()
        os._exit(StoppedError.exit_code)  # whatever the main thread is in, no exception may ever reach it


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt``: after every epoch, every so often within one, and when the process is told to stop.

    Within an epoch it is written after a step that no validation follows, so that Lightning resumes with the next
    step. The one before stays as ``previous.ckpt``. After SIGTERM or Ctrl-C the run ends with
    :class:`StoppedError`: after the step in progress, or after the epoch if its last step is done. What lasts
    longer, such as a compilation, is cut off; the checkpoint is then an earlier one.

    Args:
        dirpath: folder of the checkpoints.
        every_minutes: longest time without a checkpoint; None for none within epochs.
        every_n_steps: also after every n-th step of an epoch; None for time alone.
        stop_seconds: how long a run may take to end after a signal; None for as long as it takes.
    """

    def __init__(
        self,
        dirpath: str,
        every_minutes: float | None = 10.0,
        every_n_steps: int | None = None,
        stop_seconds: float | None = 25.0,
    ) -> None:
        self.path = Path(dirpath) / LAST
        self.every_minutes = every_minutes
        self.every_n_steps = every_n_steps
        self.stop_seconds = stop_seconds
        self._signal = StopSignal(stop_seconds, self._last_words)
        self._saved_at = time.monotonic()
        self._patience: list[int] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Note the patience of this command, which Lightning replaces by the checkpoint's."""
        self._patience = [callback.patience for callback in _early_stopping(trainer)]

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the signals."""
        self._take_signals(trainer)

    on_test_start = on_sanity_check_start

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over the signals; a run whose patience had run out does not train one more epoch."""
        self._take_signals(trainer)
        self._saved_at = time.monotonic()
        for callback, patience in zip(_early_stopping(trainer), self._patience, strict=True):
            callback.patience = patience
            if 0 < callback.wait_count >= patience:
                log.info("resume: the run had stopped early after epoch %d", trainer.current_epoch - 1)
                trainer.should_stop = True

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give Ctrl-C back."""
        self._signal.finish()

    on_test_end = on_fit_end

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._signal.finish()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due and possible.

        Raises:
            StoppedError: a signal has come.
        """
        done, waited = batch_idx + 1, time.monotonic() - self._saved_at
        if not self._asks(pl_module.device, done):
            return
        is_due = self.every_minutes is not None and waited >= 60 * self.every_minutes
        is_due |= self.every_n_steps is not None and done % self.every_n_steps == 0
        stop, due = any_process(bool(self._signal.received), is_due)
        if (stop or due) and _is_between_steps(trainer, done):
            self._save(trainer)
            if stop:
                raise self._stopped(f"epoch {trainer.current_epoch}, batch {done}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the epoch; the last callback to see it end, so that all others' state is complete.

        Raises:
            StoppedError: a signal has come.
        """
        self._save(trainer)
        if any_process(bool(self._signal.received))[0]:
            raise self._stopped(f"the end of epoch {trainer.current_epoch}")

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """End a test that a signal interrupts.

        Raises:
            StoppedError: a signal has come.
        """
        if self._signal.received:  # each process by itself: shards have different numbers of batches
            raise StoppedError(f"stopped by {self._signal.received} while testing; {self.path} is complete.")

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.is_global_zero:
            keep_previous(self.path.parent)
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_at = time.monotonic()

    def _asks(self, device: torch.device, done: int) -> bool:
        """Whether the processes exchange their wishes now: on accelerators, which wait, not at every step."""
        if world_size() == 1 or not are_fixed(device) or done % _EXCHANGED_EVERY == 0:
            return True
        return self.every_n_steps is not None and done % self.every_n_steps == 0

    def _take_signals(self, trainer: L.Trainer) -> None:
        self._signal.processes = list(getattr(trainer.strategy.launcher, "procs", []))
        self._signal.install()

    def _last_words(self) -> str:
        kept = f"go on from {self.path}" if self.path.is_file() else "nothing was saved yet"
        limit = f"{self.stop_seconds:g} s"
        return f"stopped by {self._signal.received}: what was going on did not end within {limit}; {kept}."

    def _stopped(self, where: str) -> StoppedError:
        name = self._signal.received or "a signal to another process"
        return StoppedError(f"stopped by {name}; saved {self.path} at {where}.")


def _early_stopping(trainer: L.Trainer) -> list[EarlyStopping]:
    return [callback for callback in trainer.early_stopping_callbacks if isinstance(callback, EarlyStopping)]


def _is_between_steps(trainer: L.Trainer, done: int) -> bool:
    """Whether only the next step follows the ``done`` batches of this epoch: no validation, no half step."""
    check: Any = trainer.val_check_batch
    is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    validates = bool(check) and check != float("inf") and done % check == 0
    return not is_last and not validates and done % trainer.accumulate_grad_batches == 0
