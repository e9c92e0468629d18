"""SASRec against what RecBole, RecTools and the authors of gSASRec compute."""

import os

import pytest
import torch
from published_files import arrays, assert_equal, cases
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
from rectools_files import BLOCK, RecTools, sasrec_mapping

from missrec_pl.losses import BPR, GBCE, Softmax
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.sasrec import SASRec

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
NORMS = ("weight", "bias")


def recbole_mapping(layers, width):
    key, value = slice(width), slice(width, 2 * width)
    found = {"item_embedding.weight": At("item_embedding.weight")}
    found["position_embedding.weight"] = At("position_embedding.weight")
    for kind in NORMS:
        found[f"LayerNorm.{kind}"] = At(f"input_norm.{kind}")
        for i in range(layers):
            theirs, ours = f"trm_encoder.layer.{i}", f"blocks.{i}"
            found |= {
                f"{theirs}.multi_head_attention.query.{kind}": At(f"{ours}.self_attention.query.{kind}"),
                f"{theirs}.multi_head_attention.key.{kind}": At(f"{ours}.self_attention.key_value.{kind}", key),
                f"{theirs}.multi_head_attention.value.{kind}": At(
                    f"{ours}.self_attention.key_value.{kind}", value
                ),
                f"{theirs}.multi_head_attention.dense.{kind}": At(f"{ours}.self_attention.output.{kind}"),
                f"{theirs}.multi_head_attention.LayerNorm.{kind}": At(f"{ours}.attention_norm.{kind}"),
                f"{theirs}.feed_forward.dense_1.{kind}": At(f"{ours}.feed_forward.expand.{kind}"),
                f"{theirs}.feed_forward.dense_2.{kind}": At(f"{ours}.feed_forward.contract.{kind}"),
                f"{theirs}.feed_forward.LayerNorm.{kind}": At(f"{ours}.feed_forward_norm.{kind}"),
            }
    return found


def recbole(path):
    state, meta = arrays(path, "state"), arrays(path, "meta")
    items, width = state["item_embedding.weight"].shape
    layers = layers_of(state, "trm_encoder.layer.")
    network = SASRec(
        DataShape(items - 1, {}, max_history=len(state["position_embedding.weight"])),
        hidden_size=width,
        num_heads=int(meta["n_heads"]),
        inner_size=len(state["trm_encoder.layer.0.feed_forward.dense_1.weight"]),
        num_layers=layers,
        dropout=0.0,
        reference=True,
    )
    mapping = recbole_mapping(layers, width)
    load(network, state, mapping)
    return network, mapping


@pytest.mark.parametrize("path", cases(FOLDER, "sasrec_"))
def test_recbole(path):
    given, out = arrays(path, "in"), arrays(path, "out")
    network, mapping = recbole(path)
    history = given["item_id_list"], given["item_length"]
    parts = {"input_emb": network.input_norm}
    for i, block in enumerate(network.blocks):
        parts |= {f"layer{i}_attention": block.attention_norm, f"layer{i}": block}
    with watched(parts) as found:
        states, items = outputs_of(network, history)
    is_real = torch.arange(states.shape[1]) < history[1][:, None]
    for name in parts:
        assert_equal(found[name][is_real], out[name][is_real], name=name)
    last = states[torch.arange(len(states)), history[1] - 1]
    assert_equal(last, out["seq_output"], name="seq_output")
    assert_equal(last @ items.vectors.T, out["logits"], name="logits")
    if "neg_score" in out:
        loss, negatives = BPR(reference=True), given["neg_item_id"].view(len(last), -1)
    else:
        loss, negatives = Softmax(padding_candidate=True), None
    mean, _ = step_of(network, loss, history, given["item_id"], negatives=negatives)
    assert_equal(mean, out["loss"], name="loss")
    mean.backward()
    check_gradients(network, mapping, arrays(path, "grad"))


