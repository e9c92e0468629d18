import pytest
import torch

from missrec_pl.nn.blocks.attention import MultiHeadAttention
from missrec_pl.nn.blocks.dropout import Dropout

X = torch.ones(301, 100)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_drops_its_share_and_scales_the_rest(probability):
    torch.manual_seed(0)
    x = X.clone().requires_grad_()
    out = Dropout(probability)(x)
    assert (out == 0).float().mean().item() == pytest.approx(probability, abs=0.01)
    torch.testing.assert_close(out[out != 0], torch.full_like(out[out != 0], 1 / (1 - probability)))
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_the_seed_decides_and_draws_differ():
    dropout = Dropout(0.5)
    torch.manual_seed(3)
    first, second = dropout(X), dropout(X)
    torch.manual_seed(3)
    assert torch.equal(dropout(X), first)
    assert not torch.equal(first, second)
    # Neither rows nor neighbours are drawn alike.
    kept = (first != 0).float() - 0.5
    assert (kept[1:] * kept[:-1]).mean().abs() < 0.01
    assert (kept[:, 1:] * kept[:, :-1]).mean().abs() < 0.01


def test_evaluation_and_probability_zero_change_nothing():
    assert Dropout(0.5).eval()(X) is X
    assert Dropout(0.0)(X) is X


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 7)])
def test_any_shape(shape):
    assert Dropout(0.5)(torch.ones(shape)).shape == shape


def test_attention_that_drops_does_the_mathematics_of_attention_that_does_not():
    """A probability that rounds to no drop at all runs the training path of the CPU."""
    torch.manual_seed(0)
    attention = MultiHeadAttention(12, 3, dropout=1e-9)
    queries, keys = torch.randn(3, 4, 12), torch.randn(3, 6, 12)
    is_padding = torch.zeros(3, 6, dtype=torch.bool)
    is_padding[0, 2:], is_padding[1] = True, True
    trained = attention.train()(queries, keys, is_padding)
    torch.testing.assert_close(trained, attention.eval()(queries, keys, is_padding))
