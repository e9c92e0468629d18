"""BCE, gBCE and BPR against their formulas, and gBCE against numbers of its authors' code."""

import math

import pytest
import torch
from tiny_step import ToldStep

from missrec_pl.errors import ConfigError
from missrec_pl.losses import BCE, BPR, GBCE, Softmax

LOGITS = [[0.3, -1.2, 2.0, 0.7], [-2.5, 0.1, 0.4, -0.6], [4.0, 4.0, -3.0, 0.0]]
# Of asash/gSASRec-pytorch with 4 negatives among 60 items, t = 0.75: logits (the target's first), loss, gradient.
PUBLISHED = [
    (
        [1.209466814994812, -1.5627903938293457, 0.4809599220752716, -2.3762238025665283, -3.778197765350342],
        0.26850194,
        [-0.013826673850, 0.034649323672, 0.123594909906, 0.017000762746, 0.004470557906],
    ),
    (
        [-0.036416392773389816, 2.4275383949279785, 0.6070108413696289, 4.3423895835876465, -0.9264099597930908],
        1.6914189,
        [-0.030632477254, 0.183780655265, 0.129451736808, 0.197432324290, 0.056730728596],
    ),
    (
        [-1.6335526704788208, -0.892240583896637, 3.5285067558288574, -2.052837610244751, 1.8194866180419922],
        1.3072875,
        [-0.050341155380, 0.058129537851, 0.194297626615, 0.022753195837, 0.172100901604],
    ),
]
# beta for (negatives, items) at t = 0.75
BETAS = {(4, 60): 0.3008474576271186, (256, 3416): 0.3062225, (256, 60): 3.504237288135593}


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def losses_of(loss, logits, **options):
    found = loss(ToldStep(torch.tensor(logits, dtype=torch.float64), **options))
    assert set(found) == {"loss"}
    return found["loss"]


def bce_by_hand(positive: float, negatives: list[float], beta: float = 1.0) -> float:
    total = beta * log_sigmoid(positive) + sum(log_sigmoid(-one) for one in negatives)
    return -total / (1 + len(negatives))


def bpr_by_hand(positive: float, negatives: list[float]) -> float:
    return -sum(log_sigmoid(positive - one) for one in negatives) / len(negatives)


def test_bce_by_hand():
    expected = [bce_by_hand(row[0], row[1:]) for row in LOGITS]
    assert losses_of(BCE(), LOGITS).tolist() == pytest.approx(expected, rel=1e-12)


def test_bpr_by_hand():
    expected = [bpr_by_hand(row[0], row[1:]) for row in LOGITS]
    assert losses_of(BPR(), LOGITS).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_gbce_by_hand(t):
    alpha = 3 / (60 - 1)
    beta = t * (alpha - 1) + 1
    expected = [bce_by_hand(row[0], row[1:], beta) for row in LOGITS]
    assert losses_of(GBCE(t), LOGITS).tolist() == pytest.approx(expected, rel=1e-7)
    if t == 0:
        torch.testing.assert_close(losses_of(GBCE(t), LOGITS), losses_of(BCE(), LOGITS))


@pytest.mark.parametrize(("logits", "loss", "gradient"), PUBLISHED)
def test_gbce_is_what_its_authors_compute(logits, loss, gradient):
    given = torch.tensor([logits], requires_grad=True)
    found = GBCE(0.75)(ToldStep(given, num_items=60))["loss"]
    found.sum().backward()
    assert found.item() == pytest.approx(loss, rel=1e-6)
    assert given.grad[0].tolist() == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize(("counts", "beta"), BETAS.items())
def test_the_power_is_theirs(counts, beta):
    negatives, items = counts
    assert float(GBCE(0.75).power(torch.tensor([negatives]), items)) == pytest.approx(beta, rel=1e-6)


def test_an_extreme_target_still_learns():
    """Without the clamps of the published code."""
    given = torch.tensor([[-40.0, 30.0, -1.0]], requires_grad=True)
    GBCE(0.75)(ToldStep(given))["loss"].sum().backward()
    assert given.grad.isfinite().all()
    assert given.grad[0, 0] < -0.05


@pytest.mark.parametrize("loss", [BCE(), GBCE(0.75), BPR()], ids=lambda one: type(one).__name__)
def test_what_is_taken_out_of_the_candidates_takes_no_part(loss):
    """Other copies of the target are at minus infinity: neither summed nor counted."""
    column = torch.tensor([2, 0, 1])
    rows = [[0.5, -math.inf, 1.0, -0.25], [0.3, -math.inf, -math.inf, 2.0], [-math.inf, 0.7, -math.inf, -math.inf]]
    given = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    found = loss(ToldStep(given, column))["loss"]
    told = [(1.0, [0.5, -0.25]), (0.3, [2.0]), (0.7, [])]
    for value, (positive, negatives) in zip(found.tolist(), told, strict=True):
        if isinstance(loss, BPR):
            expected = bpr_by_hand(positive, negatives) if negatives else 0.0
        else:
            beta = 0.75 * (len(negatives) / 59 - 1) + 1 if isinstance(loss, GBCE) else 1.0
            expected = bce_by_hand(positive, negatives, beta)
        assert value == pytest.approx(expected, rel=1e-7)
    found.sum().backward()
    assert given.grad.isfinite().all()
    assert given.grad[0, 1] == given.grad[1, 2] == given.grad[2, 0] == 0


def test_softmax_is_the_log_probability():
    column = torch.tensor([1, 0, 3])
    found = losses_of(Softmax(), LOGITS, column=column)
    for value, row, place in zip(found.tolist(), LOGITS, column.tolist(), strict=True):
        assert value == pytest.approx(-math.log(math.exp(row[place]) / sum(map(math.exp, row))))


@pytest.mark.parametrize("t", [-0.1, 1.5])
def test_a_calibration_outside_of_0_to_1_is_refused(t):
    with pytest.raises(ConfigError, match=rf"objective\.t={t}: must be a number from 0 to 1"):
        GBCE(t)


def test_what_losses_ask_of_the_data():
    assert (BCE.candidates, BCE.num_negatives) == ("per_row", 1)
    assert (GBCE.candidates, GBCE.num_negatives) == ("per_row", 256)
    assert (BPR.candidates, BPR.num_negatives) == ("per_row", 1)
    assert Softmax.candidates == "all"


def test_rankings_have_the_temperature_of_training_unless_told():
    assert Softmax(0.3).eval_temperature == 0.3
    assert BPR(0.3, 0.9).eval_temperature == 0.9
