import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from tiny_fit import make_module

from missrec_pl.callbacks import InterestRefresh, StepSeed, WeightAverage

DECAY = 0.7


class Weights(L.Callback):
    """Keeps the trained weights after every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.seen.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})


def fitted(datamodule, make_trainer, folder, epochs=3, resume=None):
    weights = Weights()
    last = ModelCheckpoint(folder, filename="last")
    callbacks = (StepSeed(0), InterestRefresh(), weights, WeightAverage(DECAY), last)
    trainer = make_trainer(*callbacks, max_epochs=epochs, enable_checkpointing=True)
    module = make_module(datamodule)
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    return trainer, module, weights.seen, torch.load(folder / "last.ckpt", weights_only=True)


def test_the_checkpoint_holds_the_moving_average_and_the_tables_of_now(datamodule, make_trainer, tmp_path):
    _, module, seen, checkpoint = fitted(datamodule, make_trainer, tmp_path)
    assert len(seen) > 3
    for name, average in seen[0].items():
        for step in seen[1:]:
            average = DECAY * average + (1 - DECAY) * step[name]
        torch.testing.assert_close(checkpoint["state_dict"][name], average)
    tables = {name: table for name, table in module.named_buffers() if "interests" in name}
    assert len(tables) > 1
    for name, table in tables.items():
        assert torch.equal(checkpoint["state_dict"][name], table)


def test_a_test_of_the_checkpoint_is_of_the_average(datamodule, make_trainer, tmp_path):
    trainer, module, _, checkpoint = fitted(datamodule, make_trainer, tmp_path)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    trainer.test(module, datamodule=datamodule, ckpt_path=tmp_path / "last.ckpt", weights_only=True, verbose=False)
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, checkpoint["state_dict"][name]), name


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_resumed_run_goes_on_from_the_weights_and_their_average(datamodule, make_trainer, tmp_path):
    _, _, _, whole = fitted(datamodule, make_trainer, tmp_path / "whole", epochs=4)
    fitted(datamodule, make_trainer, tmp_path / "half", epochs=2)
    _, _, _, resumed = fitted(
        datamodule, make_trainer, tmp_path / "resumed", epochs=4, resume=tmp_path / "half" / "last.ckpt"
    )
    for key in ("state_dict", "current_model_state"):
        for name, value in whole[key].items():
            torch.testing.assert_close(resumed[key][name], value, msg=f"{key} {name}")


def test_there_is_one_copy_of_tables_and_counts(datamodule, make_trainer, tmp_path):
    trainer, *_ = fitted(datamodule, make_trainer, tmp_path, epochs=1)
    (average,) = (one._average_model for one in trainer.callbacks if isinstance(one, WeightAverage))
    assert [name for name, _ in average.module.named_buffers()] == []
    assert len(list(average.module.parameters())) == len(list(trainer.lightning_module.parameters()))
