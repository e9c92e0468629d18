"""What ``compat`` changes in the network, beside the authors' own numbers (tests/compat)."""

import math

import pytest
import torch
import torch.nn.functional as F
from tiny_models import (
    BARE_ITEMS,
    HIDDEN,
    MAX_HISTORY,
    NUM_ITEMS,
    NUM_PROTOTYPES,
    embed,
    interests_of,
    is_interest_padding,
    make_items,
    prototypes,
    score,
    shape_of,
    users_of,
)
from tiny_models import make_model as make_any_model

from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.losses.contrast import orthogonality
from missrec_pl.modules.histories import torn
from missrec_pl.nn import Histories
from missrec_pl.nn.missrec import MISSRecReleased
from missrec_pl.nn.missrec.items import ItemTokens
from missrec_pl.nn.missrec.released_rules import AsReleased

BOTH = ("text", "image")
HISTORIES = [[3, 5, 2], [1], [4, 4, 9, 1, 7, 8, 2], [10, 11, 12, 5]]
fusions = pytest.mark.parametrize("fusion", ["add", "contextual"])


def make_model(items, modalities=BOTH, **changes):
    model = make_any_model("released", modalities, items, **{"compat": True, **changes})
    tokens = NUM_ITEMS * len(modalities)
    random = torch.Generator().manual_seed(3)
    everything_but_padding = torch.zeros(NUM_ITEMS + 1, len(modalities), dtype=torch.bool)
    everything_but_padding[0] = True
    model.interests.update(
        model.interests.prototypes[1:],
        torch.randint(NUM_PROTOTYPES, (tokens,), generator=random),
        everything_but_padding,
    )
    return model


def build(**changes):
    return MISSRecReleased(shape_of(), interests=prototypes(), **{"hidden_size": 40, **changes})


@fusions
@pytest.mark.parametrize("transductive", [False, True])
def test_names_of_weights_do_not_depend_on_compat(fusion, transductive):
    options = {"sequence_fusion": fusion, "item_ids": transductive}
    corrected, released = (build(compat=compat, **options).state_dict() for compat in (False, True))
    assert list(corrected) == list(released)
    assert all(corrected[name].shape == released[name].shape for name in corrected)


def test_fresh_weights_are_those_of_their_transformer():
    model = build(compat=True)
    bound = math.sqrt(6 / (4 * 40))  # Xavier's for query, key and value as one matrix [3D, D]
    attention = model.decoder.blocks[0].cross_attention
    for projection in (attention.query, attention.key_value):
        assert 0.95 * bound < projection.weight.abs().max() <= bound
        assert projection.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert projection.bias.abs().max() == 0
    assert attention.output.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert build().decoder.blocks[0].cross_attention.query.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_norms_have_their_epsilon():
    for compat, eps in ((False, 1e-5), (True, 1e-12)):
        found = {m.eps for m in build(compat=compat).modules() if isinstance(m, torch.nn.LayerNorm)}
        assert found == {eps}


@fusions
def test_a_batch_cut_to_its_longest_history_is_the_batch_padded_to_the_longest_of_all(fusion):
    """Our batches are cut; theirs are not. States and the regulariser must not tell."""
    items = make_items(BOTH)
    model = make_model(items, sequence_fusion=fusion)
    cut, whole = (users_of(model, HISTORIES, embed(model, items), width) for width in (None, MAX_HISTORY))
    torch.testing.assert_close(cut.state, whole.state, rtol=1e-9, atol=1e-10)
    assert torch.equal(is_interest_padding(cut), is_interest_padding(whole))
    torch.testing.assert_close(interests_of(cut), interests_of(whole), rtol=1e-9, atol=1e-10)


def test_interests_start_with_the_padding():
    interest = torch.tensor([[3, 0, 2, 3], [1, 4, 2, 1], [5, 5, 5, 5]])
    rows, is_padding = AsReleased().distinct_interests(interest, is_cut=False, training=False)
    assert rows.tolist() == [[0, 2, 3], [1, 2, 4], [5, 0, 0]]
    assert is_padding.tolist() == [[True, False, False], [False] * 3, [False, True, True]]
    rows, is_padding = AsReleased().distinct_interests(interest, is_cut=True, training=True)
    assert rows.tolist() == [[0, 2, 3, 0], [0, 1, 2, 4], [0, 5, 0, 0]]
    assert is_padding.tolist() == [
        [True, False, False, True],
        [True, False, False, False],
        [True, False, True, True],
    ]


