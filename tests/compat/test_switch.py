"""``model=missrec_compat`` is one switch: what belongs to it follows, and nothing that contradicts it passes."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from runs import composed

from missrec_pl.config.compat import RELEASED
from missrec_pl.config.validation import validate_config
from missrec_pl.data.augmentations import FeatureDropout, ItemDrop
from missrec_pl.data.augmentations_released import ReleasedViews
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import building
from missrec_pl.experiment.old_flags import modern_arguments
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.missrec.released_rules import AsReleased, Corrected

COMPAT = ("model=missrec_compat",)
CONTRADICTIONS = {
    "scorers=seen": "scorers: the released network has no seen; use model=missrec_compat",
    "++scorers.cooccurrence={_target_:missrec_pl.nn.scorers.Cooccurrence}": "released network has no cooccurrence",
    "++scorers.content={_target_:missrec_pl.nn.scorers.Content}": "scorers: the released network has no content",
    "scorers=tuned": "scorers: the released network has no seen, cooccurrence, content",
    "objective.orthogonality_form=cosine": "objective.orthogonality_form=cosine: model.compat=true means released",
    "objective.orthogonality_of_both_views=false": "objective.orthogonality_of_both_views=False",
    "objective.seq_seq_form=literal": "objective.seq_seq_form=literal: model.compat=true means released",
    "objective.mask_duplicates=true": "objective.mask_duplicates=True: model.compat=true means false",
    "objective.padding_candidate=false": "objective.padding_candidate=False: model.compat=true means true",
    "objective=missrec": "objective.mask_duplicates=None: model.compat=true means false",
    "data.candidates=in_batch": "data.candidates=in_batch: model.compat=true fine-tunes against the whole",
    "+phase.module.length_buckets=8": "phase.module.length_buckets=8: under model.compat=true the padding",
    "phase=pretrain objective.augmentation=null": "objective.augmentation=null: model.compat=true regularises",
}


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
@pytest.mark.parametrize("is_compat", [False, True], ids=["mended", "compat"])
def test_everything_follows_the_switch(phase, is_compat):
    cfg = composed(f"phase={phase}", *(COMPAT if is_compat else ()))
    validate_config(cfg)
    for flag, wanted in RELEASED.items():
        assert (OmegaConf.select(cfg, flag) == wanted) is is_compat, flag
    loss = instantiate(cfg.objective)
    assert type(loss.views) is (ReleasedViews if is_compat else ItemDrop)
    assert loss.views.probability == 0.2
    shape = DataShape(5, {"text": 3, "image": 4})
    model = instantiate(cfg.model, data=shape)
    assert type(model.rules) is (AsReleased if is_compat else Corrected)
    assert model.depends_on_padding is is_compat
    assert (len(building.build_scorers(cfg, shape)) == 0) is is_compat


def test_half_a_switch_is_refused():
    """The network alone: on the command line, the old flag is translated to all of it."""
    with pytest.raises(ConfigError) as refused:
        validate_config(composed("model=missrec_released", "model.compat=true"))
    lines = str(refused.value).splitlines()
    assert len(lines) == len(RELEASED) + 1
    assert all("use model=missrec_compat" in line for line in lines)
    translated, _ = modern_arguments(["model=missrec_released", "model.compat=true", "interest=kmeans_released"])
    assert composed(*translated) == composed(*COMPAT, "interest=kmeans_released")


def test_the_default_is_the_mended_network():
    assert composed("model=missrec_released").model.compat is False


@pytest.mark.parametrize("sequence_fusion", ["add", "contextual"])
@pytest.mark.parametrize("setting", ["inductive", "transductive"])
def test_every_variant_passes(sequence_fusion, setting):
    flags = (f"model.sequence_fusion={sequence_fusion}", f"setting={setting}", "interest=kmeans_released")
    validate_config(composed(*COMPAT, *flags))
    validate_config(composed(*COMPAT, *flags, "data.modalities=[text,image]"))
    validate_config(composed(*COMPAT, *flags, "data.modalities=[text]"))


def test_the_release_has_no_collaborative_modality():
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: the released network has none"):
        building.build_network(composed(*COMPAT, "model.collaborative=4"), DataShape(9, {"text": 3}))


@pytest.mark.parametrize("overrides", CONTRADICTIONS)
def test_a_contradiction_is_named(overrides):
    with pytest.raises(ConfigError) as refused:
        validate_config(composed(*COMPAT, *overrides.split()))
    assert CONTRADICTIONS[overrides] in str(refused.value)


def test_the_released_regulariser_goes_with_the_released_network_only():
    with pytest.raises(
        ConfigError, match=r"objective.orthogonality_form=released: goes with model.compat=true only"
    ):
        validate_config(composed("objective.orthogonality_form=released"))


def test_networks_without_the_switch_get_the_mended_objective():
    cfg = composed("phase=pretrain", "model=missrec", "objective=missrec_released")
    validate_config(cfg)
    assert cfg.objective.orthogonality_form == "cosine"
    assert type(instantiate(cfg.objective).views) is ItemDrop
    assert type(instantiate(composed("model=missrec").objective).views) is FeatureDropout
