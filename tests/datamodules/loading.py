"""A module that keeps its batches, a source in memory, and a data module that is ready."""

import lightning as L
import torch


class Recorder(L.LightningModule):
    """Learns nothing; keeps the batches that reach it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs, self.validated = [], []

    def on_train_epoch_start(self):
        self.epochs.append([])

    def training_step(self, batch, batch_idx):
        self.epochs[-1].append(batch)
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Memory:
    """A source of one domain that lives in memory."""

    name = "memory"

    def __init__(self, domain):
        self.domain = domain

    def prepare(self):
        pass

    def paths(self):
        return [self.domain]


def ready(datamodule):
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule
