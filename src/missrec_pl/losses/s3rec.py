"""S3-Rec's pre-training: attributes, items and stretches of a sequence predicted from what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.losses.base import Loss
from missrec_pl.losses.step import Step
from missrec_pl.nn.blocks.task_heads import TaskHeads
from missrec_pl.nn.contract import Histories, ItemInputs
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.s3rec import S3Rec as S3RecNetwork

_TRIES = 8  # draws of a negative that is not in the sequence


@dataclass(frozen=True)
class Drawn:
    """What a step is about, beside the hidden items.

    Attributes:
        rows: ``[B, L]`` rows of all items of the sequences, the hidden ones too.
        values: ``[B, L, V]`` their attribute values, 0 = none.
        negative: ``[B, L]`` rows of other items, compared at hidden places; 0: at this place with nothing.
        context: sequences with a stretch hidden.
        stretch: the same with all but this stretch hidden.
        other: sequences with a stretch of another sequence there, and all else hidden.
        counts: ``[B]`` which of the three are compared.
    """

    rows: Tensor
    values: Tensor
    negative: Tensor
    context: Histories
    stretch: Histories
    other: Histories
    counts: Tensor


class S3Rec(Loss):
    """Four tasks on sequences with hidden items (``data.example=cloze``), each a mean over what it predicts.

    Associated attributes (AAP) at places that are shown, and masked attributes (MAP) at hidden ones, are binary
    cross-entropies over all attribute values; masked items (MIP) and segments (SP) are ``-log sigmoid(s+ - s-)``.
    Published faults, mended unless ``reference``: sums over the batch in place of means; MIP and SP put a sigmoid
    around both scores first, so that no pair costs less than ``log(1 + 1/e)``. What is drawn is mended without a
    switch: a negative is never the mask token, a negative stretch is another row's and of one row, and a sequence
    of a single item, which has no other part, is in no comparison of segments.

    Args:
        temperature: see :class:`Loss`, of rankings alone; as for ``eval_temperature``.
        aap_weight: weight of AAP; RecBole 1.2.1 and the authors say .2, 1, 1, .5, UniSRec's code 1, .2, 1, .5.
        mip_weight: weight of MIP.
        map_weight: weight of MAP.
        sp_weight: weight of SP.
        reference: True keeps the published faults.
        clamped: True takes AAP and MAP from rounded probabilities, as the authors' and UniSRec's code do and
            RecBole's does not: a value that is surely expected (past a logit of 17) and absent has no gradient.
    """

    same_catalogue = True

    def __init__(
        self,
        temperature: float = 1.0,
        eval_temperature: float | None = None,
        *,
        aap_weight: float = 0.2,
        mip_weight: float = 1.0,
        map_weight: float = 1.0,
        sp_weight: float = 0.5,
        reference: bool = False,
        clamped: bool = False,
    ) -> None:
        super().__init__(temperature, eval_temperature)
        self.weights = {"aap": aap_weight, "mip": mip_weight, "map": map_weight, "sp": sp_weight}
        self.reference = reference
        self.clamped = clamped

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`.

        Raises:
            ConfigError: the network, or the examples, are not made for it.
        """
        heads_of(step)
        if step.batch.is_masked is None:
            raise ConfigError("objective=s3rec: predicts hidden items; use data.example=cloze, the model's own.")
        return self.compare(step, self.draw(step))

    def draw(self, step: Step) -> Drawn:
        """Negatives and stretches, from torch's random state, which every step seeds."""
        rows, length = step.batch.history.clone(), step.batch.length
        assert step.batch.place is not None, "cloze batches say where their targets are"
        rows.view(-1)[step.batch.place] = step.batch.target
        values = step.network.attributes(self._inputs(step))[0]  # type: ignore[operator]
        negative = _others(rows, len(step.items.ids))
        context, stretch, other = _stretches(rows, length)
        counts = (length > 1) & (len(rows) > 1)
        return Drawn(rows, values[rows], negative, context, stretch, other, counts)

    def compare(self, step: Step, drawn: Drawn) -> dict[str, Tensor]:
        """The four tasks on what was drawn."""
        network, heads, items, hidden = step.network, heads_of(step), step.items, step.histories.is_masked
        assert hidden is not None, "checked before"
        state = network.encode_histories(step.histories, items).state
        vectors = network.attributes(self._inputs(step))[1]  # type: ignore[operator]
        is_shown = ~(step.histories.is_padding | hidden)
        terms = {
            "aap": self._attributes(heads.aap(state[is_shown]) @ vectors.T, drawn.values[is_shown], is_shown),
            "map": self._attributes(heads.map(state[hidden]) @ vectors.T, drawn.values[hidden], hidden),
        }
        found, negative = heads.mip(state[hidden]), drawn.negative[hidden]
        pairs = [(found * items.vectors[rows]).sum(-1) for rows in (drawn.rows[hidden], negative)]
        terms["mip"] = _of_rows(self._pair(*pairs) * (negative > 0), (negative > 0).float(), hidden)
        last = [encode_users(network, one, items).last for one in (drawn.context, drawn.stretch, drawn.other)]
        around = heads.sp(last[0])
        costs = self._pair((around * last[1]).sum(-1), (around * last[2]).sum(-1)) * drawn.counts
        terms["sp"] = (costs, drawn.counts.float())
        losses = {name: self._reduced(step, *terms[name]) for name in self.weights}
        total = torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum(0)
        return {"loss": total, **losses}

    def _inputs(self, step: Step) -> ItemInputs:
        assert step.batch.items is not None, "the data module attaches the item table"
        return ItemInputs(step.batch.items, step.batch.fold)

    def _attributes(self, logits: Tensor, values: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy over all attribute values, of the places ``at [B, L]``; see :func:`_of_rows`."""
        logits = logits.float()
        if self.clamped:
            labels = torch.zeros(len(logits), logits.shape[1] + 1, device=logits.device).scatter(1, values, 1)
            costs = F.binary_cross_entropy(logits.sigmoid(), labels[:, 1:], reduction="none").sum(1)
            return _of_rows(costs, torch.full_like(costs, logits.shape[1]), at)
        own = F.pad(logits, (1, 0)).gather(1, values)  # value 0, none, adds nothing
        costs = F.softplus(logits).sum(1) - own.sum(1)
        return _of_rows(costs, torch.full_like(costs, logits.shape[1]), at)

    def _pair(self, positive: Tensor, negative: Tensor) -> Tensor:
        positive, negative = positive.float(), negative.float()
        if self.reference:
            positive, negative = positive.sigmoid(), negative.sigmoid()
        return F.softplus(negative - positive)

    def _reduced(self, step: Step, costs: Tensor, counts: Tensor) -> Tensor:
        """``[R]`` rows whose mean over all processes is the mean of what was predicted; as published, the sum."""
        if not self.reference:
            costs = costs / step.gather_histories(counts).sum().clamp_min(1)
        return step.of_rows(costs * step.num_histories)


def _of_rows(costs: Tensor, counts: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """``[B]`` sums of costs, and of how much was predicted, over the places ``at [B, L]`` of each row."""
    row = at.nonzero()[:, 0]
    return tuple(one.new_zeros(len(at)).index_add(0, row, one) for one in (costs, counts))  # type: ignore[return-value]


def _others(rows: Tensor, num_rows: int) -> Tensor:
    """``[B, L]`` random items of the table that the row of ``[B, L]`` has not; 0 where no draw found one."""
    own = torch.zeros(len(rows), num_rows, dtype=torch.bool, device=rows.device).scatter(1, rows, True)
    drawn = torch.randint(1, num_rows, (*rows.shape, _TRIES), device=rows.device)
    is_other = ~own.gather(1, drawn.flatten(1)).view_as(drawn)
    first = is_other.int().argmax(-1, keepdim=True)
    return (drawn.gather(-1, first) * is_other.gather(-1, first))[..., 0]


def _stretches(rows: Tensor, length: Tensor) -> tuple[Histories, Histories, Histories]:
    """A stretch of each sequence, of at most half its items: hidden; alone; another sequence's in its place.

    The other sequence's starts anywhere, and again from its first item where it ends.
    """
    count, place = len(rows), torch.arange(rows.shape[1], device=rows.device)

    def drawn(numbers: Tensor) -> Tensor:
        """``[B, 1]`` from 0 to less than the given numbers."""
        return (torch.rand(count, device=rows.device) * numbers).long()[:, None]

    size = 1 + drawn(length // 2)
    start = drawn(length + 1 - size[:, 0])
    is_in = (place >= start) & (place < start + size)
    is_around = ~is_in & (place < length[:, None])
    donor = (torch.arange(count, device=rows.device) + 1 + drawn(torch.full_like(length, count - 1))[:, 0]) % count
    of_donor = (place - start + drawn(length[donor])) % length[donor][:, None]
    others = rows[donor].gather(1, of_donor)
    return (
        Histories(rows * ~is_in, length, is_in),
        Histories(rows * is_in, length, is_around),
        Histories(others * is_in, length, is_around),
    )


def heads_of(step: Step) -> TaskHeads:
    """What the network learns in pre-training alone.

    Raises:
        ConfigError: it is another network, or one that was made for another phase.
    """
    network = step.network
    if not isinstance(network, S3RecNetwork) or network.heads is None:
        raise ConfigError("objective=s3rec: pre-trains S3-Rec; say phase=pretrain model=s3rec objective=s3rec.")
    return network.heads
