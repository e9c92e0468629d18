"""Mistakes in a config are found before anything is built: all at once, each naming its flag."""

import copy
from functools import cache

import pytest
import yaml
from omegaconf import OmegaConf
from runs import composed, tiny

from missrec_pl.config.targets import target_mistakes
from missrec_pl.config.validation import validate_config
from missrec_pl.config.values import CHOICES, RANGES
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import building
from missrec_pl.experiment.train import train
from missrec_pl.nn.contract import DataShape

MISTAKES = {
    # of one value
    "setting.name=both": "setting.name=both: choose one of inductive, transductive",
    "data.split=random": "data.split=random: choose one of leave_one_out",
    "data.candidates=some": "data.candidates=some: choose one of all, in_batch, sampled",
    "data.domain_sampling=uniform": "data.domain_sampling=uniform: choose one of proportional",
    "features.placement=disk": "features.placement=disk: choose one of device, host, memmap",
    "features.dtype=int8": "features.dtype=int8: choose one of",
    "data.example=pairs": "data.example=pairs: choose one of prefix, shifted, cloze, null",
    "model.sequence_fusion=sum": "model.sequence_fusion=sum: choose one of add, contextual",
    "objective.orthogonality_form=l2": "objective.orthogonality_form=l2: choose one of cosine, literal",
    "objective.seq_seq_form=mine": "objective.seq_seq_form=mine: choose one of",
    "seed=-1": "seed=-1: must be a whole number from 0",
    "seed=abc": "seed=abc: must be a whole number from 0",
    "seed=1.5": "seed=1.5: must be a whole number",
    "data.batch_size=0": "data.batch_size=0: must be a whole number from 1",
    "data.batch_size=many": "data.batch_size=many: must be a whole number from 1",
    "data.eval_batch_size=0": "data.eval_batch_size=0",
    "data.max_history=0": "data.max_history=0",
    "data.num_negatives=0": "data.num_negatives=0: must be a whole number from 1",
    "data.num_workers=-1": "data.num_workers=-1",
    "data.max_validation_users=0": "data.max_validation_users=0: must be a whole number from 1 or null",
    "data.domain_temperature=0": "data.domain_temperature=0: must be a number above 0",
    "data.modalities=text": "data.modalities=text: must be a list or null",
    "data.modalities=[]": "data.modalities=[]: must be a list or null",
    "interest.num_prototypes=0": "interest.num_prototypes=0: must be a whole number from 1, or a share",
    "interest.num_prototypes=1.5": "interest.num_prototypes=1.5: must be",
    "interest.method.k=0": "interest.method.k=0: must be",
    "interest.method.backend=cuda": "interest.method.backend=cuda: choose one of auto, keops, tiled, dense",
    "interest.every_n_epochs=0": "interest.every_n_epochs=0",
    "model.dropout=1": "model.dropout=1: must be a number from 0 below 1",
    "model.dropout=high": "model.dropout=high: must be a number",
    "model.hidden_size=0": "model.hidden_size=0",
    "model.num_heads=0": "model.num_heads=0",
    "objective.eval_temperature=-1": "objective.eval_temperature=-1: must be a number above 0 or null",
    "objective.temperature=0": "objective.temperature=0: must be a number above 0",
    "objective.seq_seq_weight=-1": "objective.seq_seq_weight=-1",
    "optim.optimizer.lr=0": "optim.optimizer.lr=0",
    "metrics.ks=[]": "metrics.ks=[]: must be distinct whole numbers",
    "metrics.ks=[10,10]": "metrics.ks=[10, 10]: must be distinct",
    "metrics.ks=[0]": "metrics.ks=[0]",
    "trainer.max_epochs=abc": "trainer.max_epochs=abc: must be a whole number or null",
    "trainer.precision=bf16-true": "trainer.precision=bf16-true: choose one of 32-true, bf16-mixed",
    "matmul_precision=low": "matmul_precision=low: choose one of highest, high, medium",
    "compile=maybe": "compile=maybe: must be true or false",
    "optim.fused=yes please": "optim.fused=yes please: must be true, false or null",
    "data.prefetch_factor=0": "data.prefetch_factor=0: must be a whole number from 1",
    "optimized_metric=test/ndcg@10": "optimized_metric=test/ndcg@10: sweeps may not see the test split",
    # of names
    "+trainer.max_epoch=3": "trainer.max_epoch: Trainer has no such argument; did you mean 'max_epochs'?",
    "+model.depth=3": "model.depth: MISSRecReleased has no such argument",
    "model._target_=missrec_pl.nn.Nothing": "model._target_=missrec_pl.nn.Nothing: cannot be imported",
    "model._target_=missrec_pl.nn": "model._target_=missrec_pl.nn: is not callable but a module; name a class",
    "data.max_history=${data.longest}": "data.max_history: Interpolation key 'data.longest' not found",
    # of values together
    "metrics.ks=[5,20]": "optimized_metric=val/ndcg@10: is not measured with metrics.ks=[5, 20]; choose",
    "callbacks.model_checkpoint.monitor=val/auc": "callbacks.model_checkpoint.monitor=val/auc: is not measured",
    "model.num_heads=7": "model.hidden_size=300: must be a multiple of model.num_heads=7",
    "data.split=train_only": "data.split=train_only",
}


