"""UniSRec against its published code; and ZESRec, whose only own part is a linear adapter."""

import os

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from published_files import arrays, assert_equal, cases
from runs import composed
from whole_table import batch_of, distinct, encoder_gradient, encoder_weights, real, record, step_of, table_of

from missrec_pl.data.augmentations import WORD_DROPPED, drop_words
from missrec_pl.data.augmentations_released import drop_whole_predecessors
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import Contrastive, Softmax
from missrec_pl.nn import DataShape, ItemInputs, Users
from missrec_pl.nn.unisrec import UniSRec

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
REFERENCE = {"seq_seq_form": "views", "duplicate_logit": 0.0, "padding_candidate": True}
ADAPTER = "item_adapters.experts.text."
OWN = {"moe_adaptor.w_gate": f"{ADAPTER}gate", "moe_adaptor.w_noise": f"{ADAPTER}noise"}
EXPERT = {"bias": f"{ADAPTER}shift", "lin.weight": f"{ADAPTER}weight"}


class Scene:
    """The network of a file, in eval mode, and what it reads."""

    def __init__(self, path, **options):
        self.inputs, self.out, self.gradients, self.meta = (
            arrays(path, kind) for kind in ("in", "out", "grad", "meta")
        )
        state = arrays(path, "state")
        features = state.pop("plm_embedding.weight", None)
        features = self.inputs["feature_table"] if features is None else features
        weights = encoder_weights(state)
        layers = sum(name.endswith("attention_norm.weight") for name in weights)
        experts = sum(name.endswith("lin.weight") for name in state)
        weights |= {ours: state.pop(theirs) for theirs, ours in OWN.items()}
        for theirs, ours in EXPERT.items():
            weights[ours] = torch.stack([state.pop(f"moe_adaptor.experts.{e}.{theirs}") for e in range(experts)])
        self.has_ids = "item_embedding.weight" in state
        if self.has_ids:
            weights["id_embedding.weight"] = state.pop("item_embedding.weight")
        assert not state, state.keys()
        max_history, width = weights["encoder.position_embedding.weight"].shape
        self.shape = DataShape(len(features) - 1, {"text": features.shape[1]}, max_history=max_history)
        self.network = UniSRec(
            self.shape,
            item_ids=self.has_ids,
            hidden_size=width,
            num_heads=int(self.meta["n_heads"]),
            inner_size=len(weights["encoder.blocks.0.feed_forward.expand.bias"]),
            num_layers=layers,
            num_experts=experts,
            **{"reference": True, **options},
        ).eval()
        self.network.load_state_dict(weights)
        self.seen = record(self.network)
        self.table = table_of(features, len(features) - 1)
        self.batch = batch_of(self.inputs, self.table)

    def loss(self, **options):
        tau = float(self.meta["temperature"])
        return Contrastive(tau, seq_seq_weight=float(self.meta.get("lambda", 0)), **{**REFERENCE, **options})

    def check_encoder(self, state, before="", *, batch=None):
        """What the encoder has computed in its last pass."""
        batch = batch or self.batch
        names = ["input_after_layernorm", *(f"layer{n}_output" for n in range(len(self.network.encoder.blocks)))]
        for name in names:
            wanted = self.out[f"{before}{name}"]
            width = self.seen[name].shape[1]
            assert_equal(real(self.seen[name], batch.length), real(wanted[:, :width], batch.length), name=name)
        assert_equal(state, self.out[f"{before}seq_output_raw"])
        assert_equal(F.normalize(state, dim=-1), self.out[f"{before}seq_output"])

    def check_gradients(self, loss):
        loss.backward()
        weights = dict(self.network.named_parameters())
        for name, wanted in self.gradients.items():
            found = encoder_gradient(self.network, name)
            if name in OWN:
                found = weights[OWN[name]].grad
            elif name.startswith("moe_adaptor.experts."):
                number, _, part = name.removeprefix("moe_adaptor.experts.").partition(".")
                found = weights[EXPERT[part]].grad[int(number)]
            elif name == "item_embedding.weight":
                found = weights["id_embedding.weight"].grad
            assert found is not None, name
            assert_equal(found, wanted, name=name)


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_inductive_", "unisrec_transductive_"))
def test_fine_tuning(path):
    scene = Scene(path)
    network, out, batch = scene.network, scene.out, scene.batch
    items = network.encode_items(ItemInputs(scene.table))
    own_part = items.vectors - network.id_embedding.weight if scene.has_ids else items.vectors
    assert_equal(own_part, out["adaptor_all_items"])
    experts = network.item_adapters.experts["text"]
    zeros = torch.zeros(1, scene.shape.feature_dims["text"])
    assert_equal(experts.gates(torch.cat([zeros, scene.table.features["text"]])), out["gates"])
    assert_equal(F.normalize(items.vectors, dim=-1), out["target_emb"])
    assert_equal(real(own_part[batch.history], batch.length), real(out["item_emb"], batch.length))

    step = step_of(network, scene.loss(), scene.shape, batch)
    scene.check_encoder(step.users.state)
    assert_equal(network.score(Users(step.users.state), items), out["full_sort_scores"])
    logits, column = step.logits(step.candidates)
    assert_equal(logits, out["logits"])
    assert torch.equal(column, batch.target)
    loss = scene.loss()(step)["loss"].mean()
    assert_equal(loss, out["loss"])
    scene.check_gradients(loss)


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_inductive_", "unisrec_transductive_"))
def test_fine_tuning_mended(path):
    """Without the padding class; everything else as published, for nothing is missing here."""
    scene = Scene(path, reference=False)
    loss = scene.loss(padding_candidate=False, duplicate_logit=None)
    step = step_of(scene.network, loss, scene.shape, scene.batch)
    assert_equal(loss(step)["loss"].mean(), scene.out["loss_without_padding_class"])
    reference = Scene(path)
    bare = reference.loss()
    bare.temperature = 1.0
    step = step_of(reference.network, bare, scene.shape, scene.batch)
    assert_equal(bare(step)["loss"].mean(), scene.out["loss_without_temperature"])


