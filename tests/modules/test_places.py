"""What stands before targets at several places, and the hidden place that a cloze network fills in."""

import numpy as np
import pytest
import torch
from tiny_runs import detach_from_trainer, optimizer, shape_of

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import SharedNegatives
from missrec_pl.data.datasets import TrainingBatches
from missrec_pl.data.examples.kinds import ClozeStretches, ShiftedStretches, TrainingPrefixes
from missrec_pl.data.samplers import SharedBatch
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Softmax
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.histories import before_places, with_masked_place
from missrec_pl.nn import Histories
from missrec_pl.nn.sasrec import SASRec
from missrec_pl.nn.scorers import Scorers, SeenItems

TWO = torch.zeros(2, dtype=torch.long)


def test_before_the_targets_of_shifted_rows():
    """The state at a place predicts the item after it: what stands up to the place comes before that item."""
    future = torch.tensor([[9, 8], [8, 0], [7, 6]])
    batch = SequenceBatch(
        history=torch.tensor([[3, 4, 9], [5, 7, 0]]),
        length=torch.tensor([3, 2]),
        target=torch.tensor([9, 8, 6]),
        domain=TWO,
        place=torch.tensor([1, 2, 4]),
        future=future,
        times=torch.tensor([[10, 20, 30, 40], [50, 60, 70, 0]]),
    )
    found = before_places(batch)
    assert found.rows.tolist() == [[3, 4, 0], [3, 4, 9], [5, 7, 0]]
    assert found.length.tolist() == [2, 3, 2]
    assert found.times.tolist() == [[10, 20, 30, 0], [10, 20, 30, 40], [50, 60, 70, 0]]  # the target's at the end
    assert found.is_masked is None
    assert found.future is future


def test_before_the_targets_of_cloze_rows():
    """The item at a hidden place is its target; what other places hide is shown before it, and nothing after."""
    future = torch.tensor([[4, 9, 2], [2, 0, 0], [5, 7, 0]])
    batch = SequenceBatch(
        history=torch.tensor([[3, 0, 9, 0], [0, 7, 0, 0]]),
        length=torch.tensor([4, 2]),
        target=torch.tensor([4, 2, 5]),
        domain=TWO,
        place=torch.tensor([1, 3, 4]),
        is_masked=torch.tensor([[False, True, False, True], [True, False, False, False]]),
        future=future,
        times=torch.tensor([[10, 20, 30, 40, 45], [50, 60, 65, 0, 0]]),
    )
    found = before_places(batch)
    assert found.rows.tolist() == [[3, 0, 0, 0], [3, 4, 9, 0], [0, 0, 0, 0]]
    assert found.length.tolist() == [1, 3, 0]
    assert found.times.tolist() == [[10, 20, 0, 0, 0], [10, 20, 30, 40, 0], [50, 0, 0, 0, 0]]
    assert found.is_masked is None
    assert found.future is future


def test_a_masked_place_stands_behind_every_history():
    histories = Histories(
        torch.tensor([[3, 4, 9], [5, 0, 0]]),
        torch.tensor([3, 1]),
        times=torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
    )
    found = with_masked_place(histories)
    assert found.rows.tolist() == [[3, 4, 9, 0], [5, 0, 0, 0]]
    assert found.length.tolist() == [4, 2]
    assert found.is_masked.tolist() == [[False, False, False, True], [False, True, False, False]]
    assert found.is_padding.tolist() == [[False] * 4, [False, False, True, True]]
    assert found.times.tolist() == [[1, 2, 3, 4, 4], [5, 6, 6, 0, 0]]  # the request's, at the place and behind it
    assert with_masked_place(Histories(histories.rows, histories.length)).times is None
    assert histories.rows.shape == (2, 3)  # as it was


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], max_history=4)
    datamodule.setup()
    return datamodule


def batch_of(datamodule, kind, samples):
    examples = kind(datamodule.sequences, datamodule.catalogue, datamodule.max_history, False)
    batch = TrainingBatches(examples)[SharedBatch(samples, slice(None), (0, 0, 0))]
    return batch.with_items(datamodule.catalogue.whole(torch.device("cpu")))