_base = cache(composed)


def changed(override):
    """The default config with one override (composing anew for each takes ten times longer)."""
    cfg = copy.deepcopy(_base())
    key, _, value = override.lstrip("+").partition("=")
    OmegaConf.update(cfg, key, yaml.safe_load(value), force_add=override.startswith("+"))
    return cfg


@pytest.mark.parametrize("override", MISTAKES)
def test_mistake_is_named(override):
    with pytest.raises(ConfigError) as refused:
        validate_config(changed(override))
    assert MISTAKES[override] in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.num_folds=1"], "data.num_folds=1: must be a whole number from 2"),
        (
            ["model=missrec", "model.positions_from=middle"],
            "model.positions_from=middle: choose one of end, start",
        ),
        (["model=sasrec", "model.items_from=names"], "model.items_from=names: choose one of ids, features"),
        (["phase=pretrain", "setting=transductive"], "setting=transductive: pre-training knows no item IDs"),
        (
            ["phase=pretrain", "data.candidates=all"],
            "data.candidates=all: pre-training contrasts within the batch",
        ),
        (
            ["phase=pretrain", "data.candidates=sampled"],
            "data.candidates=sampled: pre-training contrasts within the batch",
        ),
        (
            ["model.compat=true", "data.candidates=sampled"],
            "data.candidates=sampled: model.compat=true fine-tunes against the whole catalogue",
        ),
        (["phase=pretrain", "data.batch_size=1"], "data.batch_size=1: in-batch candidates need at least two rows"),
        (["ckpt=a.ckpt", "resume=b.ckpt"], "ckpt and resume are both given"),
        (["ckpt=/no/such.ckpt"], "ckpt=/no/such.ckpt: there is no such file"),
        (["resume=/no/such.ckpt"], "resume=/no/such.ckpt: there is no such file"),
        (["data=released"], "data.name is missing: give data.name="),
        (["data.split=train_only", "test=false"], "watch validation, but data.split=train_only validates nobody"),
        (["data.refit=true"], "data.refit=true validates nobody, so the run has to know when it ends"),
        (["data.split=train_only", "callbacks=no_validation"], "test=true: data.split=train_only leaves nobody"),
    ],
)
def test_values_that_do_not_go_together(overrides, message):
    with pytest.raises(ConfigError) as refused:
        validate_config(composed(*overrides))
    assert message in str(refused.value)


def test_the_last_checkpoint_lies_where_resume_looks_for_it(tmp_path):
    with pytest.raises(ConfigError, match=r"callbacks.last_checkpoint.dirpath=/else/where: resume=last looks in"):
        validate_config(tiny(tmp_path, "callbacks.last_checkpoint.dirpath=/else/where"))
    validate_config(tiny(tmp_path, "callbacks.model_checkpoint.dirpath=/else/where"))


def test_an_optimiser_that_cannot_be_fused_is_named():
    cfg = composed("optim.fused=true")
    validate_config(cfg)
    cfg.optim.optimizer = {"_target_": "torch.optim.RMSprop", "_partial_": True}
    with pytest.raises(
        ConfigError, match=r"optim.fused=true: torch.optim.RMSprop has no fused form; use optim.fused"
    ):
        validate_config(cfg)


@pytest.mark.parametrize(("trainer", "precision"), [("gpu", "high"), ("ddp", "high"), ("cpu", "highest")])
def test_gpus_compute_products_in_tf32_and_say_so(trainer, precision):
    cfg = composed(f"trainer={trainer}")
    assert cfg.matmul_precision == precision
    assert cfg.trainer.log_every_n_steps == 10  # what all trainers share is there
    assert composed(f"trainer={trainer}", "matmul_precision=medium").matmul_precision == "medium"
    assert composed(f"trainer={trainer}", "ckpt=a", config="eval").trainer.max_epochs == 1


