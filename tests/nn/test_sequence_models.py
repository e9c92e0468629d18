"""What must hold for both architectures, both settings and any modalities."""

import pytest
import torch
from tiny_models import (
    BARE_ITEMS,
    KINDS,
    MAX_HISTORY,
    MODALITIES,
    NUM_ITEMS,
    NUM_PROTOTYPES,
    embed,
    interests_of,
    is_interest_padding,
    make_items,
    make_model,
    pad,
    prototypes,
    score,
    shape_of,
    users_of,
)

from missrec_pl.losses.contrast import orthogonality
from missrec_pl.losses.step import next_item
from missrec_pl.nn import DataShape, Items
from missrec_pl.nn.scorers import Scorers, SeenItems

HISTORIES = [[3, 5, 2], [1], [4, 4, 9, 1, 7, 8, 2], [10, 11, 12, 5]]
CLOSE = {"rtol": 1e-9, "atol": 1e-10}

every_kind = pytest.mark.parametrize("kind", KINDS)
every_setting = pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
every_modalities = pytest.mark.parametrize("modalities", MODALITIES, ids="+".join)


def encode(model, items, histories, width=None):
    with torch.no_grad():
        return users_of(model, histories, embed(model, items), width)


@every_kind
@every_setting
@every_modalities
def test_padding_and_other_users_change_nothing(kind, transductive, modalities):
    items = make_items(modalities)
    model = make_model(kind, modalities, items, item_ids=transductive)
    together = encode(model, items, HISTORIES, width=MAX_HISTORY)
    for row, history in enumerate(HISTORIES):
        alone = encode(model, items, [history])
        torch.testing.assert_close(together.state[row], alone.state[0], **CLOSE)
        ours, theirs = ~is_interest_padding(together)[row], ~is_interest_padding(alone)[0]
        torch.testing.assert_close(interests_of(together)[row, ours], interests_of(alone)[0, theirs], **CLOSE)


@every_kind
@every_setting
def test_users_differ_and_order_matters(kind, transductive):
    modalities = ("text", "image")
    items = make_items(modalities)
    model = make_model(kind, modalities, items, item_ids=transductive)
    states = encode(model, items, [[1, 2, 3], [3, 2, 1], [1, 2, 4]]).state
    assert (states[0] - states[1]).abs().max() > 1e-3
    assert (states[0] - states[2]).abs().max() > 1e-3


@every_kind
@every_setting
def test_a_missing_modality_is_as_if_the_model_had_never_known_it(kind, transductive):
    """No item has an image: states, interests and scores are those of a text model with the same weights."""
    both, text = ("text", "image"), ("text",)
    items = make_items(both)
    items.is_missing[:, 1] = True
    only_text = make_items(text)
    only_text.features["text"], only_text.is_missing = items.features["text"], items.is_missing[:, :1]
    model = make_model(kind, both, items, item_ids=transductive)
    smaller = make_model(kind, text, only_text, item_ids=transductive)
    weights = model.state_dict()
    weights["fitted.interests.assignment"] = weights["fitted.interests.assignment"][:, :1]
    smaller.load_state_dict({name: weights[name] for name in smaller.state_dict()})
    ours, theirs = encode(model, items, HISTORIES), encode(smaller, only_text, HISTORIES)
    torch.testing.assert_close(ours.state, theirs.state, **CLOSE)
    torch.testing.assert_close(interests_of(ours), interests_of(theirs), **CLOSE)
    assert torch.equal(is_interest_padding(ours), is_interest_padding(theirs))
    torch.testing.assert_close(
        score(model, ours.state, embed(model, items).span(1)),
        score(smaller, theirs.state, embed(smaller, only_text).span(1)),
        **CLOSE,
    )


