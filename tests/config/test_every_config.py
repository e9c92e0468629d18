"""Every file below configs/ composes, what it names can be called with what it says, and a run can store it."""

import importlib
import inspect
from functools import cache

import pytest
from omegaconf import DictConfig, OmegaConf
from runs import CONFIGS, SMALL, composed

from missrec_pl.config.stored import checked, with_paths
from missrec_pl.config.targets import parameters_of, walk
from missrec_pl.config.validation import SUPPLIED, validate_config

PROGRAMS = {"wandb_sweep"}  # read by other programs
FILES = sorted(
    {file.relative_to(CONFIGS).with_suffix("").as_posix() for file in CONFIGS.rglob("*.yaml")} - PROGRAMS
)
DESIGN = (
    "phase data model interest objective setting finetune features optim trainer callbacks logger experiment "
    "hparams_search debug paths hydra"
)
ROOTS = {"train", "eval"}
RUNS = [
    file for file in FILES if file not in ROOTS and not file.endswith("/base") and not file.startswith("hydra/")
]
HERE = {"data_dir": "/data", "cache_dir": "/cache", "output_dir": "/run"}

# What an option needs beside itself.
NEEDS = {
    "data/domain": ["data.name=anything"],
    "data/released": ["data.name=anything"],
    "objective/missrec_compat": ["model=missrec_compat"],
    "data/fhckm_mm_full": ["phase=pretrain", "callbacks=no_validation"],
    "data/paper_size": ["phase=pretrain", "callbacks=no_validation"],
    "logger/wandb": ["+logger.wandb.offline=true"],  # no key in the tests
    "logger/many": ["+logger.wandb.offline=true"],
    "trainer/gpu": ["trainer.accelerator=cpu"],  # no GPU in the tests
    "trainer/ddp": ["trainer.accelerator=cpu", "trainer.devices=2"],
    # Pre-trained runs name the checkpoint that an earlier command makes; here any file will do.
    "experiment/released/run": ["released.run=2", f"released.starts.pretrained='{CONFIGS / 'train.yaml'}'"],
}

# Where a YAML file states another value than the signature's default: a choice's own value, with its reason. By
# the flag, or by the class.
VARIANTS = {
    "objective.": "weights of a paper, or of the release",
    "trainer.": "how this project trains",
    "callbacks.early_stopping.": "this project's patience and monitor",
    "callbacks.model_checkpoint.": "what this project keeps of a run",
    "callbacks.progress.": "what the progress bar leaves on the screen",
    "logger.": "where this project logs",
    "optim.": "a rate for these models",
    "model.items_from": "ZESRec is SASRec of features",
    "model.hidden_size": "ZESRec is as wide as UniSRec",
    "model.reference": "a network as published",
    "model.compat": "the released network in reference mode",
    "model.collaborative": "a preset's further modality",
    "model.fusion_concentration": "a preset's static mean",
    "SASRec.": "other programs' blocks, and their published sizes",
    "model.positions_from": "the literal network counts from the start",
    "interest.method.top_delta": "eq. (4) as printed",
    "data.name": "what a data set is called",
    "data.domains": "one domain, or those of the phase",
    "data.by_phase": "which domains a phase takes",
    "data.source.": "which domains a phase takes",
    "data.batch_size": "large batches for in-batch candidates",
    "data.candidates": "pre-training contrasts within the batch",
    "data.num_negatives": "the loss says how many",
    "data.num_folds": "pre-training fits nothing by folds",
    "data.max_validation_users": "pre-training validates on a sample",
    "data.split": "a data set for pre-training alone",
    "phase.module.views": "pre-training makes two views",
    "interest.num_prototypes": "interest=none has one",
}


def overrides_of(file):
    group, _, option = file.partition("/")  # experiments may lie in folders: experiment=table3/tv
    return [f"{group}={option}", *NEEDS.get(file, [])]


