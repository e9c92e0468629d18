"""GRU4Rec against RecBole's numbers: outputs, losses and gradients of every file."""

import os

import pytest
import torch
from published_files import arrays, assert_equal, cases
from recbole_parts import all_items, gradients, load, loss_of

from missrec_pl.nn import DataShape, Histories, Users
from missrec_pl.nn.gru4rec import GRU4Rec

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")


def parts(found):
    return {
        name.replace("gru.", "gru_layers.").replace("output.", "dense."): [tensor]
        for name, tensor in found.items()
    }


def network_of(state, max_history):
    """The network that the published one's weights belong to, filled with them."""
    (rows, width), hidden = state["item_embedding.weight"].shape, state["dense.weight"].shape[1]
    layers = sum(name.startswith("gru_layers.weight_ih_") for name in state)
    shape = DataShape(rows - 1, {}, max_history=max_history)
    network = GRU4Rec(shape, embedding_size=width, hidden_size=hidden, num_layers=layers).eval()
    load(network, state, parts)
    return network, shape


@pytest.mark.parametrize("path", cases(FOLDER, "gru4rec_"))
def test_published_numbers(path):
    given, expected = arrays(path, "in"), arrays(path, "out")
    rows, length = given["item_id_list"], given["item_length"]
    network, shape = network_of(arrays(path, "state"), rows.shape[1])
    seen = {}
    network.gru.register_forward_hook(
        lambda _, inputs, outputs: seen.update(
            gru_input=inputs[0], gru_output=outputs[0], gru_last_state=outputs[1]
        )
    )
    items, histories = all_items(network, shape.num_items), Histories(rows, length)
    users = network.encode_histories(histories, items)
    state = users.state[torch.arange(len(rows)), length - 1]
    scores = network.score(Users(state), items)
    found = {
        **seen,
        "seq_output": state,
        "logits": scores,
        "pos_score": scores.gather(1, given["item_id"][:, None])[:, 0],
        "neg_score": scores.gather(1, given["neg_item_id"][:, None])[:, 0],
    }
    loss = loss_of(
        network,
        arrays(path, "meta")["loss_type"],
        shape,
        {"history": rows, "length": length, "target": given["item_id"], "negative": given["neg_item_id"]},
    )
    loss.backward()
    found["loss"] = loss
    assert expected.keys() <= found.keys()
    for name, theirs in expected.items():
        assert_equal(found[name], theirs, name=name)
    ours, wanted = gradients(network, parts), arrays(path, "grad")
    assert wanted
    for name, theirs in wanted.items():
        assert_equal(ours[name], theirs, name=f"grad.{name}")
