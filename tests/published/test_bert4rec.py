"""BERT4Rec against RecBole's numbers: outputs, losses and gradients of every file.

RecBole's loss leaves hidden places out, and it drops the oldest item of every tested history: that is done here,
in what the network is given. Where a file has what comes of keeping it, so does the network.
"""

import os

import pytest
import torch
from published_files import arrays, assert_equal, cases
from recbole_parts import all_items, block_parts, gradients, load, loss_of

from missrec_pl.modules.histories import with_masked_place
from missrec_pl.nn import DataShape, Histories, Users
from missrec_pl.nn.bert4rec import BERT4Rec

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
OTHERS = {"LayerNorm": "input_norm", "output_ffn": "output", "output_ln": "output_norm"}


def parts(found):
    told = {
        "item_embedding.weight": [found["item_embedding.weight"], found["mask_embedding.weight"]],
        "position_embedding.weight": [found["position_embedding.weight"]],
        "output_bias": [found["output_bias.weight"][:, 0]],
    }
    for theirs, ours in OTHERS.items():
        told |= {f"{theirs}.{kind}": [found[f"{ours}.{kind}"]] for kind in ("weight", "bias")}
    for number in range(sum(name.endswith("self_attention.query.weight") for name in found)):
        told |= block_parts(found, f"trm_encoder.layer.{number}", f"blocks.{number}")
    return told


def network_of(state, meta):
    """The network that the published one's weights belong to, filled with them."""
    places, width = state["position_embedding.weight"].shape
    shape = DataShape(len(state["output_bias"]) - 1, {}, max_history=places - 1)
    network = BERT4Rec(
        shape,
        hidden_size=width,
        num_heads=int(meta["n_heads"]),
        inner_size=len(state["trm_encoder.layer.0.feed_forward.dense_1.bias"]),
        num_layers=sum(name.endswith("feed_forward.dense_1.bias") for name in state),
    ).eval()
    load(network, state, parts)
    return network, shape


def shown(sequences, mask_token):
    """Published sequences with mask tokens, as histories with hidden places."""
    is_masked = sequences == mask_token
    return Histories(sequences.masked_fill(is_masked, 0), (sequences > 0).sum(1), is_masked)


def watch(network):
    """What the network computes on its way, by the published names."""
    seen = {}
    network.input_norm.register_forward_hook(lambda *told: seen.update(input_emb=told[2]))
    for number, block in enumerate(network.blocks):
        block.register_forward_hook(lambda *told, name=f"layer{number}": seen.update({name: told[2]}))
    return seen


def training_rows(given, mask_token):
    """The rows of RecBole's step: of the hidden places those that it lists, but for position 0."""
    histories = shown(given["masked_item_seq"], mask_token)
    row, slot = (given["masked_index"] > 0).nonzero(as_tuple=True)
    place = row * histories.rows.shape[1] + given["masked_index"][row, slot]
    place, order = place.sort()
    return {
        "history": histories.rows,
        "length": histories.length,
        "is_masked": histories.is_masked,
        "place": place,
        "target": given["cloze_pos_items"][row, slot][order],
        "negative": given["cloze_neg_items"][row, slot][order],
    }


def ranked(network, histories, items):
    """The outputs at all places, those at the hidden place behind each history, and the scores of all items."""
    asked = with_masked_place(histories)
    everywhere = network.encode_histories(asked, items).state
    state = everywhere[torch.arange(len(asked)), asked.length - 1]
    return everywhere, state, network.score(Users(state), items)


@pytest.mark.parametrize("path", cases(FOLDER, "bert4rec_"))
def test_published_numbers(path):
    given, expected, meta = arrays(path, "in"), arrays(path, "out"), arrays(path, "meta")
    network, shape = network_of(arrays(path, "state"), meta)
    token, items = int(meta["mask_token"]), all_items(network, shape.num_items)
    found, histories = watch(network), shown(given["masked_item_seq"], token)
    output = network.encode_histories(histories, items).state
    found = {**found, "output": output}
    real = dict.fromkeys(found, ~histories.is_padding)

    tested = expected.pop("test_item_seq")
    kept, length = tested.masked_fill(tested == token, 0)[:, :-1], (tested > 0).sum(1) - 1
    everywhere, state, scores = ranked(network, Histories(kept, length), items)
    found |= {"test_output": everywhere, "seq_output": state, "logits": scores}
    found["pos_score"] = scores.gather(1, given["item_id"][:, None])[:, 0]
    real["test_output"] = tested > 0

    network.zero_grad()
    loss = loss_of(network, meta["loss_type"], shape, training_rows(given, token))
    loss.backward()
    found["loss"] = loss
    assert expected.keys() <= found.keys()
    for name, theirs in expected.items():
        at = real.get(name, ...)
        assert_equal(found[name][at], theirs[at], name=name)
    ours, wanted = gradients(network, parts), arrays(path, "grad")
    assert wanted
    for name, theirs in wanted.items():
        assert_equal(ours[name], theirs, name=f"grad.{name}")


@pytest.mark.parametrize("path", cases(FOLDER, "bert4rec_"))
def test_the_oldest_item_stays_where_it_fits(path):
    expected = arrays(path, "alt").get("logits_keep_oldest_at_test")
    if expected is None:
        pytest.skip("the file lacks these scores")
    given, meta = arrays(path, "in"), arrays(path, "meta")
    network, shape = network_of(arrays(path, "state"), meta)
    rows, length = given["item_id_list"], given["item_length"]
    first = (length - shape.max_history).clamp_min(0)[:, None]
    places = first + torch.arange(shape.max_history)
    newest = rows.gather(1, places.clamp_max(rows.shape[1] - 1)) * (places < length[:, None])
    histories = Histories(newest, length.clamp_max(shape.max_history))
    items = all_items(network, shape.num_items)
    assert_equal(ranked(network, histories, items)[2], expected)
