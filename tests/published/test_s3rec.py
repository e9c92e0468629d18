"""S3-Rec beside the numbers of RecBole's and of UniSRec's code."""

import os

import pytest
import torch
from attribute_networks import Names, batch_of, item_table, module_of, published_loss
from published_files import arrays, assert_equal, cases

from missrec_pl.checkpoints.transfer import transfer_weights
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import BPR, S3Rec, Softmax, Step
from missrec_pl.losses.s3rec import Drawn
from missrec_pl.nn import DataShape
from missrec_pl.nn.contract import Histories, ItemInputs, Users
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.s3rec import S3Rec as Network

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
RTOL = {"s3rec_unisrec_": 1e-4}  # their BCELoss clamps logarithms
MODULES = {
    "item_embedding": "item_embedding",
    "position_embedding": "position_embedding",
    "trm_encoder": "blocks",
    "LayerNorm": "norm",
    "adapter.mlp_layers.1": "item_adapters.linear.text",
    **{f"{task}_norm": f"heads.{task}" for task in ("aap", "mip", "map", "sp")},
}


def pretraining(path):
    """The network of pre-training with the published weights, and names and sizes."""
    state, meta = arrays(path, "state"), arrays(path, "meta")
    num_items, width = (n - 2 if axis == 0 else n for axis, n in enumerate(state["item_embedding.weight"].shape))
    features, is_text = state["feature_embedding.weight"], "adapter.mlp_layers.1.weight" in state
    attributes = {} if is_text else {"attributes": len(features)}
    dims = {"text": features.shape[1]} if is_text else {}
    shape = DataShape(
        num_items, dims, attributes=attributes, max_history=len(state["position_embedding.weight"]) - 1
    )
    options = {
        "hidden_size": width,
        "inner_size": len(state["trm_encoder.layer.0.feed_forward.dense_1.weight"]),
        "num_heads": int(meta["n_heads"]),
        "num_layers": len({name.split(".")[2] for name in state if name.startswith("trm_encoder.layer.")}),
        "reference": True,
    }
    made = Network(shape, phase="pretrain", attributes_from="features" if is_text else None, **options).eval()
    theirs = "item_adapters.noise.text" if is_text else "heads.attribute_embedding"
    names = Names({**MODULES, "feature_embedding": theirs}, width)
    assert not names.load(made, state)
    made.item_embedding.padding_idx = None  # their padding item is a class, whose vector learns
    return made, names, shape, options


def drawn_of(given, num_items):
    """Their left-padded draws as ours, right-padded; the mask token is the last item of their table."""
    width = given["pos_items"].shape[1]
    length = (given["pos_items"] > 0).sum(1)
    front = (torch.arange(width) + (width - length)[:, None]) % width

    def moved(name):
        return given[name].take_along_dim(front[..., None] if given[name].dim() == 3 else front, 1)

    def histories(name):
        rows = moved(name)
        is_masked = rows == num_items + 1
        return Histories(rows * ~is_masked, length, is_masked)

    features = moved("features")
    drawn = Drawn(
        rows=moved("pos_items"),
        values=features * torch.arange(1, features.shape[2] + 1),
        negative=moved("neg_items"),
        context=histories("masked_segment_sequence"),
        stretch=histories("pos_segment"),
        other=histories("neg_segment"),
        counts=torch.ones_like(length, dtype=torch.bool),
    )
    return drawn, histories("masked_item_sequence"), front


def step_of(network, shape, histories):
    """A step on all items, the mask token among the negatives."""
    items = network.encode_items(ItemInputs(item_table(shape.num_items + 2)))
    count = shape.num_items + 1
    features = {
        name: torch.zeros(count, dim) for name, dim in shape.feature_dims.items()
    }  # the network has its own
    table = item_table(count, features, {"attributes": torch.zeros(count, 1, dtype=torch.long)})
    nothing = torch.zeros_like(histories.length)
    batch = SequenceBatch(histories.rows, histories.length, nothing, nothing, table, is_masked=histories.is_masked)
    return Step(
        network=network,
        data=shape,
        histories=histories,
        items=items,
        users=encode_users(network, histories, items),
        views=None,
        batch=batch,
        rows=histories,
        scores=lambda *_: None,
        max_logits=1,
        mask_duplicates=False,
        padding_candidate=False,
    )


@pytest.mark.parametrize("path", cases(FOLDER, "s3rec_pretrain", "s3rec_unisrec_"))
def test_pretraining(path):
    network, names, shape, _ = pretraining(path)
    given, out, meta = (arrays(path, kind) for kind in ("in", "out", "meta"))
    rtol = next((one for start, one in RTOL.items() if path.name.startswith(start)), 1e-5)
    drawn, histories, front = drawn_of(given, shape.num_items)
    step = step_of(network, shape, histories)
    weights = {f"{name}_weight": float(meta[f"{name}_weight"]) for name in ("aap", "mip", "map", "sp")}
    loss = S3Rec(reference=True, clamped=bool(shape.feature_dims), **weights)
    losses = {name: rows.mean() for name, rows in loss.compare(step, drawn).items()}
    for name in ("aap", "mip", "map", "sp"):
        assert_equal(losses[name], out[f"loss_{name}"], rtol, name)
    assert_equal(losses["loss"], out["loss"], rtol, "loss")
    losses["loss"].backward()
    names.check_gradients(network, arrays(path, "grad"), rtol)
    check_outputs(network, step, drawn, front, out, rtol)


