import math

import pytest
import torch

from missrec_pl.errors import ConfigError
from missrec_pl.losses import next_item, sampled_logits, seq_item, seq_seq

TEMPERATURE = 0.3


def softmax_loss(logits: list[float], target: int) -> float:
    return -math.log(math.exp(logits[target]) / sum(math.exp(logit) for logit in logits))


def test_next_item_by_hand():
    logits = [[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]
    losses = next_item(torch.tensor(logits), torch.tensor([1, 2]))
    assert losses.tolist() == pytest.approx([softmax_loss(logits[0], 1), math.log(3)])


def test_sampling_every_item_is_the_whole_softmax():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.tensor([0, 3, 8, 3])
    assert torch.equal(sampled_logits(logits, target, torch.zeros(9).double()), logits)


def test_a_candidate_stands_for_those_that_were_not_drawn():
    logits = torch.tensor([[0.3, 1.0, -0.5]], dtype=torch.float64)
    chance = torch.tensor([0.5, 0.9, 0.25], dtype=torch.float64)
    loss = next_item(sampled_logits(logits, torch.tensor([1]), chance.log()), torch.tensor([1]))
    own = math.exp(1.0)
    assert loss.item() == pytest.approx(-math.log(own / (own + math.exp(0.3) / 0.5 + math.exp(-0.5) / 0.25)))


def test_logits_of_other_columns_keep_their_target_elsewhere():
    logits, chance = torch.randn(2, 3).double(), torch.tensor([0.1, 0.5, 0.9]).double()
    for column in (-1, 3):
        corrected = sampled_logits(logits, torch.tensor([column, 1]), chance.log())
        torch.testing.assert_close(corrected[0], logits[0] - chance.log())
        assert corrected[1, 1] == logits[1, 1]


def test_a_target_alone_loses_nothing():
    logits = torch.tensor([[1.5]], requires_grad=True)
    column = torch.tensor([0])
    loss = next_item(sampled_logits(logits, column, torch.tensor([-3.0])), column)
    loss.sum().backward()
    assert loss.item() == logits.grad.item() == 0


def test_seq_item_by_hand():
    logits = [[1.0, 2.0], [0.5, -1.0]]
    losses = seq_item(torch.tensor(logits), torch.tensor([0, 1]), torch.tensor([7, 9]), torch.tensor([7, 9]))
    assert losses.tolist() == pytest.approx([softmax_loss(logits[0], 0), softmax_loss(logits[1], 1)])


def test_a_negative_that_is_the_positive_again_leaves_the_softmax():
    """Rows 0 and 2 have the same target; masked it adds nothing, not even exp(0), to the denominator."""
    logits = torch.tensor([[0.2, -3.0, 5.0], [1.0, 0.3, 2.0], [4.0, 0.1, -0.7]])
    ids = torch.tensor([7, 9, 7])
    losses = seq_item(logits, torch.arange(3), ids, ids)
    expected = [softmax_loss([0.2, -3.0], 0), softmax_loss([1.0, 0.3, 2.0], 1), softmax_loss([0.1, -0.7], 1)]
    assert losses.tolist() == pytest.approx(expected)


def test_the_released_code_keeps_duplicates_as_negatives():
    logits = torch.tensor([[0.2, -3.0, 5.0], [1.0, 0.3, 2.0], [4.0, 0.1, -0.7]])
    ids = torch.tensor([7, 9, 7])
    losses = seq_item(logits, torch.arange(3), ids, ids, mask_duplicates=False)
    expected = [softmax_loss(row, i) for i, row in enumerate(logits.tolist())]
    assert losses.tolist() == pytest.approx(expected)


def test_duplicates_get_no_gradient_and_huge_logits_stay_finite():
    logits = torch.tensor([[100.0, -100.0, 100.0], [88.0, 89.0, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
    ids = torch.tensor([7, 9, 7])
    losses = seq_item(logits, torch.arange(3), ids, ids)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] == logits.grad[2, 0] == 0
    assert logits.grad[1].abs().min() >= 0
    assert losses[0].item() == 0


def test_only_duplicates_means_nothing_to_learn():
    ids = torch.tensor([5, 5])
    losses = seq_item(torch.tensor([[0.3, 0.9], [0.1, -2.0]]), torch.arange(2), ids, ids)
    assert losses.tolist() == [0, 0]


def test_own_column_may_lie_anywhere_in_the_global_batch():
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    losses = seq_item(logits, torch.tensor([2]), torch.tensor([3]), torch.tensor([3, 1, 3, 4]))
    assert losses.item() == pytest.approx(softmax_loss([0.2, 0.3, 0.4], 1))


@pytest.fixture
def states():
    random = torch.Generator().manual_seed(0)
    return [torch.randn(5, 4, generator=random, dtype=torch.float64) for _ in range(2)]


def seq_seq_by_loops(state, augmented, form):
    def similarity(a, b):
        return float(a @ b / (a.norm() * b.norm())) / TEMPERATURE

    losses = []
    for i in range(len(state)):
        denominator = sum(math.exp(similarity(state[i], other)) for other in augmented)
        if form in ("paper", "literal"):
            denominator += sum(
                math.exp(similarity(state[i], state[j])) for j in range(len(state)) if j != i or form == "literal"
            )
        losses.append(-math.log(math.exp(similarity(state[i], augmented[i])) / denominator))
    return losses


@pytest.mark.parametrize("form", ["paper", "literal", "released"])
def test_seq_seq_equals_plain_loops(states, form):
    state, augmented = states
    losses = seq_seq(state, state, augmented, torch.arange(5), TEMPERATURE, form)
    assert losses.tolist() == pytest.approx(seq_seq_by_loops(state, augmented, form), rel=1e-12)


@pytest.mark.parametrize("form", ["paper", "literal", "released"])
def test_a_shard_has_the_losses_of_its_rows(states, form):
    state, augmented = states
    whole = seq_seq(state, state, augmented, torch.arange(5), TEMPERATURE, form)
    shard = seq_seq(state[2:], state, augmented, torch.arange(2, 5), TEMPERATURE, form)
    torch.testing.assert_close(shard, whole[2:])


def test_lengths_of_states_do_not_matter(states):
    state, augmented = states
    scale = torch.tensor([[0.1], [3.0], [7.0], [1.0], [50.0]]).double()
    ours = seq_seq(state * scale, state * scale, augmented / scale, torch.arange(5), TEMPERATURE)
    torch.testing.assert_close(ours, seq_seq(state, state, augmented, torch.arange(5), TEMPERATURE))


def test_gradients_reach_both_views(states):
    state, augmented = (one.requires_grad_() for one in states)
    seq_seq(state, state, augmented, torch.arange(5), TEMPERATURE).sum().backward()
    assert state.grad.abs().amax(1).min() > 0
    assert augmented.grad.abs().amax(1).min() > 0


def test_an_unknown_form_is_refused(states):
    with pytest.raises(
        ConfigError, match=r"objective.seq_seq_form='papre': choose one of paper, literal, released"
    ):
        seq_seq(*states[:1], *states, torch.arange(5), TEMPERATURE, "papre")
