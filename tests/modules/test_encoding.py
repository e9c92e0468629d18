import pytest
import torch
from tiny_runs import MODELS, NUM_PROTOTYPES, fill_interests

from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape, Histories, Items
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec.items import ItemTokens
from missrec_pl.nn.sasrec import SASRec

NUM_ITEMS, WIDTH, ROWS = 20, 9, 23
SHAPE = DataShape(NUM_ITEMS, {"text": 4, "image": 3})
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def histories():
    random = torch.Generator().manual_seed(0)
    length = torch.randint(1, WIDTH + 1, (ROWS,), generator=random)
    history = torch.randint(1, NUM_ITEMS + 1, (ROWS, WIDTH), generator=random)
    return Histories(history * (torch.arange(WIDTH) < length[:, None]), length)


def make(kind, **options):
    torch.manual_seed(1)
    sizes = {"hidden_size": 8, "num_heads": 2, "dropout": 0.0}
    model = MODELS[kind](SHAPE, interests=InterestSettings(NUM_PROTOTYPES), **sizes, **options).double()
    is_missing = torch.rand(NUM_ITEMS + 1, 2) < 0.3
    is_missing[0] = True
    fill_interests(model, is_missing)
    tokens = torch.randn(NUM_ITEMS + 1, 2, 8).double() * ~is_missing[..., None]
    extra = {"is_missing": is_missing, "interest": model.interests.assignment, "no_interest": is_missing}
    return model, ItemTokens(tokens.requires_grad_(), torch.arange(NUM_ITEMS + 1), extra)


def make_sasrec():
    """A network with a state at every place."""
    torch.manual_seed(1)
    model = SASRec(SHAPE, hidden_size=8, dropout=0.0).double()
    vectors = torch.randn(NUM_ITEMS + 1, 8).double()
    return model, Items(vectors.requires_grad_(), torch.arange(NUM_ITEMS + 1))


def spied(model):
    """Rows, width and longest history of every group that the network encodes."""
    calls, encode = [], model.encode_histories

    def spy(histories, items):
        calls.append((len(histories), histories.rows.shape[1], int(histories.length.max())))
        return encode(histories, items)

    model.encode_histories = spy
    return calls


def encoded(kind, histories, num_buckets):
    model, items = make(kind)
    users = encode_users(model, histories, items, num_buckets=num_buckets)
    weights = torch.linspace(-1, 1, ROWS).double()[:, None]
    interests = users.each(
        lambda group: (group.extra["interests"] * ~group.extra["is_interest_padding"][..., None]).sum(1)
    )
    ((users.state * weights).sum() + (interests * weights).square().sum()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return users, interests, {"tokens": items.vectors.grad, **gradients}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("num_buckets", [2, 4, 8, 11])
def test_buckets_change_neither_states_nor_gradients(kind, histories, num_buckets):
    once, interests, gradients = encoded(kind, histories, 1)
    bucketed, same_interests, same_gradients = encoded(kind, histories, num_buckets)
    assert len(once.groups) == 1
    assert num_buckets / 2 < len(bucketed.groups) <= num_buckets
    torch.testing.assert_close(bucketed.state, once.state, **CLOSE)
    torch.testing.assert_close(same_interests, interests, **CLOSE)
    counts = [users.each(lambda group: (~group.extra["is_interest_padding"]).sum(1)) for users in (once, bucketed)]
    assert torch.equal(*counts)
    assert gradients["tokens"].abs().sum() > 0
    for name, gradient in gradients.items():
        assert (gradient is None) == (same_gradients[name] is None)
        if gradient is not None:
            torch.testing.assert_close(same_gradients[name], gradient, rtol=1e-9, atol=1e-11)


def test_each_bucket_is_only_as_wide_as_its_longest_row(histories):
    model, items = make("missrec")
    widths = spied(model)
    encode_users(model, histories, items, num_buckets=4)
    assert sum(rows for rows, _, _ in widths) == ROWS
    assert all(width == longest for _, width, longest in widths)
    assert [width for _, width, _ in widths] == sorted(width for _, width, _ in widths)
    assert len(widths) == 4


def test_few_rows_are_encoded_at_once(histories):
    model, items = make("missrec")
    calls = spied(model)
    users = encode_users(model, histories.cut(slice(0, 5)), items, num_buckets=8)
    assert len(calls) == 1
    assert users.state.shape == (5, 8)


def test_what_depends_on_padding_is_encoded_as_it_is(histories):
    model, items = make("released", compat=True)
    calls = spied(model)
    encode_users(model, histories, items, num_buckets=4)
    assert calls == [(ROWS, WIDTH, int(histories.length.max()))]


def flat_places(histories, *, share=0.6):
    """Some places of the histories, rising; several of one, none of another."""
    random = torch.Generator().manual_seed(2)
    is_wanted = (torch.rand(ROWS, WIDTH, generator=random) < share) & ~histories.is_padding
    is_wanted[3] = False
    return is_wanted.flatten().nonzero()[:, 0]


@pytest.mark.parametrize("num_buckets", [1, 2, 4, 11])
def test_states_at_several_places_of_groups_are_those_of_one_padded_batch(histories, num_buckets):
    places, found = flat_places(histories), []
    for asked in (None, num_buckets):
        model, items = make_sasrec()
        if asked is None:
            every = model.encode_histories(histories, items).state
            last = every[torch.arange(ROWS), histories.length - 1]
            state = every.flatten(0, 1)[places]
        else:
            users = encode_users(model, histories, items, num_buckets=asked, places=places)
            state, last = users.state, users.last
            assert num_buckets / 2 < len(users.groups) <= num_buckets
        weights = torch.linspace(-1, 1, len(places)).double()[:, None]
        (state * weights).sum().backward()
        found.append((state, last, items.vectors.grad, [p.grad for p in model.blocks.parameters()]))
    assert len(found[0][0]) == len(places) > 2 * ROWS
    torch.testing.assert_close(found[1], found[0], **CLOSE)


@pytest.mark.parametrize("num_buckets", [1, 4])
def test_without_places_the_last_one_counts(histories, num_buckets):
    model, items = make_sasrec()
    users = encode_users(model, histories, items, num_buckets=num_buckets)
    last = torch.arange(ROWS) * WIDTH + histories.length - 1
    there = encode_users(model, histories, items, num_buckets=num_buckets, places=last)
    assert users.state is users.last
    torch.testing.assert_close(there.state, users.state, **CLOSE)


def test_one_state_a_history_has_no_places(histories):
    model, items = make("missrec")
    with pytest.raises(ConfigError, match=r"data\.example: .* one state a history, .* use data\.example=prefix"):
        encode_users(model, histories, items, num_buckets=4, places=flat_places(histories))


def test_states_are_never_narrower_than_float32(histories):
    model, items = make_sasrec()
    model.bfloat16()
    half = items.apply(lambda tensor: tensor.detach().bfloat16() if tensor.is_floating_point() else tensor)
    users = encode_users(model, histories, half, num_buckets=4, places=flat_places(histories))
    assert users.state.dtype == users.last.dtype == torch.float32
