"""VQ-Rec against its published code, and its codes against faiss."""

import os

import pytest
import torch
import torch.nn.functional as F
from published_files import arrays, assert_equal, cases
from whole_table import batch_of, distinct, encoder_gradient, encoder_weights, real, record, step_of, table_of

from missrec_pl.fitting.product_codes import Quantiser, product_codes
from missrec_pl.losses import SemiSynthetic
from missrec_pl.nn import DataShape, ItemInputs, Items, Users
from missrec_pl.nn.vqrec import VQRec

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
TABLE, CHOICE = "item_adapters.tables.text.weight", "assignments.text.logits"
OWN = {"pq_code_embedding.weight": TABLE, "trans_matrix": CHOICE}
EVERY = ("vqrec_pretrain", "vqrec_inductive_", "vqrec_index_")


class Scene:
    """The network of a file, in eval mode, and what it reads: features that have the file's codes."""

    def __init__(self, path, **options):
        self.inputs, self.out, self.gradients, self.meta = (
            arrays(path, kind) for kind in ("in", "out", "grad", "meta")
        )
        self.is_assigned = "uniform" in self.inputs
        state = arrays(path, "state")
        weights = encoder_weights(state)
        weights[TABLE] = state.pop("pq_code_embedding.weight")
        matrix = state.pop("trans_matrix", None)
        assert not state, state.keys()
        if self.is_assigned:
            weights[CHOICE] = matrix
        code_dim, code_cap = int(self.meta["code_dim"]), int(self.meta["code_cap"])
        max_history, width = weights["encoder.position_embedding.weight"].shape
        raw = self.inputs["raw_codes"]
        self.shape = DataShape(len(raw), {"text": code_dim * code_cap}, max_history=max_history)
        self.network = VQRec(
            self.shape,
            code_dim=code_dim,
            code_cap=code_cap,
            assignment="learned" if self.is_assigned else "identity",
            hidden_size=width,
            num_heads=int(self.meta["n_heads"]),
            sinkhorn_rounds=int(self.meta["sinkhorn_iter"]),
            inner_size=len(weights["encoder.blocks.0.feed_forward.expand.bias"]),
            num_layers=sum(name.endswith("attention_norm.weight") for name in weights),
            **{"reference": True, **options},
        ).eval()
        weights |= {
            "fitted.codes_text.rotation": torch.eye(code_dim * code_cap),
            "fitted.codes_text.centre": torch.zeros(code_dim * code_cap),
            "fitted.codes_text.centroids": torch.eye(code_cap).repeat(code_dim, 1, 1),
        }
        self.network.load_state_dict(weights)
        if self.is_assigned:
            self.network.assignments["text"].uniform = lambda: self.inputs["uniform"]
        if "fake_codes" in self.inputs:
            fakes = self.inputs["fake_codes"][:, None]
            self.network.synthetic = lambda items, share: Items(
                self.network.vectors_of(fakes), items.ids * 0, {"codes": fakes}
            )
        self.seen = record(self.network)
        features = F.pad(F.one_hot(raw, code_cap).flatten(1).float(), (0, 0, 1, 0))
        self.table = table_of(features, len(raw))
        self.batch = batch_of(self.inputs, self.table)

    def loss(self, **options):
        tau = float(self.meta["temperature"])
        share = float(self.meta["fake_idx_ratio"])
        published = {"duplicate_logit": 0.0, "padding_candidate": True, "fake_share": share}
        return SemiSynthetic(tau, **{**published, **options})

    def step(self, loss, batch):
        return step_of(self.network, loss, self.shape, batch)

    def check_encoder(self, state):
        names = ["input_before_layernorm", "input_after_layernorm"]
        names += [f"layer{n}_output" for n in range(len(self.network.encoder.blocks))]
        for name in names:
            wanted = self.out[name][:, : self.seen[name].shape[1]]
            assert_equal(real(self.seen[name], self.batch.length), real(wanted, self.batch.length), name=name)
        assert_equal(state, self.out["seq_output_raw"])
        assert_equal(F.normalize(state, dim=-1), self.out["seq_output"])

    def check_gradients(self, loss):
        loss.backward()
        weights = dict(self.network.named_parameters())
        for name, wanted in self.gradients.items():
            found = weights[OWN[name]].grad if name in OWN else encoder_gradient(self.network, name)
            assert found is not None, name
            assert_equal(found, wanted, name=name)


