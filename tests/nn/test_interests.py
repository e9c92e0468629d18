import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from missrec_pl.nn.interests import InterestSettings, InterestTable, distinct_interests

K = 5
INDICES = arrays("int64", array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, K))


@given(INDICES)
def test_distinct_interests_are_the_set_of_interests(interest):
    rows, is_padding = distinct_interests(torch.from_numpy(interest))
    expected = [sorted(set(row.tolist()) - {0}) for row in interest]
    assert rows.shape == is_padding.shape == (len(interest), max(1, *map(len, expected)))
    for row, distinct in enumerate(expected):
        count = len(distinct)
        assert is_padding[row].tolist() == [False] * count + [True] * (is_padding.shape[1] - count)
        assert rows[row].tolist() == distinct + [0] * (rows.shape[1] - count)


@given(INDICES, st.randoms(use_true_random=False))
def test_distinct_interests_ignore_order_and_padding(interest, random):
    shuffled = [[*random.sample(row, len(row)), 0, 0] for row in interest.tolist()]
    rows, is_padding = distinct_interests(torch.from_numpy(interest))
    again, is_padding_again = distinct_interests(torch.tensor(shuffled))
    assert torch.equal(rows, again)
    assert torch.equal(is_padding, is_padding_again)


def test_update_numbers_interests_from_one_and_leaves_missing_at_none():
    table = InterestTable(InterestSettings(3), num_tokens=4, num_items=3, num_modalities=2, hidden_size=2)
    assert table.is_empty
    is_missing = torch.tensor([[True, True], [False, True], [False, False], [True, False]])
    table.update(torch.ones(3, 2), torch.tensor([2, 0, 1, 1]), is_missing)
    assert table.assignment.tolist() == [[0, 0], [3, 0], [1, 2], [0, 2]]
    assert table.prototypes.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]
    assert not table.is_empty
    # Nothing of the old table shines through.
    is_missing[2] = True
    table.update(torch.zeros(3, 2), torch.tensor([1, 0]), is_missing)
    assert table.assignment.tolist() == [[0, 0], [2, 0], [0, 0], [0, 1]]
    assert table.num_refreshes.item() == 2


def test_a_checkpoint_carries_the_table():
    full, empty = (InterestTable(InterestSettings(2), 2, 2, 1, 3) for _ in range(2))
    full.update(torch.rand(2, 3), torch.tensor([1, 0]), torch.tensor([[True], [False], [False]]))
    empty.load_state_dict(full.state_dict())
    assert not empty.is_empty
    assert empty.num_prototypes == 2
    assert torch.equal(empty.prototypes, full.prototypes)
    assert empty.assignment.tolist() == [[0], [2], [1]]
    assert list(full.parameters()) == []
