import inspect

import pytest
import torch

from missrec_pl.errors import ConfigError
from missrec_pl.losses import Contrastive
from missrec_pl.losses.contrast import orthogonality

VECTORS = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IS_PADDING = torch.tensor([[False] * 4, [False, False, True, True], [True] * 4])


def double_sum(form: str) -> list[float]:
    """Eq. (7) as printed: 1/M^2 * sum over m and m' of <xi_m, xi_m'>."""
    terms = []
    for vectors, is_padding in zip(VECTORS, IS_PADDING, strict=True):
        present = [
            v / v.norm() if form == "cosine" else v
            for v, gone in zip(vectors, is_padding, strict=True)
            if not gone
        ]
        total = sum(float(a @ b) for a in present for b in present)
        terms.append(total / len(present) ** 2 if present else 0.0)
    return terms


@pytest.mark.parametrize("form", ["cosine", "literal"])
def test_equals_the_double_sum(form):
    assert orthogonality(VECTORS, IS_PADDING, form).tolist() == pytest.approx(double_sum(form), rel=1e-12)


def test_cosine_is_the_default_and_lies_between_orthogonal_and_equal():
    axes = torch.eye(4)[None] * 7
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    assert orthogonality(axes, nothing).item() == pytest.approx(1 / 4)
    assert orthogonality(axes[:, :1].expand(1, 4, 4), nothing).item() == pytest.approx(1)
    assert orthogonality(axes, nothing, "literal").item() == pytest.approx(49 / 4)


def test_the_released_form_sums_the_batch_and_the_padding():
    """By loops: the sum of all vectors, padding's too, times the share that is none; its square over D; B-fold."""
    expected = []
    for vectors, is_padding in zip(VECTORS, IS_PADDING, strict=True):
        share = sum(not gone for gone in is_padding.tolist()) / len(is_padding)
        pooled = [share * sum(float(v[d]) for v in vectors) for d in range(6)]
        expected.append(sum(x * x for x in pooled) / 6)
    found = orthogonality(VECTORS, IS_PADDING, "released")
    assert found.tolist() == pytest.approx([3 * x for x in expected], rel=1e-12)
    assert orthogonality(VECTORS, IS_PADDING, "released", 10).tolist() == pytest.approx([10 * x for x in expected])
    assert torch.equal(orthogonality(VECTORS, IS_PADDING, batch_size=10), orthogonality(VECTORS, IS_PADDING))


def test_padding_gets_no_gradient():
    vectors = VECTORS.clone().requires_grad_()
    orthogonality(vectors, IS_PADDING).sum().backward()
    assert vectors.grad[IS_PADDING].abs().max() == 0
    assert vectors.grad[0].abs().amax(-1).min() > 0


def test_an_unknown_form_is_refused():
    """As users run it: the tests' checker of annotations would be first."""
    says = r"objective.orthogonality_form=cos: choose one of cosine, literal, released"
    with pytest.raises(ConfigError, match=says):
        inspect.unwrap(orthogonality)(VECTORS, IS_PADDING, "cos")
    with pytest.raises(ConfigError, match=says):
        inspect.unwrap(Contrastive.__init__)(Contrastive(), orthogonality_form="cos")
