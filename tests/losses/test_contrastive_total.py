"""What the total of the contrastive objective is made of."""

import pytest
import torch
from tiny_step import ToldStep

from missrec_pl.losses import Contrastive
from missrec_pl.losses.contrast import orthogonality
from missrec_pl.nn import Users
from missrec_pl.nn.encoding import GroupedUsers

torch.manual_seed(3)
LOGITS, INTERESTS = torch.randn(4, 6), torch.randn(4, 3, 5)
IS_PADDING = torch.tensor([[False, False, True]] * 4)
PENALTY = orthogonality(INTERESTS, IS_PADDING)


def step_with_interests():
    extra = {"interests": INTERESTS, "is_interest_padding": IS_PADDING}
    step = ToldStep(LOGITS, torch.tensor([0, 3, 1, 5]))
    step.users = GroupedUsers([Users(torch.zeros(4, 5), extra)])
    return step


@pytest.mark.parametrize("weight", [0.0, 0.1, 3.0])
def test_orthogonality_is_added_by_its_weight(weight):
    step = step_with_interests()
    found = Contrastive(orthogonality_weight=weight)(step)
    main = -step.log_prob(step.candidates)
    torch.testing.assert_close(found["loss"], main + weight * PENALTY)
    torch.testing.assert_close(found["next_item"], main)
    torch.testing.assert_close(found["orthogonality"], PENALTY)
    assert set(found) == {"loss", "next_item", "orthogonality"}