@cache
def of_file(file):
    if file in ROOTS:
        return composed(*(["ckpt=some.ckpt"] if file == "eval" else []), config=file)
    if file.startswith("hydra/"):
        return composed()
    if file.startswith("launch/"):
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'missrec-pl[slurm]'")
    if file.startswith("hparams_search/"):
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install 'missrec-pl[sweep]'")
    return composed(*overrides_of(file))


def test_all_groups_of_the_design_have_options():
    groups = {file.partition("/")[0] for file in FILES if "/" in file}
    assert groups >= set(DESIGN.split())


@pytest.mark.parametrize("file", FILES)
def test_file_composes_and_passes_validation(file):
    cfg = of_file(file)
    assert cfg
    if file != "eval" and not file.endswith("/base"):  # what others build on is no choice by itself
        validate_config(cfg)


@pytest.mark.parametrize("file", RUNS)
def test_a_stored_config_is_read_as_omegaconf_reads_it(file):
    cfg = of_file(file).copy()
    stored = OmegaConf.to_container(cfg, resolve=False)
    cfg.paths = HERE
    known = checked(with_paths(stored, HERE), flag="ckpt=some.ckpt")
    expected = OmegaConf.to_container(cfg, resolve=True)
    assert known.pop("callbacks") == {"interest_refresh": expected.pop("callbacks")["interest_refresh"]}
    assert known == {name: expected[name] for name in known}
    assert {"optim", "logger", "trainer", "ckpt", "resume"} == expected.keys() - known.keys()
    assert OmegaConf.to_container(OmegaConf.create(known), resolve=True) == known


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
@pytest.mark.parametrize("model", ["missrec", "missrec_literal", "missrec_released"])
def test_every_model_goes_with_every_phase_and_brings_its_objective(phase, model):
    cfg = composed(f"phase={phase}", f"model={model}")
    validate_config(cfg)
    assert cfg.phase.name == phase
    assert cfg.objective == composed(f"objective={model}").objective


def targets():
    """Every distinct (path, target, given values); overlays for one purpose differ from the defaults by design."""
    seen = {}
    for file in FILES:
        if (
            file == "eval"
            or file.startswith(("experiment/", "debug/", "hparams_search/", "launch/"))
            or file.endswith("/base")
        ):
            continue
        for path, node in walk(of_file(file)):
            is_plain = isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation()
            if is_plain and node.get("_target_"):
                seen.setdefault(f"{path} {OmegaConf.to_yaml(node)}", (path, node))
    return list(seen.values())


def test_yaml_states_the_default_of_the_signature_or_a_known_variant():
    """A default that a YAML file repeats must not drift away from the one in Python."""
    drifted, used = [], set()
    for path, node in targets():
        module, _, name = node["_target_"].rpartition(".")
        for key, parameter in parameters_of(getattr(importlib.import_module(module), name)).items():
            if (
                key not in node
                or parameter.default is inspect.Parameter.empty
                or OmegaConf.is_interpolation(node, key)
            ):
                continue
            flag, value = f"{path}.{key}", node[key]
            if OmegaConf.is_config(value) and "_target_" in value:
                continue  # what it says is compared at its own place
            if value == parameter.default and type(value) is type(parameter.default):
                continue
            starts = (start for start in VARIANTS if flag.startswith(start) or f"{name}.{key}".startswith(start))
            reason = next(starts, None)
            used.add(reason)
            if reason is None:
                drifted.append(f"{flag}: {value!r} in YAML, {parameter.default!r} in {node['_target_']}")
    assert not drifted
    assert used <= set(VARIANTS)


def test_the_program_supplies_arguments_that_exist():
    for flag, names in SUPPLIED.items():
        node = OmegaConf.select(composed(*SMALL), flag)
        module, _, name = node["_target_"].rpartition(".")
        parameters = parameters_of(getattr(importlib.import_module(module), name))
        assert names <= set(parameters), flag