@pytest.mark.parametrize("kind", [ShiftedStretches, ClozeStretches])
def test_what_stands_before_a_target_is_what_its_user_did_before(datamodule, kind):
    """Read back from the sequences: a stretch of the user's items that ends right before the target."""
    examples = kind(datamodule.sequences, datamodule.catalogue, datamodule.max_history, False)
    batch = batch_of(datamodule, kind, np.arange(len(examples)))
    users = np.searchsorted(examples.bounds, np.arange(len(examples)), side="right") - 1
    found, width = before_places(batch), batch.history.shape[1]
    assert len(found.rows) == len(batch.target) > len(batch)
    for i, place in enumerate(batch.place.tolist()):
        user = users[place // width]
        start, count = datamodule.sequences.starts[user], datamodule.sequences.train_length[user]
        line = datamodule.sequences.items[start : start + count].tolist()
        shown = found.rows[i, : found.length[i]].tolist()
        end = [*shown, int(batch.target[i])]
        assert end in [line[at : at + len(end)] for at in range(len(line))]
        assert not found.rows[i, found.length[i] :].any()
        assert 0 not in shown


def sasrec_module(datamodule, names=("seen",), max_history=4):
    torch.manual_seed(0)
    shape = shape_of(datamodule.catalogue, max_history=max_history)
    scorers = Scorers({name: SeenItems(shape) for name in names}).double()
    with torch.no_grad():
        for parameter in scorers.parameters():
            parameter.uniform_(-2, 2)
    model = SASRec(shape, hidden_size=8, dropout=0.0)
    module = TrainingModule(model, Softmax(0.5), optimizer, data=shape, scorers=scorers, length_buckets=3)
    return detach_from_trainer(module, datamodule).double()


@pytest.mark.parametrize("names", [("seen",), ()], ids=["scorers", "none"])
def test_learning_at_every_place_is_learning_from_every_prefix(datamodule, names):
    """Where no stretch is cut: one causal pass has the losses and gradients of the prefixes one by one."""
    sequences = datamodule.sequences
    short = np.flatnonzero((sequences.train_length >= 2) & (sequences.train_length <= 5))
    found = []
    for kind in (ShiftedStretches, TrainingPrefixes):
        examples = kind(sequences, datamodule.catalogue, datamodule.max_history, False)
        samples = np.concatenate([np.arange(examples.bounds[u], examples.bounds[u + 1]) for u in short])
        batch = batch_of(datamodule, kind, samples)
        assert len(batch.target) == (sequences.train_length[short] - 1).sum()
        module = sasrec_module(datamodule, names)
        loss = module.training_step(batch, 0)
        loss.backward()
        per_row = module.losses["loss"].detach().sort().values
        found.append((per_row, loss.detach(), {name: p.grad for name, p in module.named_parameters()}))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


def several_targets(datamodule, kind, negatives):
    """Rows with several targets each, with drawn candidates."""
    examples = kind(datamodule.sequences, datamodule.catalogue, datamodule.max_history, True)
    shared = SharedBatch(np.arange(0, len(examples), 2), slice(None), (0, 0, 0))
    batch = TrainingBatches(examples, SharedNegatives(examples.target_counts(), negatives))[shared]
    return batch.with_items(datamodule.catalogue.fill(batch.items))


@pytest.mark.parametrize("kind", [ShiftedStretches, ClozeStretches])
def test_all_items_sampled_is_the_exact_softmax_at_every_place(datamodule, kind):
    whole = datamodule.catalogue.whole(torch.device("cpu"))
    sampled = several_targets(datamodule, kind, datamodule.catalogue.num_items)
    examples = kind(datamodule.sequences, datamodule.catalogue, datamodule.max_history, False)
    shared = SharedBatch(np.arange(0, len(examples), 2), slice(None), (0, 0, 0))
    found = []
    for batch in (TrainingBatches(examples)[shared].with_items(whole), sampled):
        module = sasrec_module(datamodule, max_history=batch.history.shape[1])
        loss = module.training_step(batch, 0)
        loss.backward()
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        found.append((loss.detach(), gradients))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [ShiftedStretches, ClozeStretches])
def test_the_other_targets_of_a_row_are_candidates_for_certain(datamodule, kind):
    """Their logits stay as they are; every other candidate's is divided by its chance of being one."""
    batch = several_targets(datamodule, kind, 3)
    module, corrected = sasrec_module(datamodule, max_history=batch.history.shape[1]), []

    class Recording(Softmax):
        def forward(self, step):
            corrected.append((step._corrected(step.candidates, 0), step.logits(step.candidates)[0]))
            return super().forward(step)

    module.loss = Recording(0.5)
    module.training_step(batch, 0)
    [(found, raw)] = corrected
    history = batch.place // batch.history.shape[1]
    assert len(history) > len(batch)
    ids = batch.items.ids[batch.candidates.rows]
    for row in range(len(history)):
        own = batch.target[history == history[row]]
        certain = torch.isin(ids, batch.items.ids[own])
        wanted = raw[row] - torch.where(certain, 0.0, batch.candidates.log_inclusion.double())
        torch.testing.assert_close(found[row], wanted, rtol=1e-6, atol=1e-6)
        assert not certain.all()
    assert (batch.candidates.log_inclusion < -0.01).any()
