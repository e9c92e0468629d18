"""Over draws, a sampled softmax is the softmax over all items."""

from collections import defaultdict

import pytest
import torch
from prepared_runs import epoch_of, prepared, step_of

from missrec_pl.losses import step
from missrec_pl.nn import DataShape

EPOCHS = 60
SAMPLED = ("data.candidates=sampled", "data.num_negatives=6")
PER_ROW = ("data.candidates=per_row", "data.num_negatives=6")


def without_inclusion(module, patch):
    """A sampled softmax that takes its candidates for all items."""
    patch.setattr(step.Step, "_log_inclusion", lambda self, average: torch.zeros_like(average))


def without_number_of_items(module, patch):
    """Each row's own draws count once."""
    module.data = DataShape(num_items=7, feature_dims={})


@pytest.mark.parametrize(
    ("said", "fault"),
    [(SAMPLED, None), (PER_ROW, None), (SAMPLED, without_inclusion), (PER_ROW, without_number_of_items)],
    ids=["sampled", "per row", "sampled, not corrected", "per row, not corrected"],
)
def test_the_denominator_is_right_on_average(said, fault, truths, tmp_path, monkeypatch):
    """For every row, the mean over batches and draws against the sum over all items, in standard errors."""
    common = ("model=sasrec", "objective=softmax", "data.example=prefix", "data.batch_size=32", "optim=adam")
    datamodule, module = prepared((*common, *said), truths.clean, tmp_path)
    with torch.no_grad():
        module.model.item_embedding.weight.mul_(15)  # else all items are nearly alike
    if fault is not None:
        fault(module, monkeypatch)
    errors = standard_errors(datamodule, module, EPOCHS if fault is None else 12)
    # Rows of an epoch share their draws, so that errors go together; those of the faults are far above.
    is_right = bool(errors.square().mean() < 2) and bool(errors.mean().abs() < 1)
    assert is_right == (fault is None)


@torch.no_grad()
def standard_errors(datamodule, module, epochs):
    """By row, how many standard errors its mean denominator is off."""
    every = module.encode_items(datamodule.catalogue.whole(torch.device("cpu"))).span(1)
    exact, found = {}, defaultdict(list)
    for epoch in range(epochs):
        for batch in epoch_of(datamodule, epoch):
            losses, (state, rows, items) = step_of(module, batch)
            logits = module.logits(state, rows, items, every).double()
            ids = batch.items.ids
            own = logits.gather(1, ids[batch.target][:, None] - 1)[:, 0]
            names = torch.cat([ids[batch.history], ids[batch.target][:, None]], 1).tolist()
            for name, whole, sample in zip(names, logits.exp().sum(1), (losses + own).exp(), strict=True):
                row = tuple(item for item in name if item)
                exact[row] = float(whole)
                found[row].append(float(sample))
    errors = []
    for row, whole in exact.items():
        samples = torch.tensor(found[row], dtype=torch.float64)
        errors.append((samples.mean() - whole) / (samples.std() / len(samples) ** 0.5))
    return torch.stack(errors)
