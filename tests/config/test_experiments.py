"""The overlays of configs/experiment say what their tables say, and a run knows which one it was started with."""

import re
import shlex

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from runs import CONFIGS, ROOT, composed

from missrec_pl.config.validation import validate_config
from missrec_pl.experiment.cli import user_mistakes
from missrec_pl.experiment.results import command
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.missrec.base import SequenceModel

TEXT, IMAGE, BOTH = ["text"], ["image"], ["text", "image"]
EXPERIMENTS = sorted(
    file.relative_to(CONFIGS / "experiment").with_suffix("").as_posix()
    for file in (CONFIGS / "experiment").rglob("*.yaml")
)
COMMAND = re.compile(r"^(?:# )?python train\.py ((?:.*\\\n)*.*)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "modalities", "setting"),
    [
        ("table3/t", TEXT, "inductive"),
        ("table3/v", IMAGE, "inductive"),
        ("table3/tv", BOTH, "inductive"),
        ("table3/id_t", TEXT, "transductive"),
        ("table3/id_v", IMAGE, "transductive"),
        ("table3/id_tv", BOTH, "transductive"),
        ("table5/full", BOTH, "transductive"),
    ],
)
def test_input_types(name, modalities, setting):
    cfg = composed(f"experiment={name}")
    assert (cfg.data.name, cfg.data.modalities, cfg.setting.name) == ("Scientific_mm_subset", modalities, setting)
    assert composed(f"experiment={name}", "data=office_mm_subset").data.name == "Office_mm_subset"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("no_seq_seq", {"objective.seq_seq_weight": 0.0}),
        ("no_orthogonality", {"objective.orthogonality_weight": 0.0}),
    ],
)
@pytest.mark.parametrize("model", ["missrec", "missrec_released"])
def test_an_ablation_changes_one_thing(name, changes, model):
    expected = composed("experiment=table5/full", f"model={model}")
    for flag, value in changes.items():
        group, key = flag.split(".")
        assert expected[group][key] != value
        expected[group][key] = value
    assert composed(f"experiment=table5/{name}", f"model={model}") == expected


def test_without_adapters_everything_else_trains():
    recipe = composed("experiment=table5/no_adapters").finetune
    assert not [name for parts in recipe.values() for name in parts if "adapters" in name]
    assert recipe.from_scratch == recipe.parts
    assert composed().finetune.from_ckpt == "adapters"  # what the network declares as such
    assert {*recipe.from_ckpt, "item_adapters"} == {name.rstrip(".") for name in SequenceModel.adapters}


@pytest.mark.parametrize("model", ["missrec", "missrec_released"])
def test_without_adapters_names_every_other_part_of_the_network(model):
    """A part that a network gains would silently stay frozen."""
    cfg = composed("experiment=table5/no_adapters", f"model={model}", "model.hidden_size=8", "scorers=tuned")
    cfg.model.num_heads = 2
    network = instantiate(cfg.model, data=DataShape(4, {"text": 3}, {"text": 4}, num_folds=2))
    with_weights = {name.partition(".")[0] for name, _ in network.named_parameters()}
    assert with_weights - {"item_adapters"} == set(cfg.finetune.from_scratch)


@pytest.mark.parametrize(("name", "target"), [("scientific", "Scientific_mm_full"), ("movies", "Movies_drama")])
def test_table_4_pretrains_on_other_domains_than_it_is_tested_on(name, target):
    before = composed(f"experiment=table4/{name}", "phase=pretrain").data
    after = composed(f"experiment=table4/{name}").data
    assert (after.name, after.domains) == (target, [target])
    assert before.name == "+".join(before.domains)
    assert len(before.domains) == 2
    assert target not in before.domains
    assert list(before.source.names) == before.domains


def test_released_runs():
    data = [f"{name}_mm_full" for name in ("Scientific", "Pantry", "Instruments", "Arts", "Office")]
    expected = [
        (name, setting, pretrained)
        for name in data
        for setting in ("transductive", "inductive")
        for pretrained in (False, True)
    ]
    runs = [composed("experiment=released/run", f"released.run={number}") for number in range(1, 21)]
    assert [(run.data.name, run.setting.name, run.ckpt is not None) for run in runs] == expected
    assert all(run.metrics.compat and run.model.compat and run.scorers == {} for run in runs)


def test_a_released_run_is_named_by_its_number(capsys):
    for overrides, said in {
        ("released/run07",): "error: experiment=released/run07: say experiment=released/run released.run=7.\n",
        ("released/run",): "error: released.run is missing: give released.run=<value>.\n",
        ("released/run", "released.run=21"): "error: ckpt: Interpolation key 'released.runs.run21' not found.\n",
    }.items():
        with pytest.raises(SystemExit), user_mistakes():
            validate_config(composed(f"experiment={overrides[0]}", *overrides[1:]))
        assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "file", ["docs/experiments.md", *(f"configs/experiment/{name}.yaml" for name in EXPERIMENTS)]
)
def test_documented_commands_compose(file):
    """Every choice of every command that a page shows; seeds aside, and checkpoints that only a run makes."""
    text = (ROOT / file).read_text()
    commands = COMMAND.findall(text)
    assert commands or "command in" in text or file.endswith("quickstart.yaml")
    for arguments in commands:
        words = shlex.split(re.sub(r"\\\n#?", " ", arguments).replace(",...", ""))
        given = [word for word in words if word != "-m" and not word.startswith(("hydra.", "seed=", "ckpt="))]
        overrides = OverridesParser.create().parse_overrides(given)
        jobs = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
        assert "-m" in words or len(jobs) == 1
        seen = set()
        for job in jobs:
            if not seen.issuperset(job):
                seen.update(job)
                assert composed(*job)


def test_every_overlay_is_in_the_documentation():
    page = (ROOT / "docs/experiments.md").read_text()
    documented = [name for name in EXPERIMENTS if name in page or name.startswith("released/")]
    assert documented == EXPERIMENTS


def test_a_run_knows_its_experiment_and_overrides():
    assert command() == {"experiment": None, "experiment_model": None, "overrides": []}
    overrides = ["experiment=table3/tv", "seed=1", "data.batch_size=${model.hidden_size}"]
    assert command_of(*overrides) == {
        "experiment": "table3/tv",
        "experiment_model": "missrec_released",
        "overrides": [*overrides[:2], "data.batch_size=300"],
    }


@pytest.mark.parametrize(("experiment", "model"), [("tuned", "missrec_tuned"), ("table3/tv", "missrec_released")])
def test_a_run_knows_which_model_its_experiment_would_have_taken(experiment, model):
    for overrides in ((), ("model=missrec",)):
        assert command_of(f"experiment={experiment}", *overrides)["experiment_model"] == model


def command_of(*overrides):
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            return command()
    finally:
        HydraConfig.instance().cfg = None
