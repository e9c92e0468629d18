import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from missrec_pl.nn.blocks.modalities import (
    NOTHING_TO_COMPARE,
    DynamicFusion,
    ModalityAdapters,
    comparable,
    mean_directions,
)

random = torch.Generator().manual_seed(0)
USER = F.normalize(torch.randn(4, 6, generator=random, dtype=torch.float64), dim=-1)
TOKENS = torch.randn(5, 3, 6, generator=random, dtype=torch.float64)
SCORES = torch.einsum("bd,cmd->mbc", USER, F.normalize(TOKENS, dim=-1))
IS_MISSING = torch.tensor(
    [[False, False, False], [True, False, False], [False, True, True], [True, True, False], [False, True, False]]
)


def fused_by(fusion: DynamicFusion, tokens: torch.Tensor, is_missing: torch.Tensor) -> torch.Tensor:
    return fusion(USER, prepared(fusion, tokens, is_missing))


def prepared(fusion: DynamicFusion, tokens: torch.Tensor, is_missing: torch.Tensor):
    return (mean_directions if fusion.concentration is None else comparable)(tokens, is_missing)


def fuse_by_loops(alpha: float, is_missing: torch.Tensor) -> torch.Tensor:
    """Eqs. (1) and (2) as printed, over the present modalities."""
    fused = torch.zeros(4, 5, dtype=torch.float64)
    for user in range(4):
        for item in range(5):
            present = [SCORES[m, user, item] for m in range(3) if not is_missing[item, m]]
            total = sum((alpha * score).exp() for score in present)
            fused[user, item] = sum((alpha * score).exp() / total * score for score in present)
    return fused


@pytest.mark.parametrize("alpha", [0.0, 1.7, -3.0, 25.0])
def test_fusion_follows_the_paper(alpha):
    torch.testing.assert_close(
        fused_by(DynamicFusion(alpha), TOKENS, IS_MISSING),
        fuse_by_loops(alpha, IS_MISSING),
        rtol=1e-6,
        atol=1e-7,
    )