def pretraining(path, **options):
    """A file's scene, its batch and its second view; the view is made by our own transforms."""
    scene = Scene(path, **options)
    batch, inputs = distinct(scene.table, scene.batch), scene.inputs
    keep, words = inputs["keep_draw"], {WORD_DROPPED: inputs["feature_table_aug"][1:]}
    if torch.equal(inputs["item_id_list_aug"], inputs["item_id_list"]):  # the words of texts were dropped
        table = batch.items
        with_views = ItemTable(table.ids, table.is_missing, table.rows, table.features, views=words)
        view = drop_words(batch.with_items(with_views), keep)
    else:
        view = drop_whole_predecessors(batch, keep)
    return scene, batch, view


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_pretrain_"))
def test_second_views(path):
    scene, batch, view = pretraining(path)
    size = len(scene.table.ids)
    assert torch.equal(view.history % size, scene.inputs["item_id_list_aug"])
    assert torch.equal(view.length, scene.inputs["item_length_aug"])
    features = torch.zeros(len(view.items.ids), scene.shape.feature_dims["text"])
    features = features.index_copy(0, view.items.rows["text"], view.items.features["text"])
    wanted = real(scene.inputs["item_emb_list_aug"], view.length)
    assert_equal(real(features[view.history], view.length), wanted)
    assert_equal(features[batch.target], scene.inputs["pos_item_emb"])
    assert_equal(real(features[batch.history], batch.length), real(scene.inputs["item_emb_list"], batch.length))


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_pretrain_"))
def test_pretraining(path):
    scene, batch, view = pretraining(path)
    network, out = scene.network, scene.out
    experts = network.item_adapters.experts["text"]
    assert_equal(
        experts.gates(real(scene.inputs["item_emb_list"], batch.length)), real(out["gates"], batch.length)
    )
    items = network.encode_items(ItemInputs(batch.items))
    assert_equal(real(items.vectors[batch.history], batch.length), real(out["item_emb"], batch.length))
    assert_equal(F.normalize(items.vectors[batch.target], dim=-1), out["pos_items_emb"])
    viewed = network.encode_items(ItemInputs(view.items)).vectors[view.history]
    assert_equal(real(viewed, view.length), real(out["aug_item_emb"], view.length))

    loss = scene.loss()
    step = step_of(network, loss, scene.shape, batch)
    scene.check_encoder(step.users.state)
    step = step_of(network, loss, scene.shape, batch, view)
    second = step.views[0].last
    scene.check_encoder(second, "aug_", batch=view)
    assert torch.equal(loss._same_target(step), out["same_pos_id"].fill_diagonal_(False))
    logits, _ = step.logits(step.candidates)
    is_kept = ~loss._same_target(step)
    assert_equal(logits[is_kept], out["logits_seq_item"][is_kept])
    across = network.score(Users(step.users.last), step.candidates.apply(lambda t: second if t.dim() == 2 else t))
    assert_equal((across / loss.temperature)[is_kept], out["logits_seq_seq"][is_kept])
    found = loss(step)
    assert_equal(found["seq_item"].mean(), out["loss_seq_item"])
    assert_equal(found["seq_seq"].mean(), out["loss_seq_seq"])
    assert_equal(found["loss"].mean(), out["loss_total"])
    scene.check_gradients(found["loss"].mean())


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_pretrain_"))
def test_pretraining_mended(path):
    """Duplicates truly taken out, or kept."""
    scene, batch, view = pretraining(path, reference=False)
    for suffix, options in (
        ("masked_out", {"duplicate_logit": None}),
        ("unmasked", {"mask_duplicates": False}),
    ):
        loss = scene.loss(**options)
        found = loss(step_of(scene.network, loss, scene.shape, batch, view))
        for ours, theirs in (("seq_item", "seq_item"), ("seq_seq", "seq_seq"), ("loss", "total")):
            if (wanted := scene.out.get(f"loss_{theirs}_{suffix}")) is not None:
                assert_equal(found[ours].mean(), wanted, name=f"{theirs} {suffix}")


