"""Each row's own candidates: the scores of a whole table, of which a row takes its own, are theirs."""

import pytest
import torch

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import BCE, BPR, GBCE, SampledSoftmax
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.sasrec import SASRec

NUM_ITEMS, ROWS, NEGATIVES = 20, 6, 5


class Captured(TrainingModule):
    def log_losses(self, batch, losses):
        self.losses = losses["loss"]


def batch_of(random):
    history = torch.randint(1, NUM_ITEMS + 1, (ROWS, 4), generator=random)
    target = torch.randint(1, NUM_ITEMS + 1, (ROWS,), generator=random)
    negatives = torch.randint(1, NUM_ITEMS + 1, (ROWS, NEGATIVES), generator=random)
    negatives[0, 2] = target[0]
    nothing = torch.zeros(NUM_ITEMS + 1, 0, dtype=torch.bool)
    return SequenceBatch(
        history=history,
        length=torch.full((ROWS,), 4),
        target=target,
        domain=torch.zeros(ROWS, dtype=torch.long),
        items=ItemTable(torch.arange(NUM_ITEMS + 1), nothing, {}, {}),
        candidates=Candidates(torch.cat([target[:, None], negatives], 1)),
    )


@pytest.mark.parametrize(
    "loss", [BCE(), BPR(), GBCE(), SampledSoftmax(), SampledSoftmax(mask_duplicates=False)], ids=str
)
def test_a_table_scored_whole_gives_the_same_losses_and_gradients(loss):
    batch, found, shape = batch_of(torch.Generator().manual_seed(0)), [], DataShape(NUM_ITEMS, {})
    for max_logits in (0, 1 << 20):
        torch.manual_seed(1)
        network = SASRec(shape, hidden_size=8, inner_size=8, dropout=0.0)
        module = Captured(network, loss, None, data=shape, max_logits=max_logits)
        gathered, score = [], network.score
        network.score = lambda users, items, of=score, into=gathered: (
            into.append(items.ids.dim()) or of(users, items)
        )
        module.training_step(batch, 0).backward()
        found.append((module.losses, [weight.grad for weight in network.parameters()], gathered))
    (one, one_gradients, (own,)), (other, other_gradients, (whole,)) = found
    assert (own, whole) == (2, 1)
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one_gradients, other_gradients)
