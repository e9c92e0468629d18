"""Callbacks that interrupt a run at a given moment; configs name them like any other."""

import os
import signal

import lightning as L


class StopAt(L.Callback):
    """Sends this process a signal after a batch of an epoch, once per process group of the test.

    Args:
        epoch: the epoch.
        batch: the batch, from 0.
        number: the signal.
    """

    def __init__(self, epoch: int, batch: int, number: int = signal.SIGTERM) -> None:
        self.moment = (epoch, batch)
        self.number = number

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.moment and trainer.is_global_zero:
            os.kill(os.getpid(), self.number)


def stop_at(epoch: int, batch: int, number: int = signal.SIGTERM) -> str:
    """The override that puts the callback into a config."""
    values = f"epoch: {epoch}, batch: {batch}, number: {int(number)}"
    return f"+callbacks.stop_at={{_target_: interruptions.StopAt, {values}}}"
