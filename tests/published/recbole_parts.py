"""What the tests of RecBole's networks share: weights and gradients under its names, and a step on its inputs."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import BPR, Softmax
from missrec_pl.modules import TrainingModule
from missrec_pl.nn import DataShape, ItemInputs
from missrec_pl.nn.contract import Recommender

Parts = dict[str, list[Tensor]]
"""Per published name what it consists of here, end to end along the first axis."""

BLOCK = {
    "multi_head_attention.query": "self_attention.query",
    "multi_head_attention.dense": "self_attention.output",
    "multi_head_attention.LayerNorm": "attention_norm",
    "feed_forward.dense_1": "feed_forward.expand",
    "feed_forward.dense_2": "feed_forward.contract",
    "feed_forward.LayerNorm": "feed_forward_norm",
}
LOSSES = {"CE": Softmax, "BPR": BPR}


def block_parts(found: Mapping[str, Tensor], theirs: str, ours: str) -> Parts:
    """A Transformer block's."""
    parts = {}
    for kind in ("weight", "bias"):
        for one, other in BLOCK.items():
            parts[f"{theirs}.{one}.{kind}"] = [found[f"{ours}.{other}.{kind}"]]
        fused = found[f"{ours}.self_attention.key_value.{kind}"].chunk(2)
        for name, part in zip(("key", "value"), fused, strict=True):
            parts[f"{theirs}.multi_head_attention.{name}.{kind}"] = [part]
    return parts


def load(network: Recommender, state: Mapping[str, Tensor], parts_of: Callable[[Mapping[str, Tensor]], Parts]):
    """Fill a network with all published weights, and nothing but these."""
    parts = parts_of(dict(network.named_parameters()))
    assert parts.keys() == state.keys()
    with torch.no_grad():
        for name, ours in parts.items():
            for part, theirs in zip(ours, state[name].split([len(part) for part in ours]), strict=True):
                assert part.shape == theirs.shape, name
                part.copy_(theirs)


def gradients(network: Recommender, parts_of: Callable[[Mapping[str, Tensor]], Parts]) -> dict[str, Tensor]:
    """The gradients under the published names."""
    found = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.named_parameters()}
    return {name: torch.cat(parts) for name, parts in parts_of(found).items()}


def table(num_items: int, *, is_whole: bool = True) -> ItemTable:
    """All items of a data set without features."""
    ids = torch.arange(num_items + 1)
    return ItemTable(ids, torch.zeros(num_items + 1, 0, dtype=torch.bool), {}, {}, is_whole=is_whole)


def all_items(network: Recommender, num_items: int):
    """All items, the padding item among them."""
    return network.encode_items(ItemInputs(table(num_items)))


def loss_of(network: Recommender, loss_type: str, shape: DataShape, rows: Mapping[str, Tensor | None]) -> Tensor:
    """The loss of a training step of this project on published inputs, in which padding is a class of the softmax.

    Args:
        network: the network.
        loss_type: RecBole's name of the loss.
        shape: sizes of the data.
        rows: ``history``, ``length``, ``target``, ``negative``, and what else a batch has.
    """
    rows = dict(rows)
    negative, loss = rows.pop("negative"), LOSSES[loss_type]()
    loss.padding_candidate, loss.mask_duplicates = True, False
    own = None if loss_type == "CE" else Candidates(torch.stack([rows["target"], negative], 1))
    batch = SequenceBatch(
        domain=torch.zeros(len(rows["length"]), dtype=torch.long),
        items=table(shape.num_items, is_whole=own is None),
        candidates=own,
        **rows,
    )
    module = TrainingModule(network, loss, None, data=shape)
    module.log_losses = lambda *_: None
    return module.eval().training_step(batch, 0)
