import pytest
import torch
from tiny_runs import MODELS, fill_interests

from missrec_pl.nn import ItemEmbeddings
from missrec_pl.nn.encoding import encode_in_buckets

NUM_ITEMS, WIDTH, ROWS = 20, 9, 23


@pytest.fixture
def histories():
    random = torch.Generator().manual_seed(0)
    length = torch.randint(1, WIDTH + 1, (ROWS,), generator=random)
    history = torch.randint(1, NUM_ITEMS + 1, (ROWS, WIDTH), generator=random)
    return history * (torch.arange(WIDTH) < length[:, None]), length


def make(kind):
    torch.manual_seed(1)
    model = MODELS[kind]({"text": 4, "image": 3}, NUM_ITEMS, 6, hidden_size=8, num_heads=2, dropout=0.0).double()
    is_missing = torch.rand(NUM_ITEMS + 1, 2) < 0.3
    is_missing[0] = True
    fill_interests(model, is_missing)
    tokens = torch.randn(NUM_ITEMS + 1, 2, 8).double() * ~is_missing[..., None]
    return model, tokens.requires_grad_(), is_missing


def encoded(kind, histories, num_buckets):
    model, tokens, is_missing = make(kind)
    ids = torch.arange(NUM_ITEMS + 1)
    items = ItemEmbeddings(tokens, is_missing, model.interests.assignment, ids)
    users = encode_in_buckets(model, *histories, items, num_buckets)
    weights = torch.linspace(-1, 1, ROWS).double()[:, None]
    interests = users.in_order([(group.interests * ~group.is_padding[..., None]).sum(1) for group in users.groups])
    ((users.state * weights).sum() + (interests * weights).square().sum()).backward()
    return users, interests, {"tokens": tokens.grad, **{name: p.grad for name, p in model.named_parameters()}}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("num_buckets", [2, 4, 8, 11])
def test_buckets_change_neither_states_nor_gradients(kind, histories, num_buckets):
    once, interests, gradients = encoded(kind, histories, 1)
    bucketed, same_interests, same_gradients = encoded(kind, histories, num_buckets)
    torch.testing.assert_close(bucketed.state, once.state, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(same_interests, interests, rtol=1e-10, atol=1e-12)
    counts = [users.in_order([(~group.is_padding).sum(1) for group in users.groups]) for users in (once, bucketed)]
    assert torch.equal(*counts)
    assert gradients["tokens"].abs().sum() > 0
    for name, gradient in gradients.items():
        assert (gradient is None) == (same_gradients[name] is None)
        if gradient is not None:
            torch.testing.assert_close(same_gradients[name], gradient, rtol=1e-9, atol=1e-11)


def test_each_bucket_is_only_as_wide_as_its_longest_row(histories):
    model, tokens, is_missing = make("missrec")
    items = ItemEmbeddings(tokens, is_missing, model.interests.assignment, torch.arange(NUM_ITEMS + 1))
    widths, encode_users = [], model.encode_users

    def spy(history, length, items):
        widths.append((len(history), history.shape[1], int(length.max())))
        return encode_users(history, length, items)

    model.encode_users = spy
    encode_in_buckets(model, *histories, items, 4)
    assert sum(rows for rows, _, _ in widths) == ROWS
    assert all(width == longest for _, width, longest in widths)
    assert [width for _, width, _ in widths] == sorted(width for _, width, _ in widths)
    assert len(widths) == 4


def test_few_rows_are_encoded_at_once(histories):
    history, length = histories[0][:5], histories[1][:5]
    model, tokens, is_missing = make("missrec")
    items = ItemEmbeddings(tokens, is_missing, model.interests.assignment, torch.arange(NUM_ITEMS + 1))
    calls, encode_users = [], model.encode_users
    model.encode_users = lambda *arguments: calls.append(arguments) or encode_users(*arguments)
    users = encode_in_buckets(model, history, length, items, 8)
    assert len(calls) == 1
    assert users.state.shape == (5, 8)
