"""What members that rank together give as scores."""

from types import SimpleNamespace

import pytest
import torch

from missrec_pl.modules.ranking import Ensemble

ONE, OTHER = torch.tensor([[0.90, 0.09, 0.01]]).log(), torch.tensor([[0.01, 0.19, 0.80]]).log()


def scores_of(*logits):
    """Scores of members whose logits are told."""
    members = [
        SimpleNamespace(score_blocks=lambda batch, told=told: iter([(batch, told.clone())])) for told in logits
    ]
    stand_in = SimpleNamespace(_members=lambda: iter(members))
    ((rows, scores),) = Ensemble.score_blocks(stand_in, "rows")
    assert rows == "rows"
    return scores


def test_probabilities_are_multiplied():
    """Their mean would put the first item first."""
    found = scores_of(ONE, OTHER).softmax(1)
    torch.testing.assert_close(found, (ONE + OTHER).exp() / (ONE + OTHER).exp().sum())
    assert found.argmax() == 1
    assert (ONE.exp() + OTHER.exp()).argmax() == 0


@pytest.mark.parametrize("shift", [100.0, -3.0])
def test_what_a_member_adds_to_all_items_changes_nothing(shift):
    torch.testing.assert_close(scores_of(ONE + shift, OTHER).softmax(1), scores_of(ONE, OTHER).softmax(1))


def test_any_number_of_members_in_any_order():
    torch.testing.assert_close(scores_of(ONE, OTHER, ONE), scores_of(OTHER, ONE, ONE))
    torch.testing.assert_close(scores_of(ONE), ONE)
