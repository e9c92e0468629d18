"""FDSA beside the numbers of RecBole's and of UniSRec's code."""

import os

import pytest
import torch
from attribute_networks import Names, batch_of, item_table, module_of, published_loss
from published_files import arrays, assert_equal, cases

from missrec_pl.losses import BPR, Softmax
from missrec_pl.nn import DataShape
from missrec_pl.nn.contract import Histories, ItemInputs, Users
from missrec_pl.nn.fdsa import FDSA

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
MODULES = {
    "item_embedding": "item_embedding",
    "position_embedding": "position_embedding",
    "item_trm_encoder": "item_blocks",
    "feature_trm_encoder": "feature_blocks",
    "LayerNorm": "norm",
    "concat_layer": "join",
    "adapter.mlp_layers.1": "item_adapters.linear.text",
    "plm_embedding": "item_adapters.noise.text",
    "feature_embed_layer.token_seq_embedding_table.item.0": "attribute_embeddings.class",
    "feature_embed_layer.token_embedding_table.item.embedding": "attribute_embeddings.brand",
    "feature_att_layer.projection.0": "field_attention.0",
    "feature_att_layer.projection.2": "field_attention.2",
}


def sizes(state, meta):
    blocks = {name.split(".")[2] for name in state if name.startswith("item_trm_encoder.layer.")}
    return {
        "hidden_size": state["item_embedding.weight"].shape[1],
        "inner_size": len(state["item_trm_encoder.layer.0.feed_forward.dense_1.weight"]),
        "num_heads": int(meta["n_heads"]),
        "num_layers": len(blocks),
    }


def with_attributes(state, given):
    """RecBole's: single-valued fields come first."""
    fields = {"brand": given["item_brand"][:, None], "class": given["item_class"]}
    counts = {
        name: len(state[table]) - 1
        for name, table in (
            ("brand", "feature_embed_layer.token_embedding_table.item.embedding.weight"),
            ("class", "feature_embed_layer.token_seq_embedding_table.item.0.weight"),
        )
        if table in state
    }
    return counts, {name: fields[name] for name in counts}


def scene(path, *, real=True):
    """The network with the published weights, its item table and sizes."""
    state, given, meta = (arrays(path, kind) for kind in ("state", "in", "meta"))
    num_rows, options = len(state["item_embedding.weight"]), sizes(state, meta)
    longest = len(state["position_embedding.weight"])
    if "plm_embedding.weight" in state:
        features = state["plm_embedding.weight"]
        shape = DataShape(num_rows - 1, {"text": features.shape[1]}, max_history=longest)
        table = item_table(num_rows, {"text": features})
        network = FDSA(shape, reference=not real, **options)
        idle = {"field_attention.0", "field_attention.2"}  # a single modality: their code has no attention
        if real:  # read from the data, not from a table of the network
            del state["plm_embedding.weight"]
    else:
        counts, fields = with_attributes(state, given)
        shape = DataShape(num_rows - 1, {}, attributes=counts, max_history=longest)
        table, idle = item_table(num_rows, attributes=fields), set()
        network = FDSA(shape, side="attributes", reference=True, **options)
    names = Names(MODULES, options["hidden_size"])
    left = names.load(network.eval(), state)
    assert {name.rpartition(".")[0] for name in left} == idle
    network.item_embedding.padding_idx = None  # their padding item is a class, whose vector learns
    return network, names, table, shape, given, meta


def check_outputs(network, table, given, out):
    items = network.encode_items(ItemInputs(table))
    rows, length = given["item_id_list"], given["item_length"]
    is_real = rows > 0
    found = {}
    fields, is_missing = network.fields(ItemInputs(table))
    found["field_emb"], found["field_weight"] = fields[rows], network.weights(fields, is_missing)[rows]
    found["feature_emb"] = items.extra["side"][rows]
    hooks = [network.join.register_forward_hook(lambda _, given, made: found.update(joined=given[0], made=made))]
    for stream, blocks in (("item", network.item_blocks), ("feature", network.feature_blocks)):
        for number, block in enumerate(blocks):

            def keep(_, given, made, stream=stream, number=number):
                found[f"{stream}_layer{number}"] = made
                found.setdefault(f"{stream}_input", given[0])

            hooks.append(block.register_forward_hook(keep))
    state = network.encode_histories(Histories(rows, length), items).state
    for hook in hooks:
        hook.remove()
    last = torch.arange(len(rows)), length - 1
    found |= {"concatenated": found.pop("joined")[last], "concat_output": found.pop("made")[last]}
    found["seq_output"] = state[last]
    found["logits"] = network.score(Users(state[last]), items)
    for name, column in (("pos_score", "item_id"), ("neg_score", "neg_item_id")):
        found[name] = found["logits"].gather(1, given[column][:, None])[:, 0]
    checked = set(out) - {"loss"}
    assert checked <= set(found)
    for name in sorted(checked):
        is_place = out[name].shape[:2] == rows.shape
        ours, theirs = (found[name][is_real], out[name][is_real]) if is_place else (found[name], out[name])
        assert_equal(ours, theirs, name=name)


def check_step(network, names, table, shape, given, meta, path):
    is_bpr = meta["loss_type"] == "BPR"
    loss = published_loss(BPR() if is_bpr else Softmax())
    step = module_of(network, loss, shape).training_step(batch_of(given, table, negatives=is_bpr), 0)
    assert_equal(step, arrays(path, "out")["loss"], name="loss")
    step.backward()
    names.check_gradients(network, arrays(path, "grad"))


@pytest.mark.parametrize("path", cases(FOLDER, "fdsa_unisrec_", "fdsa_recbole_"))
def test_outputs(path):
    network, _, table, _, given, _ = scene(path)
    check_outputs(network, table, given, arrays(path, "out"))


@pytest.mark.parametrize("path", cases(FOLDER, "fdsa_unisrec_", "fdsa_recbole_"))
def test_loss_and_gradients(path):
    check_step(*scene(path), path)


@pytest.mark.parametrize("path", cases(FOLDER, "fdsa_unisrec_"))
def test_the_table_that_should_have_been_noise(path):
    """Their constructor's frozen table, with the features put back into it as the file has them."""
    network, names, table, shape, given, meta = scene(path, real=False)
    assert network.reads == {"ids"}
    check_outputs(network, table, given, arrays(path, "out"))
    check_step(network, names, table, shape, given, meta, path)
    assert network.item_adapters.noise.text.weight.grad is None
