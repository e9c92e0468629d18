"""Networks without one of their halves, and without content."""

import pytest
import tiny_models
import torch
from tiny_models import MAX_HISTORY, NUM_ITEMS, embed, make_items, make_model, score, shape_of, users_of

from missrec_pl.errors import ConfigError
from missrec_pl.nn.missrec import ContextEncoder, IDOnly, InterestEncoder

HISTORIES = [[3, 5, 2], [1], [4, 4, 9, 1, 7, 8, 2], [10, 11, 12, 5]]
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
BOTH = ("text", "image")
KINDS = {"context": ContextEncoder, "interest": InterestEncoder, "id": IDOnly}


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    for name, architecture in KINDS.items():
        monkeypatch.setitem(tiny_models.KINDS, name, (architecture, {}))


def built(kind):
    items = make_items(BOTH)
    if kind != "id":
        return make_model(kind, BOTH, items, item_ids=True), items
    one = make_items(("text",))  # a table of one token per item is what its interests are kept in
    one.is_missing = one.is_missing[:, :1]
    return make_model(kind, BOTH, one, item_ids=True), items


def encode(model, items, histories, width=None):
    with torch.no_grad():
        return users_of(model, histories, embed(model, items), width)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_other_users_change_nothing(kind):
    model, items = built(kind)
    together = encode(model, items, HISTORIES, width=MAX_HISTORY)
    for row, history in enumerate(HISTORIES):
        alone = encode(model, items, [history])
        torch.testing.assert_close(together.state[row], alone.state[0], **CLOSE)


@pytest.mark.parametrize(("kind", "matters"), [("context", False), ("interest", True), ("id", False)])
def test_who_looks_at_interests(kind, matters):
    model, items = built(kind)
    before = encode(model, items, HISTORIES).state
    model.interests.prototypes[1:] *= -2
    assert torch.allclose(encode(model, items, HISTORIES).state, before) != matters


@pytest.mark.parametrize(("kind", "matters"), [("context", True), ("interest", False), ("id", False)])
def test_who_looks_at_features(kind, matters):
    model, items = built(kind)
    before = encode(model, items, HISTORIES).state
    for rows in items.features.values():
        rows *= -2
    assert torch.allclose(encode(model, items, HISTORIES).state, before) != matters


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_what_trains_and_nothing_else(kind):
    model, items = built(kind)
    embedded = embed(model, items)
    users = users_of(model, HISTORIES, embedded)
    score(model, users.state, embedded.span(1)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_ids_alone_are_scored_by_cosine_and_know_no_inductive_setting():
    model, items = built("id")
    embedded = embed(model, items)
    scores = score(model, torch.randn(2, 8, dtype=torch.float64), embedded.span(1))
    assert scores.shape == (2, NUM_ITEMS)
    assert float(scores.detach().abs().max()) <= 1
    with pytest.raises(ConfigError, match="use setting=transductive"):
        IDOnly(shape_of(), item_ids=False)