def gsasrec_mapping(state, num_items, layers, width):
    rows = [num_items + 1, *range(1, num_items + 1)]  # theirs has padding behind the items, and an unused row 0
    found = {
        f"{table}.weight": At(f"{table}.weight", theirs=rows)
        for table in ("item_embedding", "output_embedding")
        if f"{table}.weight" in state
    }
    found["position_embedding.weight"] = At("position_embedding.weight", flip=True)
    key, value = slice(width), slice(width, 2 * width)
    for kind in NORMS:
        found[f"seq_norm.{kind}"] = At(f"final_norm.{kind}")
        for i in range(layers):
            theirs, ours = f"transformer_blocks.{i}", f"blocks.{i}"
            found |= {
                f"{theirs}.first_norm.{kind}": At(f"{ours}.query_norm.{kind}"),
                f"{theirs}.second_norm.{kind}": At(f"{ours}.feed_forward_norm.{kind}"),
                f"{theirs}.multihead_attention.query_proj.{kind}": At(f"{ours}.self_attention.query.{kind}"),
                f"{theirs}.multihead_attention.key_proj.{kind}": At(
                    f"{ours}.self_attention.key_value.{kind}", key
                ),
                f"{theirs}.multihead_attention.val_proj.{kind}": At(
                    f"{ours}.self_attention.key_value.{kind}", value
                ),
                f"{theirs}.dense1.{kind}": At(f"{ours}.feed_forward.expand.{kind}"),
                f"{theirs}.dense2.{kind}": At(f"{ours}.feed_forward.contract.{kind}"),
            }
    return found


def gsasrec(path):
    state, meta = arrays(path, "state"), arrays(path, "meta")
    num_items, width = int(meta["num_items"]), state["item_embedding.weight"].shape[1]
    layers = layers_of(state, "transformer_blocks.")
    network = SASRec(
        DataShape(num_items, {}, max_history=len(state["position_embedding.weight"])),
        block="gsasrec",
        table="separate" if "output_embedding.weight" in state else "shared",
        hidden_size=width,
        num_heads=int(meta["n_heads"]),
        inner_size=len(state["transformer_blocks.0.dense1.weight"]),
        num_layers=layers,
        dropout=0.0,
    )
    mapping = gsasrec_mapping(state, num_items, layers, width)
    load(network, state, mapping)
    return network, mapping, float(meta["t"])


@pytest.mark.parametrize("path", cases(FOLDER, "gsasrec_"))
def test_gsasrec(path):
    given, out = arrays(path, "in"), arrays(path, "out")
    network, mapping, t = gsasrec(path)
    padding = int(arrays(path, "meta")["padding_id"])
    is_real = given["history"] != padding
    history = right_padded(given["history"] * is_real, is_real)
    states, items = outputs_of(network, history)
    place = places_of(history[1], states.shape[1])
    flat = states.flatten(0, 1)[place]
    assert_equal(flat, out["sequence_output"][is_real], name="sequence_output")
    last = states[torch.arange(len(states)), history[1] - 1]
    assert_equal(last, out["seq_output"], name="seq_output")
    scores = last @ items.vectors[1:].T
    assert_equal(scores, out["logits"][:, 1:padding], name="logits")
    best = scores.topk(out["top_items"].shape[1])
    assert_equal(best.values, out["top_scores"], name="top_scores")
    assert torch.equal(best.indices + 1, out["top_items"])
    target, negatives = given["positives"][:, 1:][is_real], given["negatives"][:, 1:][is_real]
    chosen = items.vectors[torch.cat([target[:, None], negatives], 1)]
    assert_equal((chosen @ flat[..., None])[..., 0], out["train_logits"][is_real], name="train_logits")
    loss = GBCE(t, mask_duplicates=False, reference=True)
    mean, losses = step_of(network, loss, history, target, negatives=negatives, place=place)
    assert_equal(losses, out["loss_per_element"][is_real], name="loss_per_element")
    assert_equal(mean, out["loss"], name="loss")
    mean.backward()
    check_gradients(network, mapping, arrays(path, "grad"))


@pytest.mark.parametrize("path", cases(FOLDER, "rectools_sasrec"))
def test_rectools(path):
    file = RecTools(path)
    network = SASRec(
        file.shape,
        block="rectools",
        inner_size=len(file.state[f"{BLOCK}0.feed_forward.ff_linear_1.weight"]),
        num_layers=layers_of(file.state, BLOCK),
        reference=not file.masks_padding,
        **file.options,
    )
    file.check(network, sasrec_mapping(file))
