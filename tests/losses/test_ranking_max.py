"""BPR-max and TOP1-max against their formulas in plain floats, their gradients, and what they do at extremes."""

import math

import pytest
import torch
from tiny_step import ToldStep

from missrec_pl.errors import ConfigError
from missrec_pl.losses import BPR, BPRMax, TOP1Max

LOGITS = [[0.3, -1.2, 2.0, 0.7], [-2.5, 0.1, 0.4, -0.6], [4.0, 4.0, -3.0, 0.0]]
CLASSES = [BPRMax(), BPRMax(0.0), BPRMax(0.3), TOP1Max()]
NAMES = ["regularised", "plain", "a little", "top1"]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_hand(loss, positive: float, negatives: list[float]) -> float:
    total = sum(math.exp(one) for one in negatives)
    weights = [math.exp(one) / total for one in negatives]
    pairs = list(zip(weights, negatives, strict=True))
    if isinstance(loss, TOP1Max):
        return sum(weight * (sigmoid(one - positive) + sigmoid(one * one)) for weight, one in pairs)
    main = -math.log(sum(weight * sigmoid(positive - one) for weight, one in pairs))
    return main + loss.regularization * sum(weight * one * one for weight, one in pairs)


def losses_of(loss, logits, column=None):
    found = loss(ToldStep(logits, column))
    assert set(found) == {"loss"}
    return found["loss"]


@pytest.mark.parametrize("loss", CLASSES, ids=NAMES)
def test_by_hand(loss):
    expected = [by_hand(loss, row[0], row[1:]) for row in LOGITS]
    found = losses_of(loss, torch.tensor(LOGITS, dtype=torch.float64))
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", CLASSES, ids=NAMES)
def test_gradients_by_differences(loss):
    column = torch.tensor([2, 0, 1])
    given = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    losses_of(loss, given, column).sum().backward()
    for row in range(3):
        for place in range(4):
            moved, ends = given.detach().clone(), []
            for change in (1e-6, -2e-6):
                moved[row, place] += change
                told = moved[row].tolist()
                ends.append(by_hand(loss, told.pop(int(column[row])), told))
            assert given.grad[row, place].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_the_gradient_of_bpr_max_is_the_weighted_one_of_the_paper():
    """Of the target's score: minus the mean of 1 - sigmoid, weighted with s_j sigmoid(r_i - r_j)."""
    given = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    losses_of(BPRMax(0.7), given).sum().backward()
    for row, found in zip(LOGITS, given.grad[:, 0].tolist(), strict=True):
        weights = [math.exp(one) * sigmoid(row[0] - one) for one in row[1:]]
        mean = sum(w * (1 - sigmoid(row[0] - one)) for w, one in zip(weights, row[1:], strict=True)) / sum(weights)
        assert found == pytest.approx(-mean, rel=1e-12)


def test_one_negative_is_bpr():
    given = torch.tensor([[0.4, -0.3], [-1.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(losses_of(BPRMax(0.0), given), losses_of(BPR(), given))


@pytest.mark.parametrize("loss", CLASSES, ids=NAMES)
def test_what_is_taken_out_of_the_candidates_takes_no_part(loss):
    """Other copies of the target are at minus infinity; a row without any negative has no loss."""
    column = torch.tensor([2, 0, 1])
    rows = [[0.5, -math.inf, 1.0, -0.25], [0.3, -math.inf, -math.inf, 2.0], [-math.inf, 0.7, -math.inf, -math.inf]]
    given = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    found = losses_of(loss, given, column)
    expected = [by_hand(loss, 1.0, [0.5, -0.25]), by_hand(loss, 0.3, [2.0]), 0.0]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    found.sum().backward()
    assert given.grad.isfinite().all()
    assert not given.grad[rows_at_minus_infinity(rows)].any()
    assert not given.grad[2].any()


def rows_at_minus_infinity(rows):
    return torch.tensor(rows).isneginf()


@pytest.mark.parametrize("loss", CLASSES, ids=NAMES)
def test_extremes_stay_finite(loss):
    """In float32: where probabilities and sigmoids are 0 or 1 to the last bit, a hopeless target still learns."""
    given = torch.tensor([[-200.0, 150.0, -150.0], [200.0, -150.0, -300.0]], requires_grad=True)
    found = losses_of(loss, given)
    found.sum().backward()
    assert found.isfinite().all()
    assert given.grad.isfinite().all()
    if isinstance(loss, BPRMax):
        assert given.grad[0, 0] < -0.9


def test_a_negative_far_below_the_highest_hardly_counts():
    few = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    many = torch.cat([few, torch.full((1, 500), -30.0, dtype=torch.float64)], 1)
    for loss in CLASSES:
        torch.testing.assert_close(losses_of(loss, many), losses_of(loss, few), rtol=1e-9, atol=1e-9)
    assert losses_of(BPR(), many) < 0.1 * losses_of(BPR(), few)  # whose mean drowns it


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"objective\.regularization=-1\.0: must be a number from 0"):
        BPRMax(-1.0)


def test_what_they_ask_of_the_data():
    for loss in CLASSES:
        assert (loss.candidates, loss.num_negatives) == ("sampled", 2048)
    assert BPRMax(temperature=0.3, eval_temperature=0.9).eval_temperature == 0.9
