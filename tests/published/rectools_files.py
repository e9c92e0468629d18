"""Files of RecTools' transformers: their inputs as ours, and everything that they hold compared."""

import torch
from published_files import arrays, assert_equal
from published_step import (
    At,
    check_gradients,
    layers_of,
    load,
    outputs_of,
    places_of,
    right_padded,
    step_of,
    watched,
)

from missrec_pl.losses import BCE, GBCE, SampledSoftmax, Softmax
from missrec_pl.nn.contract import DataShape, Users

BLOCK = "transformer_layers.transformer_blocks."
TABLE = "item_model.item_net_blocks.0.ids_emb.weight"
POSITIONS = "pos_encoding_layer.pos_emb.weight"


class RecTools:
    """What a file holds.

    Args:
        path: the file.
    """

    def __init__(self, path):
        self.state, self.out, self.grad = (arrays(path, kind) for kind in ("state", "out", "grad"))
        given, meta = arrays(path, "in"), arrays(path, "meta")
        items, width = self.state[TABLE].shape
        self.shape = DataShape(items - 1, {}, max_history=len(self.state[POSITIONS]))
        self.masks_padding = bool(meta["use_key_padding_mask"])
        self.options = {
            "hidden_size": width,
            "num_heads": int(meta["n_heads"]),
            "dropout": 0.0,
            "scale": bool(meta["use_scale_factor"]),
            "cosine": meta["distance"] == "cosine",
        }
        self.temperature, self.t = float(meta["logits_t"]), float(meta["gbce_t"])
        self.is_real = given["x"] != 0
        self.history = right_padded(given["x"], self.is_real)
        self.place = places_of(self.history[1], given["x"].shape[1])
        self.target, self.negatives = given["y"][self.is_real], given["negatives"][self.is_real]
        self.weights, self.other = given["yw"][self.is_real], given["weights_other"][self.is_real]
        self.times, _ = right_padded(given["unix_ts"], torch.nn.functional.pad(self.is_real, (0, 1), value=True))

    def check(self, network, mapping, times=None):
        """All outputs, losses and gradients of the file."""
        load(network, self.state, mapping)
        parts = {f"block{i}": block for i, block in enumerate(network.blocks)}
        with watched(parts) as found:
            states, items = outputs_of(network, self.history, times)
        real, count = states.flatten(0, 1)[self.place], self.out["session_output"].shape[1]
        for name in [one for one in self.out if one.endswith(("_input", "_output")) and one.startswith("block")]:
            ours = found[name.removesuffix("_output")]
            if ours.shape[1] == count and getattr(network, "reference", False):
                ours = ours[self.is_real]
            else:
                ours = ours.flatten(0, 1)[self.place]
            assert_equal(ours, self.out[name][self.is_real], name=name)
        assert_equal(real, self.out["session_output"][self.is_real], name="session_output")
        last = states[torch.arange(len(states)), self.history[1] - 1]
        assert_equal(last, self.out["last_output"], name="last_output")
        assert_equal(network.score(Users(last), items), self.out["scores_last"], name="scores_last")
        assert_equal(network.score(Users(real), items), self.out["logits_all"][self.is_real], name="logits_all")
        own = items.take(torch.cat([self.target[:, None], self.negatives], 1))
        assert_equal(
            network.score(Users(real), own), self.out["logits_pos_neg"][self.is_real], name="logits_pos_neg"
        )
        self.check_losses(network, mapping, times)

    def check_losses(self, network, mapping, times):
        checked = set()
        for name, (loss, is_softmax) in self.losses().items():
            if f"loss_{name}" not in self.out:
                continue
            negatives = None if isinstance(loss, Softmax) else self.negatives
            _, losses = step_of(
                network, loss, self.history, self.target, negatives=negatives, place=self.place, times=times
            )
            for suffix, weights in (("", self.weights), ("_weighted", self.other)):
                if f"loss_{name}{suffix}" not in self.out:
                    continue
                weighted = losses * weights.to(losses.dtype)
                found = weighted.sum() / ((weighted > 0).sum() if is_softmax else len(losses))
                assert_equal(found, self.out[f"loss_{name}{suffix}"], name=f"loss_{name}{suffix}")
                checked.add(f"loss_{name}{suffix}")
                if (name, suffix) == ("sampled_softmax", ""):
                    network.zero_grad()
                    found.backward(retain_graph=True)
                    check_gradients(network, mapping, self.grad)
        assert checked == {name for name in self.out if name.startswith("loss_")}

    def losses(self):
        """The losses of the file by name, and whether rows without a loss are no part of their mean."""
        found = {}
        for suffix, temperature in (("", self.temperature), ("_t1", 1.0)):
            found |= {
                f"softmax{suffix}": (Softmax(temperature, padding_candidate=True), True),
                f"BCE{suffix}": (BCE(temperature, mask_duplicates=False), False),
                f"gBCE{suffix}": (GBCE(self.t, temperature, mask_duplicates=False, reference=True), False),
                f"sampled_softmax{suffix}": (SampledSoftmax(temperature, mask_duplicates=False), True),
            }
        found["softmax_without_padding_class"] = (Softmax(self.temperature), True)
        return found


def common_mapping():
    return {TABLE: At("item_embedding.weight"), POSITIONS: At("position_embedding.weight")}


def attention_mapping(file):
    """Tables, and what SASRec and LiGR have in common."""
    found, width = common_mapping(), file.options["hidden_size"]
    for i in range(layers_of(file.state, BLOCK)):
        theirs, ours = f"{BLOCK}{i}.multi_head_attn", f"blocks.{i}.self_attention"
        for kind in ("weight", "bias"):
            found[f"{theirs}.in_proj_{kind}"] = [
                At(f"{ours}.query.{kind}", theirs=slice(width)),
                At(f"{ours}.key_value.{kind}", theirs=slice(width, None)),
            ]
            found[f"{theirs}.out_proj.{kind}"] = At(f"{ours}.output.{kind}")
    return found


def sasrec_mapping(file):
    found = attention_mapping(file)
    for kind in ("weight", "bias"):
        found[f"transformer_layers.last_layernorm.{kind}"] = At(f"final_norm.{kind}")
        for i in range(layers_of(file.state, BLOCK)):
            found |= {
                f"{BLOCK}{i}.q_layer_norm.{kind}": At(f"blocks.{i}.query_norm.{kind}"),
                f"{BLOCK}{i}.ff_layer_norm.{kind}": At(f"blocks.{i}.feed_forward_norm.{kind}"),
                f"{BLOCK}{i}.feed_forward.ff_linear_1.{kind}": At(f"blocks.{i}.feed_forward.expand.{kind}"),
                f"{BLOCK}{i}.feed_forward.ff_linear_2.{kind}": At(f"blocks.{i}.feed_forward.contract.{kind}"),
            }
    return found


def ligr_mapping(file):
    found, names = attention_mapping(file), {"1": "gate", "2": "contract", "3": "expand"}
    for i in range(layers_of(file.state, BLOCK)):
        for number, name in names.items():
            found[f"{BLOCK}{i}.feed_forward.ff_linear_{number}.weight"] = At(
                f"blocks.{i}.feed_forward.{name}.weight"
            )
        for kind in ("weight", "bias"):
            for number, name in (("1", "attention"), ("2", "feed_forward")):
                found[f"{BLOCK}{i}.layer_norm_{number}.{kind}"] = At(f"blocks.{i}.{name}_norm.{kind}")
                found[f"{BLOCK}{i}.gating_linear_{number}.{kind}"] = At(f"blocks.{i}.{name}_gate.{kind}")
    return found
