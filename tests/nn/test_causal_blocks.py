"""What the causal networks' options change: fresh weights, padding that is seen, positions, scores."""

import pytest
import torch

from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import DataError
from missrec_pl.nn.blocks.causal_blocks import BLOCKS, left_padded, positions, right_padded
from missrec_pl.nn.blocks.hstu_block import TIME_BUCKETS, time_buckets
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Users
from missrec_pl.nn.hstu import HSTU
from missrec_pl.nn.sasrec import SASRec

SHAPE = DataShape(9, {}, max_history=4)
SIZES = {"hidden_size": 8, "num_heads": 2, "dropout": 0.0}
ROWS = torch.tensor([[3, 1, 4, 1], [5, 9, 0, 0]])
HISTORY = Histories(ROWS, torch.tensor([4, 2]))


def sasrec(**options):
    torch.manual_seed(0)
    network = SASRec(SHAPE, inner_size=8, **SIZES, **options).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "item_embedding" not in name:
                weight.add_(0.3 * torch.randn_like(weight))
    return network


def states(network, history=HISTORY):
    nothing = torch.zeros(10, 0, dtype=torch.bool)
    items = network.encode_items(ItemInputs(ItemTable(torch.arange(10), nothing, {}, {}, is_whole=True)))
    return network.encode_histories(history, items).state, items


@pytest.mark.parametrize("block", BLOCKS)
def test_a_fresh_padding_row_is_zero_but_for_a_published_fault(block):
    network = SASRec(SHAPE, block=block, **SIZES)
    assert not network.item_embedding.weight[0].any()
    assert network.item_embedding.weight[1:].all()
    published = SASRec(SHAPE, block=block, reference=True, **SIZES)
    assert published.item_embedding.weight[0].any() == (block == "recbole")
    spread = published.item_embedding.weight[1:].std()
    assert (spread > 0.5) == (block == "gsasrec")


@pytest.mark.parametrize("block", ["rectools", "ligr"])
def test_padding_is_seen_in_reference_mode_alone(block):
    mended, _ = states(sasrec(block=block))
    published, _ = states(sasrec(block=block, reference=True))
    assert published.shape == mended.shape
    torch.testing.assert_close(published[0], mended[0])  # a history that fills all places has no padding
    assert (published[1, :2] - mended[1, :2]).abs().min() > 1e-4


def test_left_padded_places():
    laid = left_padded(HISTORY, 5)
    assert laid.rows.tolist() == [[0, 3, 1, 4, 1], [0, 0, 0, 5, 9]]
    assert laid.is_padding.sum(1).tolist() == [1, 3]
    assert laid.place.tolist() == [[1, 2, 3, 4], [3, 4, 4, 4]]
    own = right_padded(HISTORY)
    assert own.is_hidden[1, 1].tolist() == [False, False, True, True]


def test_positions_from_either_end():
    length = torch.tensor([4, 2])
    assert positions(length, 4, 3, "start").tolist() == [[0, 1, 2, 2]]
    assert positions(length, 4, 4, "end").tolist() == [[3, 2, 1, 0], [1, 0, 0, 0]]


def test_items_of_histories_are_scaled_and_scores_are_cosines():
    plain, items = states(sasrec())
    scaled, _ = states(sasrec(scale=True))
    assert not torch.allclose(plain, scaled)
    scores = sasrec(cosine=True).score(Users(plain[:, 0]), items.span(1))
    unit = torch.nn.functional.cosine_similarity(plain[:, 0][:, None], items.vectors[1:], dim=-1)
    torch.testing.assert_close(scores, unit)


def test_buckets_of_time():
    times = torch.tensor([[100, 101, 103, 100_000_103]])
    bucket = time_buckets(times)
    # After the first place 1 s, after the second 2 s; the request comes long after all.
    assert bucket[0].diagonal().tolist() == [0, 2, 61]
    assert bucket[0, 1, 0] == 3  # 3 s from the first item to what follows the second
    assert int(time_buckets(torch.tensor([[0, 2**62]])).max()) <= TIME_BUCKETS


def test_times_change_what_hstu_encodes_and_are_needed():
    network = HSTU(SHAPE, **SIZES).eval()
    times = torch.tensor([[0, 60, 90, 4000, 9000], [0, 50, 80, 0, 0]])
    early, _ = states(network, Histories(ROWS, HISTORY.length, times=times))
    late, _ = states(network, Histories(ROWS, HISTORY.length, times=times + (times == 9000) * 10**6))
    assert not torch.allclose(early[0, 3], late[0, 3])
    torch.testing.assert_close(early[0, :3], late[0, :3])  # the request is told to the last place alone
    with pytest.raises(DataError, match=r"these have none: say model\.relative_time=false"):
        states(network)
