"""What ``compat`` changes in the network, beside the authors' own numbers (tests/compat)."""

import math

import pytest
import torch
import torch.nn.functional as F
from tiny_models import BARE_ITEMS, DIMS, HIDDEN, MAX_HISTORY, NUM_ITEMS, NUM_PROTOTYPES, embed, make_items, pad
from tiny_models import make_model as make_any_model

from missrec_pl.errors import ConfigError
from missrec_pl.losses import orthogonality
from missrec_pl.nn import ItemEmbeddings, MISSRecReleased
from missrec_pl.nn.missrec.released_rules import AsReleased

BOTH = ("text", "image")
HISTORIES = [[3, 5, 2], [1], [4, 4, 9, 1, 7, 8, 2], [10, 11, 12, 5]]
fusions = pytest.mark.parametrize("fusion", ["add", "contextual"])


def make_model(items, modalities=BOTH, **changes):
    options = {"compat": True, "history_bias": "none", **changes}
    model = make_any_model("released", modalities, items, **options)
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
    return MISSRecReleased(
        DIMS, NUM_ITEMS, NUM_PROTOTYPES, **{"hidden_size": 40, "history_bias": "none", **changes}
    )


@fusions
@pytest.mark.parametrize("transductive", [False, True])
def test_names_of_weights_do_not_depend_on_compat(fusion, transductive):
    options = {"sequence_fusion": fusion, "transductive": transductive}
    mended, released = (build(compat=compat, **options).state_dict() for compat in (False, True))
    assert list(mended) == list(released)
    assert all(mended[name].shape == released[name].shape for name in mended)


def test_the_released_network_has_no_history_bias():
    with pytest.raises(ConfigError, match=r"model.history_bias=learned: the released network has none"):
        MISSRecReleased(DIMS, NUM_ITEMS, NUM_PROTOTYPES, compat=True)


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
    cut, whole = (model.encode_users(*pad(HISTORIES, width), embed(model, items)) for width in (None, MAX_HISTORY))
    torch.testing.assert_close(cut.state, whole.state, rtol=1e-9, atol=1e-10)
    assert torch.equal(cut.is_padding, whole.is_padding)
    torch.testing.assert_close(cut.interests, whole.interests, rtol=1e-9, atol=1e-10)


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
    embedded = embed(make_model(items), items)
    left_out = make_model(items).without_interest(embedded)
    assert left_out[0].all()
    assert not left_out[1:].any()
    mended = make_any_model("released", BOTH, items)
    assert torch.equal(mended.without_interest(embedded), items.is_missing)


@pytest.mark.parametrize("concentration", [None, 1.5])
def test_a_missing_modality_scores_as_the_bias_of_its_adapter(concentration):
    items = make_items(BOTH)
    model = make_model(items, fusion_concentration=concentration)
    with torch.no_grad():
        if concentration is not None:
            model.fusion.concentration.fill_(concentration)
        state = torch.randn(4, HIDDEN, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        scores = model.score(state, embed(model, items))
        biases = torch.stack([adapter.bias for adapter in model.adapters.linear.values()])
        cosines = F.normalize(state, dim=-1) @ F.normalize(biases, dim=-1).T
        weight = torch.softmax(cosines * (concentration or 0.0), dim=-1)
    expected = (weight * cosines).sum(-1)
    for item in (0, *BARE_ITEMS):
        torch.testing.assert_close(scores[:, item], expected)


def test_a_single_modality_is_summed_with_the_id_before_the_cosine():
    items = make_items(("text",))
    model = make_model(items, ("text",), transductive=True)
    embedded = embed(model, items)
    state = torch.randn(3, HIDDEN, dtype=torch.float64)
    expected = (
        F.normalize(state, dim=-1) @ F.normalize(embedded.tokens[:, 0] + model.id_embedding.weight, dim=-1).T
    )
    torch.testing.assert_close(model.score(state, embedded), expected)


def test_the_last_items_text_alone_is_the_user_state():
    items = make_items(BOTH)
    model = make_model(items, sequence_fusion="contextual")
    decoded = []
    model.decoder.register_forward_hook(lambda _, __, out: decoded.append(out))
    history, length = pad(HISTORIES)
    users = model.encode_users(history, length, embed(model, items))
    torch.testing.assert_close(users.state, decoded[0][:, 0])


@fusions
def test_rows_of_different_items(fusion):
    """A recombined table: each modality's token and interest of its own item, padding by the given id."""
    items = make_items(BOTH)
    embedded = embed(make_model(items, sequence_fusion=fusion), items)
    rows, ids = torch.tensor([[0, 0], [3, 5], [0, 2]]), torch.tensor([0, 3, 0])
    found = embedded.recombine(rows, ids)
    assert isinstance(found, ItemEmbeddings)
    assert found.ids.tolist() == [0, 3, 0]
    for row, (text, image) in enumerate(rows.tolist()):
        assert torch.equal(found.tokens[row], torch.stack([embedded.tokens[text, 0], embedded.tokens[image, 1]]))
        assert found.interest[row].tolist() == [int(embedded.interest[text, 0]), int(embedded.interest[image, 1])]
        assert found.is_missing[row].tolist() == [
            bool(items.is_missing[text, 0]),
            bool(items.is_missing[image, 1]),
        ]


def test_the_regulariser_depends_on_padding_and_on_the_batch():
    items = make_items(BOTH)
    model = make_model(items)
    together = model.encode_users(*pad(HISTORIES), embed(model, items))
    alone = model.encode_users(*pad(HISTORIES[:1]), embed(model, items))
    rows = orthogonality(together.interests, together.is_padding, "released", 1)
    assert rows[0] != orthogonality(alone.interests, alone.is_padding, "released", 1)[0]
    torch.testing.assert_close(orthogonality(together.interests, together.is_padding, "released"), 4 * rows)
