import lightning as L
import pytest
import torch
from tiny_fit import make_module

from missrec_pl.callbacks import InterestRefresh, TrainOnly
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.dropout import Dropout

ADAPTERS = ["item_adapters", "fusion", "id_embedding"]


class Modes(L.Callback):
    """Notes which parts are in training mode, at every training batch."""

    def __init__(self):
        self.training = []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.training.append({name for name, part in pl_module.model.named_modules() if part.training})


def fit(module, datamodule, make_trainer, parts):
    modes = Modes()
    trainer = make_trainer(InterestRefresh(), TrainOnly(parts), modes, max_epochs=2)
    trainer.fit(module, datamodule=datamodule)
    return modes.training


@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
@pytest.mark.parametrize("parts", [ADAPTERS, "adapters"], ids=["named", "as declared"])
def test_the_rest_stays_as_it_is_while_the_parts_learn(datamodule, make_trainer, transductive, parts):
    module = make_module(datamodule, item_ids=transductive)
    before = {name: parameter.detach().clone() for name, parameter in module.model.named_parameters()}
    training = fit(module, datamodule, make_trainer, parts)
    changed = {name for name, p in module.model.named_parameters() if not torch.equal(p, before[name])}
    expected = {name for name in before if name.startswith(tuple(f"{part}." for part in ADAPTERS))}
    assert changed == expected
    assert any(name.startswith("id_embedding") for name in changed) == transductive
    assert {name for name, p in module.model.named_parameters() if p.requires_grad} == expected
    assert all(p.requires_grad and p != 0 for p in module.scorers.parameters())  # they always train
    # Frozen parts draw no dropout, in the epoch after a validation neither.
    assert len(training) > 2
    for modes in training:
        assert "item_adapters" in modes
        assert not {name for name in modes if name.startswith(("encoder", "decoder", "input_"))}


def test_a_part_that_trains_keeps_its_dropout(datamodule, make_trainer):
    module = make_module(datamodule)
    for modes in fit(module, datamodule, make_trainer, ["encoder", "decoder.norm"]):
        inside = {name for name, _ in module.model.named_modules() if name.startswith("encoder.")}
        assert inside <= modes
        assert "decoder.norm" in modes
        assert not {name for name in modes if name.startswith(("decoder.blocks", "item_adapters", "input_"))}


def test_weights_that_train_keep_the_dropout_behind_them(datamodule, make_trainer):
    """All but the adapters train: no dropout is off. Where the input's weights are frozen, its dropout is."""
    module = make_module(datamodule)
    rest = ["encoder", "decoder", "input_norm", "position_embedding", "fusion"]
    dropouts = {name for name, part in module.model.named_modules() if isinstance(part, Dropout)}
    for modes in fit(module, datamodule, make_trainer, rest):
        assert "input_dropout" in dropouts <= modes
    block = "decoder.blocks.0"
    for modes in fit(make_module(datamodule), datamodule, make_trainer, [f"{block}.feed_forward_norm"]):
        assert dropouts & modes == {f"{block}.dropout"}
    for modes in fit(make_module(datamodule), datamodule, make_trainer, [f"{block}.self_attention.query"]):
        assert dropouts & modes == {f"{block}.self_attention.dropout"}


def test_none_trains_everything(datamodule, make_trainer):
    module = make_module(datamodule)
    before = {name: parameter.detach().clone() for name, parameter in module.model.named_parameters()}
    training = fit(module, datamodule, make_trainer, None)
    assert all(parameter.requires_grad for parameter in module.model.parameters())
    assert all(not torch.equal(p, before[name]) for name, p in module.model.named_parameters())
    assert all(name in modes for modes in training for name, _ in module.model.named_modules())


def test_optimisers_hold_no_frozen_weights(datamodule, make_trainer):
    module = make_module(datamodule)
    TrainOnly(["item_adapters"]).setup(make_trainer(), module, "fit")
    held = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert held == {id(p) for part in (module.model.item_adapters, module.scorers) for p in part.parameters()}


def test_evaluation_freezes_nothing(datamodule, make_trainer):
    module = make_module(datamodule)
    TrainOnly(["item_adapters"]).setup(make_trainer(), module, "test")
    assert all(parameter.requires_grad for parameter in module.model.parameters())


def test_what_was_frozen_by_design_is_not_thawed(synthetic_source, make_trainer):
    datamodule = DomainDataModule([synthetic_source()], modalities=["text"])
    datamodule.setup()
    module = make_module(datamodule)
    TrainOnly(["item_adapters", "fusion"]).setup(make_trainer(), module, "fit")
    assert not module.model.fusion.concentration.requires_grad
    with pytest.raises(ConfigError, match=r"finetune\.parts=\['fusion'\] leaves nothing to train"):
        TrainOnly(["fusion"]).setup(make_trainer(), make_module(datamodule, scorers=()), "fit")


def test_an_unknown_part_lists_the_known_ones(datamodule, make_trainer):
    with pytest.raises(
        ConfigError, match=r"\['adaptors'\], which this network does not have.*'encoder'.*'item_adapters'"
    ):
        TrainOnly(["adaptors", "fusion"]).setup(make_trainer(), make_module(datamodule), "fit")


@pytest.mark.parametrize("parts", [[], ["id_embedding"], ["fitted.interests"]])
def test_nothing_to_train_is_refused(datamodule, make_trainer, parts):
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        TrainOnly(parts).setup(make_trainer(), make_module(datamodule, scorers=()), "fit")