@every_kind
@every_setting
@every_modalities
def test_an_adapters_bias_never_poses_as_a_missing_item_token(kind, transductive, modalities):
    items = make_items(modalities)
    items.is_missing[5, -1] = items.is_missing[9, -1] = True
    model = make_model(kind, modalities, items, item_ids=transductive)
    before = encode(model, items, [[5, 9], [5]])
    candidates = torch.tensor([5, 9])
    scores = score(model, before.state, embed(model, items).take(candidates))
    with torch.no_grad():
        model.item_adapters.linear[modalities[-1]].bias += 7.0
    after = encode(model, items, [[5, 9], [5]])
    assert embed(model, items).tokens[items.is_missing].abs().max() == 0
    assert torch.equal(before.state, after.state)
    assert torch.equal(interests_of(before), interests_of(after))
    assert torch.equal(scores, score(model, after.state, embed(model, items).take(candidates)))
    untouched = make_model(kind, modalities, items, item_ids=transductive)
    complete = [[1, 2]]  # items with every modality do feel it
    assert not torch.equal(encode(model, items, complete).state, encode(untouched, items, complete).state)


@every_kind
@every_setting
def test_the_order_of_modalities_does_not_matter(kind, transductive):
    one, other = ("text", "image", "audio"), ("audio", "text", "image")
    items = make_items(one)
    model = make_model(kind, one, items, item_ids=transductive)
    order = [one.index(name) for name in other]
    swapped = make_items(other)
    swapped.features = {name: items.features[name] for name in other}
    swapped.is_missing = items.is_missing[:, order]
    turned = make_model(kind, other, swapped, item_ids=transductive)
    weights = model.state_dict()
    weights["fitted.interests.assignment"] = weights["fitted.interests.assignment"][:, order]
    turned.load_state_dict(weights)
    ours, theirs = encode(model, items, HISTORIES), encode(turned, swapped, HISTORIES)
    torch.testing.assert_close(ours.state, theirs.state, **CLOSE)
    torch.testing.assert_close(
        score(model, ours.state, embed(model, items)), score(turned, theirs.state, embed(turned, swapped)), **CLOSE
    )


@every_kind
@every_modalities
def test_items_without_any_modality_come_last_when_inductive(kind, modalities):
    items = make_items(modalities)
    model = make_model(kind, modalities, items)
    scores = score(model, encode(model, items, HISTORIES).state, embed(model, items).span(1))
    bare = [item - 1 for item in BARE_ITEMS]
    others = [c for c in range(NUM_ITEMS) if not items.is_missing[c + 1].all()]
    assert scores[:, bare].max() < scores[:, others].min()


@every_kind
@every_modalities
def test_items_without_any_modality_are_scored_by_id_when_transductive(kind, modalities):
    items = make_items(modalities)
    model = make_model(kind, modalities, items, item_ids=True)
    users = encode(model, items, HISTORIES)
    with torch.no_grad():
        scores = score(model, users.state, embed(model, items).take(torch.tensor(BARE_ITEMS)))
        table = model.id_embedding.weight[list(BARE_ITEMS)]
    cosine = torch.cosine_similarity(users.state[:, None], table[None], dim=-1)
    torch.testing.assert_close(scores, model.combine_scores(cosine, cosine), **CLOSE)
    assert torch.equal(scores.argsort(1), cosine.argsort(1))


@pytest.mark.parametrize(("kind", "weights"), [("missrec", (1, 1)), ("released", (2 / 3, 1 / 3))])
def test_transductive_scores_follow_eq_10_or_the_release(kind, weights):
    items = make_items(("text",))
    model = make_model(kind, ("text",), items, item_ids=True)
    state = encode(model, items, HISTORIES).state
    embedded = embed(model, items).take(torch.tensor([1, 2, 3]))
    fused = torch.cosine_similarity(state[:, None], embedded.tokens[None, :, 0], dim=-1)
    by_id = torch.cosine_similarity(state[:, None], model.id_embedding.weight[None, 1:4], dim=-1)
    expected = weights[0] * fused + weights[1] * by_id
    torch.testing.assert_close(score(model, state, embedded), expected, **CLOSE)