def check_outputs(network, step, drawn, front, out, rtol):
    items, is_real = step.items, drawn.rows > 0
    state = network.encode_histories(step.histories, items).state
    vectors = network.attributes(ItemInputs(step.batch.items))[1]
    is_text = hasattr(network, "item_adapters")
    found = {f"{name}_score": getattr(network.heads, name)(state) @ vectors.T for name in ("aap", "map")}
    if is_text:
        found = {name: scores.sigmoid() for name, scores in found.items()}
    hidden = network.heads.mip(state)
    for name, rows in (("pos", drawn.rows), ("neg", drawn.negative)):
        found[f"mip_{name}_score"] = (hidden * items.vectors[rows]).sum(-1).sigmoid()
    found["sequence_output"] = state
    for name, theirs in out.items():
        if name in found:
            placed = theirs.view(*front.shape, *theirs.shape[1 if len(theirs) != len(front) else 2 :])
            moved = placed.take_along_dim(front.view(*front.shape, *(1,) * (placed.dim() - 2)), 1)
            assert_equal(found[name][is_real], moved[is_real], rtol, name)
    parts = {"context": drawn.context, "pos": drawn.stretch, "neg": drawn.other}
    last = {name: encode_users(network, one, items).last for name, one in parts.items()}
    around = network.heads.sp(last["context"])
    alone = {f"segment_{name}": vectors for name, vectors in last.items()}
    alone |= {f"sp_{name}_score": (around * last[name]).sum(-1).sigmoid() for name in ("pos", "neg")}
    alone["feature_emb"] = vectors
    assert {*out} <= {*found, *alone, "loss", *(f"loss_{name}" for name in ("aap", "mip", "map", "sp"))}
    for name in alone.keys() & out.keys():
        assert_equal(alone[name], out[name], rtol, name)


@pytest.mark.parametrize("path", cases(FOLDER, "s3rec_pretrain"))
def test_what_mending_changes(path):
    """The values that the file gives for one sigmoid and for means."""
    network, _, shape, _ = pretraining(path)
    given, told, meta = (arrays(path, kind) for kind in ("in", "alt", "meta"))
    if not told.keys() >= {"loss_mip_single_sigmoid", "loss_sp_single_sigmoid", "loss_mean_instead_of_sum"}:
        pytest.skip("the file does not say")
    drawn, histories, _ = drawn_of(given, shape.num_items)
    weights = {f"{name}_weight": float(meta[f"{name}_weight"]) for name in ("aap", "mip", "map", "sp")}
    published, mended = S3Rec(reference=True, **weights), S3Rec()
    step = step_of(network, shape, histories)
    sums = published.compare(step, drawn)
    mended.reference = True
    mended._pair = lambda positive, negative: torch.nn.functional.softplus(negative - positive)
    for name in ("mip", "sp"):
        assert_equal(mended.compare(step, drawn)[name].mean(), told[f"loss_{name}_single_sigmoid"], name=name)
    published.reference = False
    published._pair = S3Rec(reference=True)._pair
    means = published.compare(step, drawn)
    assert_equal(means["loss"].mean(), told["loss_mean_instead_of_sum"], name="means")
    assert means["loss"].mean() < sums["loss"].mean()


@pytest.mark.parametrize("path", cases(FOLDER, "s3rec_finetune_"))
def test_finetuning(path):
    """From the weights of pre-training, as `ckpt=` on the same data takes them."""
    before, names, shape, options = pretraining(path)
    given, out, meta = (arrays(path, kind) for kind in ("in", "out", "meta"))
    network = Network(shape, **options).eval()
    report = transfer_weights(network, before.state_dict(), same_items=True)
    assert not report.new
    assert set(report.left) == {name for name in before.state_dict() if name.startswith("heads.")}
    network.item_embedding.padding_idx = None
    is_bpr = meta["loss_type"] == "BPR"
    table = item_table(shape.num_items + 2)  # padding and mask token are classes
    module = module_of(network, published_loss(BPR() if is_bpr else Softmax()), shape)
    loss = module.training_step(batch_of(given, table, negatives=is_bpr), 0)
    assert_equal(loss, out["loss"], name="loss")
    loss.backward()
    names.check_gradients(network, arrays(path, "grad"))
    items = network.encode_items(ItemInputs(table))
    rows, length = given["item_id_list"], given["item_length"]
    state = network.encode_histories(Histories(rows, length), items).state
    last = state[torch.arange(len(rows)), length - 1]
    scores = network.score(Users(last), items)
    found = {"seq_output": last, "logits": scores[:, : shape.num_items + 1]}
    for name, column in (("pos_score", "item_id"), ("neg_score", "neg_item_id")):
        found[name] = scores.gather(1, given[column][:, None])[:, 0]
    assert {*out} <= {*found, "sequence_output", "loss"}
    for name in found.keys() & out.keys():
        assert_equal(found[name], out[name], name=name)
    assert_equal(state[rows > 0], out["sequence_output"][rows > 0], name="sequence_output")
