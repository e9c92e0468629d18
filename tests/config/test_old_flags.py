"""Flags of earlier versions compose to what they meant there; what kept its name is passed on as it is."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from runs import ROOT, composed

from missrec_pl.checkpoints.versions import CLASS_PATHS, FLAGS, SCORERS, TENSORS
from missrec_pl.config.validation import validate_config
from missrec_pl.experiment.building import build_scorers
from missrec_pl.experiment.old_flags import modern_arguments
from missrec_pl.nn.contract import DataShape

SHAPE = DataShape(4, {"text": 3}, {"text": 4}, num_folds=2)
PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")

# Per flag a value that differs from the default, and what has to stand beside it.
VALUES = {
    "features.residency": ("memmap", []),
    "optim.score_term_lr": ("0.5", []),
    "data.user_folds": ("4", []),
    "callbacks.learning_rate.warmup": ("0.25", ["callbacks=annealed"]),
    "callbacks.learning_rate": ("null", ["callbacks=annealed"]),
    **{f"data.phase_domains.{phase}": ("[A,B]", ["data=movies"]) for phase in ("pretrain", "finetune")},
    **{f"data.departments.{phase}": ("[A,B]", ["data=groceries"]) for phase in ("pretrain", "finetune")},
    **{f"data.first_domain.{phase}": ("7", ["data=synthetic"]) for phase in ("pretrain", "finetune")},
    **{f"data.num_domains.{phase}": ("7", ["data=synthetic"]) for phase in ("pretrain", "finetune")},
    "data.phase_domains.baselines": ("[A,B]", ["data=movies"]),
    "data.departments.baselines": ("[A,B]", ["data=groceries"]),
}
OF_ALL_PHASES = {"data.first_domain.baselines", "data.num_domains.baselines"}
"""They refer to the fine-tuning phase's, in which they are said."""


def jobs_of(*arguments):
    """The configs of a command of an earlier version, one per job of the sweep."""
    overrides = OverridesParser.create().parse_overrides(modern_arguments(arguments)[0])
    return [composed(*job) for job in BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]]


def scorers_of(cfg):
    return {name: type(scorer).__name__ for name, scorer in build_scorers(cfg, SHAPE).items()}


def test_every_flag_of_the_table_is_tried():
    assert VALUES.keys() | OF_ALL_PHASES == FLAGS.keys()


@pytest.mark.parametrize("flag", VALUES)
def test_a_renamed_flag_sets_what_it_set(flag):
    value, beside = VALUES[flag]
    (cfg,) = jobs_of(*beside, f"{flag}={value}")
    default = OmegaConf.select(composed(*beside), FLAGS[flag])
    found = OmegaConf.select(cfg, FLAGS[flag])
    assert found == OmegaConf.create(f"value: {value}").value
    assert found != default


@pytest.mark.parametrize("plus", ["+", "++"])
def test_what_stands_before_a_flag_stays(plus):
    assert modern_arguments([f"{plus}features.residency=host"])[0] == [f"{plus}features.placement=host"]


def test_a_sweep_over_a_renamed_flag_has_its_jobs():
    assert [cfg.optim.scorer_lr for cfg in jobs_of("optim.score_term_lr=0.1,0.2")] == [0.1, 0.2]
    assert [cfg.features.placement for cfg in jobs_of("features.residency=host,memmap")] == ["host", "memmap"]


def test_domains_of_a_phase_are_those_that_are_read():
    (cfg,) = jobs_of("data=movies", "data.phase_domains.finetune=[Movies_action]")
    assert list(cfg.data.source.names) == ["Movies_action"]
    (cfg,) = jobs_of("data=synthetic", "data.first_domain.finetune=1", "data.num_domains.finetune=2")
    assert (cfg.data.source.first_domain, cfg.data.source.num_domains) == (1, 2)


@pytest.mark.parametrize("option", SCORERS)
@pytest.mark.parametrize("model", ["missrec", "missrec_literal", "missrec_released", "missrec_tuned"])
def test_an_option_of_the_model_puts_a_scorer_in_or_takes_it_out(option, model):
    name, target = SCORERS[option]
    usual = scorers_of(composed(f"model={model}"))
    without, with_it = jobs_of(f"model={model}", f"model.{option}=none,learned")
    assert scorers_of(without) == {one: kind for one, kind in usual.items() if one != name}
    assert scorers_of(with_it) == {**usual, name: target.rpartition(".")[2]}
    for cfg in (without, with_it):
        validate_config(cfg)
        cfg.scorers = composed(f"model={model}").scorers
        assert cfg == composed(f"model={model}")  # nothing else has changed


def test_all_scorers_at_once():
    (cfg,) = jobs_of("experiment=tuned", *(f"model.{option}=none" for option in SCORERS))
    assert scorers_of(cfg) == {}


@pytest.mark.parametrize("beside", [[], ["model=missrec_released"], ["experiment=table3/tv"], ["phase=pretrain"]])
def test_the_old_switch_is_the_whole_reference_mode(beside):
    others = [word for word in beside if not word.startswith("model=")]
    for old in (["model.compat=true", *beside], [*beside, "model.compat=true"]):
        (cfg,) = jobs_of(*old)
        assert cfg == composed(*others, "model=missrec_compat")
        validate_config(cfg)
    assert jobs_of(*beside, "model.compat=false,true") == [
        composed(*others, "model=missrec_released"),
        composed(*others, "model=missrec_compat"),
    ]
    assert jobs_of(*beside, "model.compat=false") == [composed(*beside)]


def test_what_kept_its_name_is_untouched():
    kept = [
        *(
            "-m",
            "--cfg",
            "job",
            "experiment=table3/tv",
            "model=missrec_released",
            "model.compat=false",
            "seed=0,1",
        ),
        *("features.placement=host", "data.num_folds=4", "optim.scorer_lr=0.1", "optim.scheduler=null"),
        *(
            "model.collaborative=8",
            "model.content_size=3",
            "+data.source.dims={text: 4}",
            "resume=last",
            "ckpt=a=b",
        ),
        *("scorers.seen=null", "data.source.features.residency=x", "callbacks=annealed", "scorers=none"),
    ]
    assert modern_arguments(kept) == (kept, [])


def test_each_translation_is_said_in_one_line():
    arguments, lines = modern_arguments(["seed=1", "data.user_folds=3", "model.content=none"])
    assert arguments == ["seed=1", "data.num_folds=3", "++scorers.content=null"]
    assert [line.partition(" is called ")[0] for line in lines] == ["data.user_folds=3", "model.content=none"]
    assert all(new in line for new, line in zip(arguments[1:], lines, strict=True))


@pytest.mark.parametrize("table", [FLAGS, CLASS_PATHS, TENSORS], ids=["flags", "class paths", "tensors"])
def test_the_page_has_every_row_of_the_tables(table):
    missing = [old for old, new in table.items() if f"| `{old}` | `{new}` |\n" not in PAGE]
    assert not missing


def test_the_page_has_the_scorers_and_the_switch():
    for option, (name, target) in SCORERS.items():
        assert f"| `model.{option}=learned` | `++scorers.{name}={{_target_:{target}}}` |\n" in PAGE
        assert f"| `model.{option}=none` | `scorers.{name}=null` |\n" in PAGE
    assert "| `model.compat=true` | `model=missrec_compat` |\n" in PAGE


def test_the_page_has_no_row_that_no_table_has():
    rows = [line.split("`") for line in PAGE.splitlines() if line.startswith("| `missrec_pl.")]
    assert {(row[1], row[3]) for row in rows} == {(old, new) for old, new in CLASS_PATHS.items()}
