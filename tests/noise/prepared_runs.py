"""Training steps of a run without the trainer around them."""

from types import SimpleNamespace

import pytest
import torch
from watched_runs import small

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.experiment import building


def prepared(said, data_dir, folder):
    """Data module and module as a run has them when its first epoch starts."""
    cfg = small(*said, "model.dropout=0.0")
    cfg.paths.data_dir, cfg.paths.output_dir, cfg.paths.cache_dir = data_dir, str(folder), str(folder / "cache")
    torch.manual_seed(0)
    datamodule = building.build_datamodule(cfg)
    module = building.build_module(cfg, datamodule)
    trainer = SimpleNamespace(datamodule=datamodule, current_epoch=0, training=True)
    module.trainer = datamodule.trainer = trainer
    trainer.global_rank, trainer.world_size = 0, 1
    trainer.fit_loop = SimpleNamespace(
        epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)), restarting=False
    )
    module.log_losses = module.log_dict = lambda *_, **__: None
    refresh = InterestRefresh()
    refresh.setup(trainer, module, "fit")
    refresh.on_train_epoch_start(trainer, module)
    return datamodule, module


def epoch_of(datamodule, epoch=0):
    """The batches of an epoch, as training steps get them."""
    datamodule.trainer.fit_loop.epoch_progress.current.processed = epoch
    for batch in datamodule.train_dataloader():
        yield datamodule.on_after_batch_transfer(batch, 0)


def step_of(module, batch):
    """``[R]`` losses of a training step, and what its logits were asked of: states, rows, items."""
    asked, losses, scores = [], [], module.logits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "logits", lambda *arguments: asked.append(arguments) or scores(*arguments))
        patch.setattr(module, "log_losses", lambda _, found: losses.append(found["loss"]))
        module.training_step(batch, 0)
    return losses[0].detach(), asked[0][:3]


def logits_of(module, batch):
    """``[R, N]`` what a training step compares the targets by."""
    found, scores = [], module.logits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "logits", lambda *arguments: found.append(scores(*arguments)) or found[-1])
        module.training_step(batch, 0)
    (logits,) = found
    return logits.detach()
