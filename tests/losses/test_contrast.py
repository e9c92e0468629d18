import inspect
import math

import pytest
import torch

from missrec_pl.errors import ConfigError
from missrec_pl.losses import Contrastive
from missrec_pl.losses.contrast import seq_seq
from missrec_pl.losses.step import next_item, sampled_logits

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


def test_views_leave_out_histories_with_the_same_target():
    random = torch.Generator().manual_seed(0)
    state, second = (torch.randn(3, 4, generator=random, dtype=torch.float64) for _ in range(2))
    unit = [torch.nn.functional.normalize(one, dim=-1) for one in (state, second)]
    cosines = (unit[0] @ unit[1].T / TEMPERATURE).tolist()
    is_copy = torch.tensor([[False, False, True], [False, False, False], [True, False, False]])
    said = (state, state, second, torch.arange(3), TEMPERATURE, "views")
    found = seq_seq(*said, is_copy=is_copy)
    wanted = [softmax_loss(cosines[0][:2], 0), softmax_loss(cosines[1], 1), softmax_loss(cosines[2][1:], 1)]
    assert found.tolist() == pytest.approx(wanted)
    counted = seq_seq(*said, is_copy=is_copy, duplicate_logit=0.0)
    wanted = [softmax_loss([*cosines[0][:2], 0.0], 0), wanted[1], softmax_loss([0.0, *cosines[2][1:]], 2)]
    assert counted.tolist() == pytest.approx(wanted)
    torch.testing.assert_close(seq_seq(*said), seq_seq(*said[:-1], "released"))


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
    """As users run it: the tests' checker of annotations would be first."""
    says = r"objective.seq_seq_form=papre: choose one of paper, literal, released"
    with pytest.raises(ConfigError, match=says):
        inspect.unwrap(seq_seq)(*states[:1], *states, torch.arange(5), TEMPERATURE, "papre")
    with pytest.raises(ConfigError, match=says):
        inspect.unwrap(Contrastive.__init__)(Contrastive(), seq_seq_form="papre")


@pytest.mark.parametrize("column", [4, 9])
def test_a_target_outside_of_a_chunk_leaves_all_its_columns_corrected(column):
    logits, log_inclusion = torch.randn(1, 4), torch.tensor([0.5, 0.1, 0.9, 0.3]).log()
    found = sampled_logits(logits, torch.tensor([column]), log_inclusion)
    torch.testing.assert_close(found, logits - log_inclusion)
    torch.testing.assert_close(sampled_logits(logits, torch.tensor([-1]), log_inclusion), logits - log_inclusion)