@every_kind
@every_setting
def test_a_history_of_nothing_but_bare_items_gives_finite_states_and_gradients(kind, transductive):
    modalities = ("text", "image")
    items = make_items(modalities)
    model = make_model(kind, modalities, items, item_ids=transductive).train()
    embedded = embed(model, items)
    users = users_of(model, [list(BARE_ITEMS), [1, 2]], embedded)
    assert users.state.isfinite().all()
    assert is_interest_padding(users)[0].all()
    (score(model, users.state, embedded.span(1)).sum() + interests_of(users).sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@every_kind
def test_the_ids_of_bare_items_tell_histories_apart(kind):
    items = make_items(("text", "image"))
    model = make_model(kind, ("text", "image"), items, item_ids=True)
    first, second = BARE_ITEMS
    states = encode(
        model, items, [[first], [second], [first, second], [second, first], [1, first], [1, second]]
    ).state
    assert torch.cdist(states, states)[~torch.eye(len(states), dtype=torch.bool)].min() > 1e-3


@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
def test_a_bare_last_item_does_not_erase_the_contextual_history(transductive):
    items = make_items(("text", "image"))
    model = make_model("released-contextual", ("text", "image"), items, item_ids=transductive)
    states = encode(model, items, [[1, 2, BARE_ITEMS[0]], [2, 3, BARE_ITEMS[0]]]).state
    assert (states[0] - states[1]).abs().max() > 1e-3


def finetune_loss(model, scorers, embedded):
    history = pad([[1, 2, 3, 1, 2, 3, 1, 2, 3, 1], *HISTORIES[1:]])
    users, candidates = model.encode_histories(history, embedded), embedded.span(1)
    logits = scorers.add(score(model, users.state, candidates), history, embedded, candidates)
    loss = next_item(logits, torch.tensor([0, 1, 2, 3]))
    return (loss + orthogonality(interests_of(users), is_interest_padding(users))).sum()


def seen_items():
    return Scorers({"seen": SeenItems(shape_of())}).double()


@every_kind
@every_setting
@every_modalities
def test_a_fine_tuning_step_reaches_every_parameter(kind, transductive, modalities):
    items = make_items(modalities)
    model = make_model(kind, modalities, items, item_ids=transductive)
    scorers = seen_items()
    finetune_loss(model, scorers, embed(model, items)).backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9}
    assert all(p.grad.abs().max() > 1e-9 for p in scorers.parameters())
    # One modality leaves alpha nothing to weigh, so it must not be trained: DDP would wait for its gradient.
    assert silent == ({"fusion.concentration"} if len(modalities) == 1 else set())
    assert model.fusion.concentration.requires_grad == (len(modalities) > 1)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert not any(buffer.requires_grad for buffer in model.buffers())


@every_kind
@every_setting
def test_a_fine_tuning_step_does_not_reach_padding(kind, transductive):
    items = make_items(("text", "image"))
    model = make_model(kind, ("text", "image"), items, item_ids=transductive)
    embedded = embed(model, items)
    tokens = embedded.tokens.detach().requires_grad_()
    finetune_loss(model, seen_items(), Items(tokens, embedded.ids, embedded.extra)).backward()
    assert tokens.grad[0].abs().max() == 0
    assert tokens.grad[1:4].abs().amax(-1).min() > 0
    if transductive:
        assert model.id_embedding.weight.grad[0].abs().max() == 0
        assert model.id_embedding.weight.grad[1:].abs().amax(-1).min() > 0


@every_kind
def test_candidates_are_normalised_once_for_all_blocks_of_users(kind, monkeypatch):
    items = make_items(("text", "image"))
    model = make_model(kind, ("text", "image"), items, item_ids=True)
    candidates, state = embed(model, items).span(1), encode(model, items, HISTORIES).state
    whole = score(model, state, candidates)
    looked_up = []
    monkeypatch.setattr("torch.nn.functional.embedding", lambda *_: looked_up.append(1))
    torch.testing.assert_close(torch.cat([score(model, one[None], candidates) for one in state]), whole, **CLOSE)
    assert not looked_up