def test_missing_modalities_have_an_interest_and_padding_has_none():
    items = make_items(BOTH)
    left_out = embed(make_model(items), items).extra["no_interest"]
    assert left_out[0].all()
    assert not left_out[1:].any()
    corrected = make_any_model("released", BOTH, items)
    assert torch.equal(embed(corrected, items).extra["no_interest"], items.is_missing)


@pytest.mark.parametrize("concentration", [None, 1.5])
def test_a_missing_modality_scores_as_the_bias_of_its_adapter(concentration):
    items = make_items(BOTH)
    model = make_model(items, fusion_concentration=concentration)
    with torch.no_grad():
        if concentration is not None:
            model.fusion.concentration.fill_(concentration)
        state = torch.randn(4, HIDDEN, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        scores = score(model, state, embed(model, items))
        biases = torch.stack([adapter.bias for adapter in model.item_adapters.linear.values()])
        cosines = F.normalize(state, dim=-1) @ F.normalize(biases, dim=-1).T
        weight = torch.softmax(cosines * (concentration or 0.0), dim=-1)
    expected = (weight * cosines).sum(-1)
    for item in (0, *BARE_ITEMS):
        torch.testing.assert_close(scores[:, item], expected)


def test_a_single_modality_is_summed_with_the_id_before_the_cosine():
    items = make_items(("text",))
    model = make_model(items, ("text",), item_ids=True)
    embedded = embed(model, items)
    state = torch.randn(3, HIDDEN, dtype=torch.float64)
    expected = (
        F.normalize(state, dim=-1) @ F.normalize(embedded.tokens[:, 0] + model.id_embedding.weight, dim=-1).T
    )
    torch.testing.assert_close(score(model, state, embedded), expected)


def test_the_last_items_text_alone_is_the_user_state():
    items = make_items(BOTH)
    model = make_model(items, sequence_fusion="contextual")
    decoded = []
    model.decoder.register_forward_hook(lambda _, __, out: decoded.append(out))
    users = users_of(model, HISTORIES, embed(model, items))
    torch.testing.assert_close(users.state, decoded[0][:, 0])


@fusions
def test_rows_of_different_items(fusion):
    """A recombined table: each modality's token and interest of its own item, padding by the given id."""
    items = make_items(BOTH)
    embedded = embed(make_model(items, sequence_fusion=fusion), items)
    history, length = torch.tensor([[3, 0]]), torch.tensor([1])
    batch = TornBatch(
        history=history,
        length=length,
        target=torch.tensor([1]),
        domain=torch.tensor([0]),
        modality_history=torch.tensor([[[3, 0]], [[5, 2]]]),
    )
    histories, found = torn(batch, Histories(history, length), embedded)
    assert histories.rows.tolist() == [[1, 2]]
    assert torch.equal(histories.length, length)
    assert isinstance(found, ItemTokens)
    assert found.ids.tolist() == [0, 3, 0]
    for row, (text, image) in enumerate([(0, 0), (3, 5), (0, 2)]):
        assert torch.equal(found.tokens[row], torch.stack([embedded.tokens[text, 0], embedded.tokens[image, 1]]))
        assert found.interest[row].tolist() == [int(embedded.interest[text, 0]), int(embedded.interest[image, 1])]
        assert found.is_missing[row].tolist() == [
            bool(items.is_missing[text, 0]),
            bool(items.is_missing[image, 1]),
        ]


def test_the_regulariser_depends_on_padding_and_on_the_batch():
    items = make_items(BOTH)
    model = make_model(items)
    together = users_of(model, HISTORIES, embed(model, items))
    alone = users_of(model, HISTORIES[:1], embed(model, items))
    rows = orthogonality(interests_of(together), is_interest_padding(together), "released", 1)
    assert rows[0] != orthogonality(interests_of(alone), is_interest_padding(alone), "released", 1)[0]
    torch.testing.assert_close(
        orthogonality(interests_of(together), is_interest_padding(together), "released"), 4 * rows
    )