@pytest.mark.parametrize("path", cases(FOLDER, "unisrec_inductive_"))
def test_zesrec_is_unisrec_with_a_linear_adapter(path):
    """Nothing of it was published: UniSRec's items as features, and an adapter of ones, test all the rest."""
    scene = Scene(path)
    vectors, width = scene.out["adaptor_all_items"], len(scene.out["target_emb"][0])
    shape = scene.shape.changed(feature_dims={"text": width})
    sizes = {"inner_size": scene.network.encoder.blocks[0].feed_forward.expand.out_features}
    cfg = composed("model=zesrec", f"model.hidden_size={width}", f"model.inner_size={sizes['inner_size']}")
    cfg.model.num_layers = len(scene.network.encoder.blocks)
    cfg.model.num_heads = int(scene.meta["n_heads"])
    zesrec = instantiate(cfg.model, data=shape).eval()
    weights = {
        name.removeprefix("encoder."): weight
        for name, weight in scene.network.state_dict().items()
        if name.startswith("encoder.")
    }
    adapter = {"weight": torch.eye(width), "bias": torch.zeros(width)}
    zesrec.load_state_dict({**weights, **{f"item_adapters.linear.text.{n}": w for n, w in adapter.items()}})
    batch = batch_of(scene.inputs, table_of(vectors, shape.num_items))
    step = step_of(zesrec, Softmax(), shape, batch)
    assert_equal(step.users.state, scene.out["seq_output_raw"])
    logits, _ = step.logits(step.candidates)
    assert_equal(logits, scene.out["seq_output_raw"] @ vectors[1:].T)
