"""RecBole's encoders under our names, and training steps on given numbers, for networks with side information."""

import re
from types import SimpleNamespace

import torch
from published_files import assert_equal

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.modules import TrainingModule

LAYER = {
    "multi_head_attention.query": "self_attention.query",
    "multi_head_attention.key": "self_attention.key_value",
    "multi_head_attention.value": "self_attention.key_value",
    "multi_head_attention.dense": "self_attention.output",
    "multi_head_attention.LayerNorm": "attention_norm",
    "feed_forward.dense_1": "feed_forward.expand",
    "feed_forward.dense_2": "feed_forward.contract",
    "feed_forward.LayerNorm": "feed_forward_norm",
}


class Names:
    """From published names of weights to ours, ``(name, rows)``: keys and values are one weight here.

    Args:
        modules: our name of each of their modules, encoders (``trm_encoder`` to ``blocks``) included.
        hidden_size: width ``D``.
    """

    def __init__(self, modules, hidden_size):
        self.modules, self.hidden_size = modules, hidden_size

    def of(self, theirs):
        module, _, leaf = theirs.rpartition(".")
        if found := re.fullmatch(r"(\w+)\.layer\.(\d+)\.(.+)", module):
            encoder, number, part = found.groups()
            half = {"key": slice(None, self.hidden_size), "value": slice(self.hidden_size, None)}
            rows = half.get(part.rpartition(".")[2], slice(None))
            return f"{self.modules[encoder]}.{number}.{LAYER[part]}.{leaf}", rows
        return f"{self.modules[module]}.{leaf}", slice(None)

    def load(self, network, state):
        """Fill the network; every published tensor is used, and every weight of ours but the idle ones."""
        own, filled = network.state_dict(), set()
        with torch.no_grad():
            for theirs, tensor in state.items():
                ours, rows = self.of(theirs)
                own[ours][rows].copy_(tensor)
                filled.add(ours)
        return own.keys() - filled

    def check_gradients(self, network, gradients, rtol=1e-5):
        """By their largest element, where it is above 1: its rounding is in the others' sums."""
        weights = dict(network.named_parameters())
        for theirs, gradient in gradients.items():
            ours, rows = self.of(theirs)
            largest = gradient.abs().max().clamp_min(1)
            assert_equal(weights[ours].grad[rows] / largest, gradient / largest, rtol, name=f"grad.{theirs}")


def item_table(num_rows, features=None, attributes=None):
    """The table of all items; features ``[N + 1, F]`` of each modality, whose row 0 is padding."""
    features = features or {}
    is_missing = torch.zeros(num_rows, len(features), dtype=torch.bool)
    is_missing[0] = True
    rows = {name: torch.arange(1, len(table)) for name, table in features.items()}
    kept = {name: table[1:] for name, table in features.items()}
    return ItemTable(torch.arange(num_rows), is_missing, rows, kept, True, attributes=attributes or {})


def batch_of(given, table, *, negatives=False):
    """A batch of prefixes; with negatives each target has its published one."""
    candidates = None
    if negatives:
        table = ItemTable(**{**vars(table), "is_whole": False})
        candidates = Candidates(torch.stack([given["item_id"], given["neg_item_id"]], 1))
    rows, target = given["item_id_list"], given["item_id"]
    return SequenceBatch(
        rows, given["item_length"], target, torch.zeros_like(target), table, candidates=candidates
    )


def module_of(network, loss, shape):
    """The project's training step, without a trainer."""
    module = TrainingModule(network, loss, None, data=shape, length_buckets=1)
    module.trainer = SimpleNamespace(datamodule=None)
    module.log_losses = lambda batch, losses: None
    return module


def published_loss(loss):
    """The loss with the padding item as a class, and with negatives that are the target."""
    loss.padding_candidate, loss.mask_duplicates = True, False
    return loss