@pytest.mark.parametrize("path", cases(FOLDER, *EVERY))
def test_items(path):
    scene = Scene(path)
    items = scene.network.encode_items(ItemInputs(scene.table))
    assert torch.equal(items.extra["codes"][:, 0], scene.inputs["item_codes"])
    history, length = scene.batch.history, scene.batch.length
    assert_equal(real(items.vectors[history], length), real(scene.out["item_emb"], length))
    if "item_emb_all" in scene.out:
        assert_equal(items.vectors, scene.out["item_emb_all"])


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_inductive_", "vqrec_index_"))
def test_fine_tuning(path):
    scene = Scene(path)
    network, out = scene.network, scene.out
    items = network.encode_items(ItemInputs(scene.table))
    step = scene.step(scene.loss(), scene.batch)
    scene.check_encoder(step.users.state)
    assert_equal(network.score(Users(step.users.state), items), out["full_sort_scores"])
    logits, _ = step.logits(step.candidates)
    assert_equal(logits, out["logits"])
    loss = scene.loss()(step)["loss"].mean()
    assert_equal(loss, out["loss"])
    scene.check_gradients(loss)


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_inductive_"))
def test_fine_tuning_mended(path):
    scene = Scene(path, reference=False)
    loss = scene.loss(padding_candidate=False, duplicate_logit=None)
    assert_equal(loss(scene.step(loss, scene.batch))["loss"].mean(), scene.out["loss_without_padding_class"])


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_index_"))
def test_index_assignment(path):
    scene = Scene(path)
    choice, table = scene.network.assignments["text"], scene.network.table("text").weight
    soft = choice.doubly_stochastic()
    assert_equal(soft, scene.out["doubly_stochastic"])
    assert torch.equal(soft.argmax(-1), scene.out["choice"])
    moved = choice(table)
    assert_equal(moved, scene.out["reassigned_code_embedding"])
    baked = torch.cat([torch.zeros_like(moved[:1]), moved[1:]])
    assert_equal(baked, scene.out["pq_code_embedding_after_baking"])
    loss = scene.loss(padding_candidate=False)
    assert_equal(loss(scene.step(loss, scene.batch))["loss"].mean(), scene.out["loss_without_padding_class"])


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_index_"))
def test_index_assignment_mended_learns(path):
    """Of the same file's codes: real values alone are permuted, and a gradient reaches the permutation."""
    scene = Scene(path)
    size = scene.network.table("text").size
    mended = VQRec(
        scene.shape,
        code_dim=int(scene.meta["code_dim"]),
        code_cap=size - 1,
        assignment="learned",
        hidden_size=scene.network.table("text").weight.shape[1],
        num_heads=int(scene.meta["n_heads"]),
        inner_size=8,
    ).eval()
    own = mended.state_dict()
    mended.load_state_dict({**own, TABLE: scene.network.state_dict()[TABLE]} | {
        name: value for name, value in scene.network.state_dict().items() if name.startswith("fitted.")
    })  # fmt: skip
    loss = scene.loss(duplicate_logit=None, padding_candidate=False)
    loss(step_of(mended, loss, scene.shape, scene.batch))["loss"].mean().backward()
    assert mended.assignments["text"].logits.grad.abs().max() > 0
    assert not scene.gradients["trans_matrix"].any()


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_pretrain"))
def test_pretraining(path):
    scene = Scene(path)
    batch, out, loss = distinct(scene.table, scene.batch), scene.out, scene.loss()
    step = scene.step(loss, batch)
    scene.check_encoder(step.users.state)
    target = step.items.take(batch.target)
    fake = scene.network.synthetic(target, loss.fake_share)
    assert_equal(F.normalize(target.vectors, dim=-1), out["pos_items_emb"])
    assert_equal(F.normalize(fake.vectors, dim=-1), out["fake_items_emb"])
    is_same = step.target[:, None] == step.target
    assert torch.equal(is_same.fill_diagonal_(False), out["same_pos_id"].fill_diagonal_(False))
    logits, _ = step.logits(step.candidates)
    assert_equal(logits[~is_same], out["logits_in_batch"][~is_same])
    own = fake.apply(lambda tensor: tensor[:, None])
    assert_equal(step.scores(step.users.state, step.rows, step.items, own)[:, 0], out["logits_fake"])
    found = loss(step)["loss"].mean()
    assert_equal(found, out["loss"])
    scene.check_gradients(found)
    # Duplicates truly taken out; and without the made-up items.
    mended = scene.loss(duplicate_logit=None)
    assert_equal(mended(scene.step(mended, batch))["loss"].mean(), out["loss_masked_out"])
    without = scene.loss(duplicate_logit=None, fake_share=0.0)
    assert_equal(without(scene.step(without, batch))["loss"].mean(), out["loss_without_fake"])


@pytest.mark.parametrize("path", cases(FOLDER, "vqrec_faiss_"))
def test_codes(path):
    inputs, out = arrays(path, "in"), arrays(path, "out")
    quantiser = Quantiser(inputs["opq_matrix"], inputs["coarse_centroid"], inputs["pq_centroids"])
    codes = product_codes(inputs["features"], quantiser)
    assert torch.equal(codes, out["codes"].long())
    code_cap = inputs["pq_centroids"].shape[1]
    numbers = codes + 1 + (code_cap + 1) * torch.arange(codes.shape[1])
    assert torch.equal(numbers, out["row_numbers"])
