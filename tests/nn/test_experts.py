"""Mixtures of parametric whitenings: formula, noise and dropout, missing modalities; and cosines as scores."""

import pytest
import torch
import torch.nn.functional as F
from tiny_models import BARE_ITEMS, DIMS, make_items, shape_of

from missrec_pl.nn.blocks.cosines import cosine_scores
from missrec_pl.nn.blocks.experts import ExpertAdapters, Experts
from missrec_pl.nn.blocks.modalities import NOTHING_TO_COMPARE
from missrec_pl.nn.unisrec import UniSRec

BOTH = ("text", "image")


def large(module):
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=random))
    return module


def test_by_the_formula():
    experts, x = large(Experts(3, 2, 4, dropout=0.5)).eval(), torch.randn(5, 3)
    gates = torch.softmax(x @ experts.gate, 1)
    wanted = sum(gates[:, e, None] * ((x - experts.shift[e]) @ experts.weight[e].T) for e in range(4))
    torch.testing.assert_close(experts(x), wanted)


def test_gates_start_equal_and_are_noisy_in_training_alone():
    experts, x = Experts(3, 2, 4, dropout=0.0), torch.randn(2000, 3)
    noisy = experts.gates(x).detach()
    assert torch.equal(experts.eval().gates(x), torch.full((2000, 4), 0.25))
    logits = noisy.log() - noisy.log().mean(1, keepdim=True)
    wanted = (torch.tensor(2.0).log() + 0.01) * (3 / 4) ** 0.5  # softplus(0) and the floor; less the rows' mean
    torch.testing.assert_close(logits.std(), wanted, atol=0.02, rtol=0)


def test_every_expert_drops_features_of_its_own_before_the_shift():
    experts, x = Experts(1, 1, 3, dropout=0.5), torch.ones(4000, 1)
    with torch.no_grad():
        experts.weight.fill_(1.0)
        experts.shift.fill_(1.0)
        experts.gate.copy_(torch.tensor([[0.0, 0.0, 0.0]]))
        experts.noise.fill_(-30.0)
    found = experts(x).detach()[:, 0]  # of three draws of 0 or 2, less 1
    shares = [float(((found - value).abs() < 0.2).float().mean()) for value in (-1, -1 / 3, 1 / 3, 1)]
    assert shares == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8], abs=0.04)


def test_modalities_are_summed_where_they_are_there():
    items = make_items(BOTH)
    inputs = items.inputs()
    adapters = large(ExpertAdapters({name: DIMS[name] for name in BOTH}, 4, 3, 0.0)).eval()
    found = adapters(inputs.table.features, inputs.table.rows, len(inputs.ids))
    parts = [
        adapters.experts[name](items.features[name]) * ~items.is_missing[:, m, None] for m, name in enumerate(BOTH)
    ]
    torch.testing.assert_close(found, sum(parts))
    assert not found[list(BARE_ITEMS)].any()
    as_zeros = large(ExpertAdapters({name: DIMS[name] for name in BOTH}, 4, 3, 0.0, missing_is_zero=True)).eval()
    zeros = sum(as_zeros.experts[name](torch.zeros(1, DIMS[name])) for name in BOTH)
    found = as_zeros(inputs.table.features, inputs.table.rows, len(inputs.ids))
    torch.testing.assert_close(found[list(BARE_ITEMS)], zeros.expand(len(BARE_ITEMS), -1))


def test_cosines():
    state, vectors = torch.randn(4, 3), torch.randn(6, 3)
    vectors[2] = 0
    wanted = F.cosine_similarity(state[:, None], vectors[None], dim=-1)
    wanted[:, 2] = NOTHING_TO_COMPARE
    found = cosine_scores(state, vectors)
    torch.testing.assert_close(found, wanted)
    assert not cosine_scores(state, vectors, of_nothing=0.0)[:, 2].any()
    own = torch.tensor([[0, 2], [1, 3], [5, 5], [2, 4]])
    torch.testing.assert_close(cosine_scores(state, vectors[own]), wanted.gather(1, own))


@pytest.mark.parametrize("item_ids", [False, True])
def test_an_item_of_which_nothing_is_known_is_ranked_last(item_ids):
    network = large(UniSRec(shape_of(BOTH), item_ids=item_ids, hidden_size=4, num_heads=2, inner_size=4)).eval()
    items = network.encode_items(make_items(BOTH).inputs())
    scores = cosine_scores(torch.randn(3, 4), items.vectors)
    assert (scores[:, BARE_ITEMS[0]] == NOTHING_TO_COMPARE).all() == (not item_ids)