def test_fusion_of_two_modalities_follows_the_paper():
    is_missing = torch.tensor([[False, False], [True, False], [False, True], [False, False], [False, False]])
    found = fused_by(DynamicFusion(2.3), TOKENS[:, :2], is_missing)
    with_third = torch.cat([is_missing, torch.ones(5, 1, dtype=torch.bool)], 1)
    torch.testing.assert_close(found, fuse_by_loops(2.3, with_third), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fusion", [DynamicFusion(0.0), DynamicFusion(None)], ids=["alpha 0", "static"])
def test_no_concentration_is_the_mean_of_what_is_present(fusion):
    mean = torch.stack([SCORES[:, :, i][~IS_MISSING[i]].mean(0) for i in range(5)], dim=1)
    torch.testing.assert_close(fused_by(fusion, TOKENS, IS_MISSING), mean)


@pytest.mark.parametrize("none", [[], [2], [0, 4]])
def test_static_fusion_is_one_product_with_the_mean_of_what_is_present(none):
    is_missing = IS_MISSING.clone()
    is_missing[none] = True
    tokens, fusion = TOKENS.clone().requires_grad_(), DynamicFusion(None)
    groups = prepared(fusion, tokens, is_missing)
    assert sum(len(group.tokens) for group in groups) == 1
    fused = fusion(USER, groups)
    some = ~is_missing.all(1)
    torch.testing.assert_close(fused[:, some], fuse_by_loops(0.0, is_missing)[:, some])
    assert (fused[:, none] == NOTHING_TO_COMPARE).all()
    fused.sum().backward()
    assert (tokens.grad[is_missing] == 0).all()
    assert (tokens.grad[~is_missing] != 0).any(-1).all()


def test_large_concentration_is_the_maximum_of_what_is_present():
    best = torch.stack([SCORES[:, :, i][~IS_MISSING[i]].amax(0) for i in range(5)], dim=1)
    torch.testing.assert_close(fused_by(DynamicFusion(1e5), TOKENS, IS_MISSING), best)


@pytest.mark.parametrize("alpha", [None, 0.0, 4.0, -4.0])
def test_the_score_of_a_missing_modality_has_no_say(alpha):
    spoilt = TOKENS.masked_fill(IS_MISSING[:, :, None], 1e6)
    fusion = DynamicFusion(alpha)
    assert torch.equal(fused_by(fusion, spoilt, IS_MISSING), fused_by(fusion, TOKENS, IS_MISSING))


def test_no_modality_at_all_is_the_lowest_cosine():
    is_missing = IS_MISSING.clone()
    is_missing[2] = True
    fused = fused_by(DynamicFusion(3.0), TOKENS, is_missing)
    assert (fused[:, 2] == NOTHING_TO_COMPARE).all()
    assert fused.isfinite().all()


def test_only_dynamic_fusion_learns():
    assert list(DynamicFusion(None).parameters()) == []
    fusion = DynamicFusion(0.5).double()
    step = 2**-12  # exact in float32, which the scalar starts in
    fused_by(fusion, TOKENS, IS_MISSING).sum().backward()
    higher, lower = (fused_by(DynamicFusion(0.5 + d).double(), TOKENS, IS_MISSING).sum() for d in (step, -step))
    assert fusion.concentration.grad.item() == pytest.approx((higher - lower).item() / (2 * step), rel=1e-3)


@pytest.mark.parametrize("alpha", [None, 1.5])
def test_a_batch_without_two_modalities_to_weigh_gives_the_concentration_a_gradient_of_0(alpha):
    """DDP waits for a gradient of every trained weight in every step."""
    fusion = DynamicFusion(alpha)
    groups = prepared(fusion, TOKENS, IS_MISSING | torch.tensor([False, True, True]))
    fused = fusion(USER, groups)
    torch.testing.assert_close(fused[:, 0], SCORES[0, :, 0])
    if alpha is not None:
        fused.sum().backward()
        assert fusion.concentration.grad == 0
        assert not fusion.requires_grad_(False)(USER, groups).requires_grad


@pytest.fixture
def features():
    random = torch.Generator().manual_seed(2)
    return {"text": torch.randn(3, 4, generator=random), "image": torch.randn(2, 6, generator=random)}


ROWS = {"text": torch.tensor([1, 2, 4]), "image": torch.tensor([2, 3])}


def test_adapters_lay_features_out_as_tokens(features):
    adapters = ModalityAdapters({"text": 4, "image": 6}, 5)
    assert adapters.modalities == ["text", "image"]
    tokens = adapters(features, ROWS, 5)
    for m, name in enumerate(adapters.modalities):
        torch.testing.assert_close(tokens[ROWS[name], m], adapters.linear[name](features[name]))
        absent = [row for row in range(5) if row not in ROWS[name]]
        assert tokens[absent, m].abs().max() == 0


def test_missing_as_bias_is_what_the_release_does(features):
    adapters = ModalityAdapters({"text": 4, "image": 6}, 5, missing="bias")
    tokens = adapters(features, ROWS, 5)
    torch.testing.assert_close(tokens[3, 0], adapters.linear["text"].bias)
    torch.testing.assert_close(tokens[[0, 1, 4], 1], adapters.linear["image"].bias.expand(3, 5))
    torch.testing.assert_close(tokens[2, 1], adapters.linear["image"](features["image"][0]))


def test_half_precision_features_are_adapted_in_the_weights_precision(features):
    adapters = ModalityAdapters({"text": 4, "image": 6}, 5)
    halved = {name: rows.half() for name, rows in features.items()}
    tokens = adapters(halved, ROWS, 5)
    assert tokens.dtype == torch.float32
    assert torch.equal(tokens, adapters({name: rows.float() for name, rows in halved.items()}, ROWS, 5))


def test_nobody_has_a_modality(features):
    adapters = ModalityAdapters({"text": 4, "image": 6}, 5)
    empty = {**features, "image": features["image"][:0]}
    tokens = adapters(empty, {**ROWS, "image": ROWS["image"][:0]}, 5)
    assert tokens[:, 1].abs().max() == 0


def test_shapes_are_checked_while_testing():
    with pytest.raises(TypeCheckError):
        fused_by(DynamicFusion(), TOKENS[:, :, 0], IS_MISSING)