def test_unused_items_get_no_gradient():
    items = make_items(("text",))
    model = make_model("missrec", ("text",), items, item_ids=True)
    users = users_of(model, [[1, 2, 3]], embed(model, items))
    users.state.sum().backward()
    touched = model.id_embedding.weight.grad.abs().sum(-1) > 0
    assert touched.nonzero().flatten().tolist() == [1, 2, 3]


def test_positions_from_the_end_are_those_from_the_start_turned_round():
    items = make_items(("text",))
    end = make_model("missrec", ("text",), items)
    start = make_model("missrec-start", ("text",), items)
    for history in HISTORIES:
        start.load_state_dict(end.state_dict())
        with torch.no_grad():
            used = start.position_embedding.weight[: len(history)]
            used.copy_(used.flip(0).clone())
        expected = encode(start, items, [history]).state
        torch.testing.assert_close(encode(end, items, [history], width=MAX_HISTORY).state, expected, **CLOSE)


def test_contextual_and_summed_sequences_are_the_same_for_one_modality_only():
    for modalities, same in ((("text",), True), (("text", "image"), False)):
        items = make_items(modalities)
        summed = make_model("released", modalities, items)
        contextual = make_model("released-contextual", modalities, items)
        contextual.load_state_dict(summed.state_dict())
        ours, theirs = (encode(model, items, [[1, 2, 3], [3]]).state for model in (summed, contextual))
        assert torch.allclose(ours, theirs, atol=1e-5) == same


def test_contextual_reads_the_last_item_through_its_present_tokens():
    items = make_items(("text", "image"))
    items.is_missing[5] = torch.tensor([True, False])
    model = make_model("released-contextual", ("text", "image"), items)
    outputs = []
    hook = model.decoder.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    users = encode(model, items, [[1, 2], [1, 5], [3]])
    hook.remove()
    text, image = outputs[0].unbind(1)
    torch.testing.assert_close(users.state[0], (text[0] + image[0]) / 2)
    torch.testing.assert_close(users.state[1], image[1])
    torch.testing.assert_close(users.state[2], (text[2] + image[2]) / 2)


@every_kind
def test_projecting_all_prototypes_at_once_changes_nothing(kind, monkeypatch):
    items = make_items(("text", "image"))
    model = make_model(kind, ("text", "image"), items)
    at_once = encode(model, items, HISTORIES).state
    monkeypatch.setattr(type(model), "projected_prototypes", lambda *_: None)
    torch.testing.assert_close(at_once, encode(model, items, HISTORIES).state, rtol=1e-9, atol=1e-12)


@every_kind
def test_the_interest_table_drives_the_state(kind):
    items = make_items(("text", "image"))
    model = make_model(kind, ("text", "image"), items)
    before = encode(model, items, HISTORIES).state
    model.interests.update(
        torch.randn(
            NUM_PROTOTYPES, model.interests.prototypes.shape[1], generator=torch.Generator().manual_seed(9)
        ).double(),
        torch.zeros(int((~items.is_missing).sum()), dtype=torch.long),
        items.is_missing,
    )
    assert (encode(model, items, HISTORIES).state - before).abs().amax(-1).min() > 1e-3


@every_kind
def test_fresh_networks_are_sized_and_initialised_as_said(kind):
    architecture, options = KINDS[kind]
    torch.manual_seed(0)
    sizes = {"hidden_size": 60, "num_heads": 2, "interests": prototypes(4)}
    model = architecture(DataShape(500, {"text": 6}), item_ids=True, **sizes, **options)
    assert model.id_embedding.weight.shape == (501, 60)
    assert model.id_embedding.weight[0].abs().max() == 0
    assert model.id_embedding.weight[1:].std().item() == pytest.approx(0.02, rel=0.05)
    assert model.fusion.concentration.item() == 0
    assert model.interests.is_empty
    assert model.interests.num_prototypes == 4
    bare = architecture(DataShape(5, {"text": 6}), fusion_concentration=None, **{**sizes, "hidden_size": 8})
    assert bare.id_embedding is None
    assert bare.fusion.concentration is None
