"""GRU4Rec and BERT4Rec: fresh weights, the mask, biases of items."""

import pytest
import torch

from missrec_pl.checkpoints.transfer import transfer_weights
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.losses import Softmax
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.histories import with_masked_place
from missrec_pl.nn import DataShape, Histories, ItemInputs, Users
from missrec_pl.nn.bert4rec import BERT4Rec
from missrec_pl.nn.gru4rec import GRU4Rec

SHAPE = DataShape(2000, {}, max_history=5)
ROWS, LENGTH = torch.tensor([[3, 4, 9, 0, 0], [5, 0, 0, 0, 0]]), torch.tensor([3, 1])


def table():
    ids = torch.arange(SHAPE.num_items + 1)
    return ItemTable(ids, torch.zeros(len(ids), 0, dtype=torch.bool), {}, {}, is_whole=True)


def bert(**options):
    torch.manual_seed(0)
    return BERT4Rec(SHAPE, **{"hidden_size": 8, "inner_size": 8, "dropout": 0.0, **options})


def test_fresh_gru_weights_are_those_of_recbole():
    torch.manual_seed(0)
    network = GRU4Rec(SHAPE, embedding_size=32, hidden_size=64, num_layers=2)
    items = network.item_embedding.weight
    assert not items[0].any()
    assert items[1:].std().item() == pytest.approx((2 / (2001 + 32)) ** 0.5, rel=0.05)
    for name, width in (("weight_ih_l0", 32), ("weight_hh_l0", 64)):
        bound = (6 / (3 * 64 + width)) ** 0.5
        assert 0.98 * bound < getattr(network.gru, name).abs().max() <= bound
    for weight in (network.gru.weight_hh_l1, network.output.weight):
        assert 0.98 / 8 < weight.abs().max() <= 1 / 8
    assert not [name for name, _ in network.gru.named_parameters() if "bias" in name]


def test_an_embedding_has_a_width():
    with pytest.raises(ConfigError, match=r"model\.embedding_size=0: must be a whole number from 1"):
        GRU4Rec(SHAPE, embedding_size=0)


def test_fresh_bert_weights():
    network = bert(hidden_size=64)
    assert not network.item_embedding.weight[0].any()
    assert not network.output_bias.weight.any()
    for part in (network.item_embedding, network.mask_embedding, network.position_embedding, network.output):
        assert part.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-12}


def test_gru_drops_nothing_but_embeddings():
    network = GRU4Rec(SHAPE, dropout=0.5)
    items = network.encode_items(ItemInputs(table()))
    found = [network.encode_histories(Histories(ROWS, LENGTH), items).state for _ in range(2)]
    assert not torch.equal(*found)
    assert torch.equal(network.encode_items(ItemInputs(table())).vectors, items.vectors)
    network.eval()
    found = [network.encode_histories(Histories(ROWS, LENGTH), items).state for _ in range(2)]
    assert torch.equal(*found)


def test_a_hidden_place_is_the_mask_and_sees_both_sides():
    network = bert().eval()
    items = network.encode_items(ItemInputs(table()))
    is_masked = torch.tensor([[False, True, False, False, False]])

    def state(*rows):
        shown = torch.tensor([[*rows, 0, 0]])
        return network.encode_histories(Histories(shown, torch.tensor([3]), is_masked), items).state[0, 1]

    assert torch.equal(state(3, 0, 9), state(3, 7, 9))  # what is hidden does not show
    assert not torch.allclose(state(3, 0, 9), state(8, 0, 9))
    assert not torch.allclose(state(3, 0, 9), state(3, 0, 8))
    with torch.no_grad():
        network.mask_embedding.weight.normal_()
    assert len(items.vectors) == SHAPE.num_items + 1  # the mask is no candidate
    assert state(3, 0, 9).isfinite().all()


def test_the_longest_history_has_a_place_for_the_mask():
    network = bert().eval()
    items = network.encode_items(ItemInputs(table()))
    asked = with_masked_place(Histories(torch.arange(1, 6)[None], torch.tensor([5])))
    assert network.encode_histories(asked, items).state.shape == (1, 6, 8)


def test_items_have_biases():
    network = bert().eval()
    state = torch.randn(2, 8)
    plain = network.score(Users(state), network.encode_items(ItemInputs(table())))
    with torch.no_grad():
        network.output_bias.weight[7] = 3.0
    moved = network.score(Users(state), network.encode_items(ItemInputs(table()))) - plain
    assert moved[:, 7].tolist() == pytest.approx([3.0, 3.0], abs=1e-6)
    assert moved.count_nonzero() == 2


@pytest.mark.parametrize("hides", [False, True], ids=["prefixes", "cloze"])
def test_training_teaches_the_mask(hides):
    """Of rows that hide nothing a cloze network is asked as in evaluation, by a hidden place behind them."""
    network = bert()
    module = TrainingModule(network, Softmax(), None, data=SHAPE)
    module.log_losses = lambda *_: None
    hidden = {}
    if hides:
        is_masked = torch.tensor([[False, True, False, False, False], [True, False, False, False, False]])
        hidden = {"is_masked": is_masked, "place": torch.tensor([1, 5])}
    rows = ROWS.masked_fill(hidden["is_masked"], 0) if hides else ROWS
    batch = SequenceBatch(rows, LENGTH, torch.tensor([4, 5]), torch.zeros(2, dtype=torch.long), table(), **hidden)
    module.training_step(batch, 0).backward()
    assert network.mask_embedding.weight.grad.any()
    assert not network.item_embedding.weight.grad[0].any()
    if not hides:
        items = network.encode_items(ItemInputs(table()))
        asked = with_masked_place(Histories(ROWS, LENGTH))
        state = network.encode_histories(asked, items).state[torch.arange(2), LENGTH]
        torch.testing.assert_close(module.encode(batch, items).state, state)


class Bare(GRU4Rec):
    """A network with weights of its own, not of a module: one of the items, one of all."""

    item_bound = ("item_embedding.", "popularity")

    def __init__(self, data):
        super().__init__(data)
        self.popularity = torch.nn.Parameter(torch.zeros(data.num_items + 1))
        self.scale = torch.nn.Parameter(torch.ones(1))


def test_weights_without_a_module_are_transferred_one_by_one():
    source = Bare(DataShape(4, {})).state_dict()
    source["scale"] = torch.tensor([7.0])
    network = Bare(DataShape(9, {}))
    report = transfer_weights(network, source)
    assert set(report.new) == {"item_embedding.weight", "popularity"}
    assert network.scale.item() == 7.0
