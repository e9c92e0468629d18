"""A catalogue of one modality and a batch over it, and a training step, for files of UniSRec and VQ-Rec."""

import torch

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import Step
from missrec_pl.nn import Histories, ItemInputs, Users
from missrec_pl.nn.encoding import GroupedUsers, encode_users

BLOCK = "trm_encoder.layer.{}."
PARTS = {
    "multi_head_attention.query": "self_attention.query",
    "multi_head_attention.dense": "self_attention.output",
    "multi_head_attention.LayerNorm": "attention_norm",
    "feed_forward.dense_1": "feed_forward.expand",
    "feed_forward.dense_2": "feed_forward.contract",
    "feed_forward.LayerNorm": "feed_forward_norm",
}


def num_layers(state) -> int:
    return 1 + max(int(name.split(".")[2]) for name in state if name.startswith("trm_encoder."))


def encoder_names(layers: int) -> dict[str, str]:
    """Their name of each weight of the encoder by ours, but for keys and values."""
    names = {"position_embedding.weight": "encoder.position_embedding.weight"}
    for kind in ("weight", "bias"):
        names[f"LayerNorm.{kind}"] = f"encoder.input_norm.{kind}"
        for layer in range(layers):
            for theirs, ours in PARTS.items():
                names[f"{BLOCK.format(layer)}{theirs}.{kind}"] = f"encoder.blocks.{layer}.{ours}.{kind}"
    return names


def joined_names(layers: int) -> dict[str, str]:
    """Ours by theirs, with ``{}`` for key and value, which we have one after the other."""
    ours = "encoder.blocks.{}.self_attention.key_value.{}"
    return {
        f"{BLOCK.format(layer)}multi_head_attention.{{}}.{kind}": ours.format(layer, kind)
        for layer in range(layers)
        for kind in ("weight", "bias")
    }


def encoder_weights(state) -> dict[str, torch.Tensor]:
    """Our weights of the encoder; takes theirs out of the state."""
    layers = num_layers(state)
    found = {ours: state.pop(theirs) for theirs, ours in encoder_names(layers).items()}
    for theirs, ours in joined_names(layers).items():
        found[ours] = torch.cat([state.pop(theirs.format(part)) for part in ("key", "value")])
    return found


def encoder_gradient(network, name: str) -> torch.Tensor | None:
    """Our gradient of one of their weights of the encoder; None for another's."""
    weights, layers = dict(network.named_parameters()), len(network.encoder.blocks)
    if name in (known := encoder_names(layers)):
        return weights[known[name]].grad
    for theirs, ours in joined_names(layers).items():
        for number, part in enumerate(("key", "value")):
            if name == theirs.format(part):
                return weights[ours].grad.chunk(2)[number]
    return None


def table_of(features: torch.Tensor | None, num_items: int) -> ItemTable:
    """The whole catalogue; every item but padding has the text."""
    ids = torch.arange(num_items + 1)
    present = {} if features is None else {"text": ids[1:]}
    is_missing = torch.zeros(num_items + 1, len(present), dtype=torch.bool)
    is_missing[0] = True
    return ItemTable(
        ids, is_missing, present, {name: features[rows] for name, rows in present.items()}, is_whole=True
    )


def distinct(table: ItemTable, batch: SequenceBatch) -> SequenceBatch:
    """The same batch as in pre-training: its item table is not the catalogue, so candidates are its targets."""
    return batch.with_items(ItemTable(table.ids, table.is_missing, table.rows, table.features, views=table.views))


def batch_of(inputs, table: ItemTable) -> SequenceBatch:
    target = inputs["item_id"]
    return SequenceBatch(inputs["item_id_list"], inputs["item_length"], target, torch.zeros_like(target), table)


def users_of(network, batch: SequenceBatch) -> tuple[GroupedUsers, Histories]:
    histories = Histories(batch.history, batch.length)
    return encode_users(network, histories, network.encode_items(ItemInputs(batch.items))), histories


def step_of(network, loss, shape, batch: SequenceBatch, view: SequenceBatch | None = None) -> Step:
    """What the Lightning module makes of a batch, and of its second view; fine-tuning has no views at all."""
    users, histories = users_of(network, batch)
    pretrains = not batch.items.is_whole
    return Step(
        network=network,
        data=shape,
        histories=histories,
        items=network.encode_items(ItemInputs(batch.items)),
        users=users,
        views=([] if view is None else [users_of(network, view)[0]]) if pretrains else None,
        batch=batch,
        rows=histories,
        scores=lambda state, rows, items, candidates: network.score(Users(state), candidates) / loss.temperature,
        max_logits=1 << 20,
        mask_duplicates=loss.mask_duplicates,
        padding_candidate=loss.padding_candidate,
        duplicate_logit=loss.duplicate_logit,
    )


def record(network) -> dict[str, torch.Tensor]:
    """What the encoder computes on its way, under the names of the files, filled when it runs."""
    seen = {}
    encoder = network.encoder
    encoder.input_norm.register_forward_hook(
        lambda module, given, out: seen.update(input_before_layernorm=given[0], input_after_layernorm=out)
    )
    for layer, block in enumerate(encoder.blocks):
        block.register_forward_hook(
            lambda module, given, out, name=f"layer{layer}_output": seen.update({name: out})
        )
    return seen


def real(tensor: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """What stands at places that are no padding."""
    return tensor[torch.arange(tensor.shape[1]) < length[:, None]]