def test_all_mistakes_at_once_each_once_and_nothing_is_written(tmp_path):
    flags = {"data.batch_size": 0, "model.dropout": 2, "seed": "abc", "optim.optimizer.lr": -1}
    overrides = [*(f"{flag}={value}" for flag, value in flags.items()), "ckpt=/no.ckpt", "+trainer.nope=1"]
    with pytest.raises(ConfigError) as refused:
        train(tiny(tmp_path, *overrides))
    lines = str(refused.value).splitlines()
    for start in (*(f"{flag}={value}: " for flag, value in flags.items()), "ckpt=/no.ckpt: ", "trainer.nope: "):
        assert sum(line.startswith(start) for line in lines) == 1, start
    assert len(lines) == len(flags) + 2
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"trainer.accelerator=gpu: no GPU is visible here; use trainer=cpu"):
        validate_config(composed("trainer=gpu"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["trainer=gpu", "trainer.devices=3"],
            "trainer.devices=3: GPUs that are here: 2; say trainer.devices=auto",
        ),
        (["trainer=ddp", "trainer.devices=[0,2]"], "trainer.devices=[0, 2]: GPUs that are here: 2"),
        (["trainer=gpu", "trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed: Tesla has no bfloat16"),
        (
            ["trainer=gpu", "trainer.precision=16-mixed", "trainer.gradient_clip_val=1", "optim.fused=true"],
            "optim.fused=true: a fused kernel unscales",
        ),
        (["trainer=ddp", "trainer.devices=2"], ""),
        (["trainer=ddp", "trainer.devices=[0,1]"], ""),
        (["trainer=gpu", "trainer.precision=16-mixed", "trainer.gradient_clip_val=1"], ""),
    ],
)
def test_what_a_gpu_does_not_have_is_refused(flags, message, monkeypatch):
    for name, answer in {"is_available": True, "device_count": 2, "get_device_name": "Tesla"}.items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda *_, answer=answer: answer)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    cfg = composed(*flags)
    if not message:
        validate_config(cfg)
        return
    with pytest.raises(ConfigError) as refused:
        validate_config(cfg)
    assert str(refused.value).startswith(message)


def test_flags_of_the_tables_exist():
    """A renamed key would silently lose its check."""
    models = ("missrec", "missrec_released", "sasrec", "unisrec", "vqrec", "gru4rec", "s3rec")
    known = [composed(f"model={model}", "phase=pretrain") for model in models]
    known += [composed("objective=gbce"), composed("objective=vqrec"), composed("callbacks=annealed")]
    for flag in (*CHOICES, *RANGES):
        assert any(_has(cfg, flag.split(".")) for cfg in known), flag


def _has(node, keys):
    return not keys or (OmegaConf.is_dict(node) and keys[0] in node and _has(node.get(keys[0]), keys[1:]))


def test_what_is_fitted_to_one_catalogue_is_not_pretrained():
    cfg = composed("phase=pretrain", "model.collaborative=8", "data.num_folds=4")
    with pytest.raises(ConfigError, match=r"say data\.num_folds=0"):
        building.build_network(cfg, DataShape(9, {"text": 3}, num_folds=4))
    building.build_network(cfg, DataShape(9, {"text": 3}))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("missrec_pl", "model._target_=missrec_pl: is not callable but a module"),
        (
            "missrec_pl.nn.blocks.transformer.INITIALIZER_RANGE",
            "INITIALIZER_RANGE: is not callable but a float",
        ),
        ("missrec_pl.nn.MISSRec.load", "model._target_=missrec_pl.nn.MISSRec.load: cannot be imported ("),
        ("missrec_pl.none.MISSRec", "cannot be imported (No module named 'missrec_pl.none')"),
        ("missrec_pl..nn", "model._target_=missrec_pl..nn: cannot be imported ("),
        ("missrec_pl.system.processes.Share.mine", None),
        ("builtins.dict", None),
        ("logging.handlers.QueueHandler.prepare", "model.record is missing: prepare needs it"),
    ],
)
def test_targets_are_what_hydra_would_call(target, said):
    found = target_mistakes(OmegaConf.create({"model": {"_target_": target}}), {"model": {"self"}})
    assert (said is None and not found) or (len(found) == 1 and said in found[0] and "\n" not in found[0])


def test_signatures_are_bound_without_calling():
    node = {"optimizer": {"_target_": "torch.optim.SGD", "momentum": "fast", "nesterof": True}}
    cfg = composed()
    cfg.optim.optimizer = node["optimizer"]
    found = target_mistakes(cfg.optim, {})
    assert any("optimizer.nesterof: SGD has no such argument; did you mean 'nesterov'?" in line for line in found)
    assert any("optimizer.params is missing: SGD needs it" in line for line in found)
    assert any("optimizer.momentum=fast: must be a number" in line for line in found)
